"""Fraction of the Landmarker's time that is crop and mapping to the image, by face size.

    wing-export --model=RUN --output=EXPORT
    python benchmarks/crop_share.py EXPORT/model.tflite [--threads=2]

Medians for one face in a frame of 1280 x 720, at a new position in each call. The network runs
between two crops, so that the processor's caches are in the same state as in use.
"""

import argparse
import time

import numpy as np

from wing_tf.inference import Landmarker


def main():
    """Prints one line per face size."""
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
        overhead, network = [], []
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
            crop_s, network_s, mapping_s = np.diff(times)
            overhead.append(crop_s + mapping_s)
            network.append(network_s)
        overhead_ms, network_ms = 1e3 * np.median(overhead), 1e3 * np.median(network)
        print(
            f"face of {side} px: crop and mapping {overhead_ms:.2f} ms, network {network_ms:.2f} "
            f"ms, fraction {100 * overhead_ms / (overhead_ms + network_ms):.1f} %"
        )


if __name__ == "__main__":
    main()
