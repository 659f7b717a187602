"""What the runtime's crop and mapping back take of a whole call, by the size of the face.

    wing-export --model=RUN --output=EXPORT
    python benchmarks/crop_share.py EXPORT/model.tflite [--threads=2]

One face in a frame of 1280 x 720 that moves from call to call; medians. The network runs between
two crops, so the crop finds caches as it does in use.
"""

import argparse
import time

import numpy as np

from wing_tf.inference import Landmarker


def main():
    """Prints a line a size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=60)
    options = parser.parse_args()
    landmarker = Landmarker(options.model, num_threads=options.threads)
    generator = np.random.default_rng(0)
    frame = generator.integers(0, 256, (720, 1280, 3), np.uint8)
    for side in (120, 200, 320, 450):
        own, network = [], []
        for _ in range(options.repeats):
            center = np.array([640.0, 360.0]) + generator.uniform(-3, 3, 2)
            box = np.concatenate([center - side / 2, center + side / 2])[None]
            times = [time.perf_counter()]
            crops, to_crop = landmarker.crop(frame, box)
            times.append(time.perf_counter())
            landmarks, _ = landmarker.predict_crops(crops)
            times.append(time.perf_counter())
            landmarker.to_image(to_crop, landmarks)
            times.append(time.perf_counter())
            cut, run, place = np.diff(times)
            own.append(cut + place)
            network.append(run)
        mine, its = 1e3 * np.median(own), 1e3 * np.median(network)
        print(
            f"face of {side} px: {mine:.2f} ms besides {its:.2f} ms of the network, "
            f"{100 * mine / (mine + its):.1f} %"
        )


if __name__ == "__main__":
    main()
