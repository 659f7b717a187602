"""Measures how OpenCV's Haar boxes differ from tight landmark squares, on annotated faces.

python benchmarks/haar_correction.py RECORDS/train-*.tfrecord

Prints the two constants of `wing_tf.inference.HaarDetector` (the mean shift of the centre and the
mean ratio of the sides, in raw sides) and what scatter they leave, as shares of the true side.
"""

import sys

import numpy as np
import tqdm

from wing_tf.data.read import read_faces
from wing_tf.data.records import find_shards, open_records
from wing_tf.geometry import box_iou, crop_square
from wing_tf.inference import HaarDetector


def main():
    records = open_records(find_shards(sys.argv[1:]))
    detector = HaarDetector()
    shifts, ratios, scatter = [], [], []
    for face in tqdm.tqdm(read_faces(records).as_numpy_iterator(), total=records.num_faces):
        true = crop_square(face["box_square_px"].astype(np.float64), 1.0)
        raw = detector.raw_boxes(face["image"])
        overlaps = box_iou(raw, true) if len(raw) else np.zeros(1)
        if overlaps.max() < 0.3:
            continue
        box = raw[overlaps.argmax()]
        raw_side, side = box[2] - box[0], true[2] - true[0]
        shift = ((true[:2] + true[2:]) - (box[:2] + box[2:])) / 2
        shifts.append(shift / raw_side)
        ratios.append(side / raw_side)
        left = shift - np.array(detector.CENTRE_SHIFT_XY) * raw_side
        scatter.append([np.hypot(*left) / side, raw_side * detector.SIDE_RATIO / side])
    scatter = np.array(scatter)
    print(f"faces {records.num_faces}, found {len(shifts) / records.num_faces:.3f}")
    print(
        f"CENTRE_SHIFT_XY = {np.mean(shifts, axis=0).round(3)}  SIDE_RATIO = {np.mean(ratios):.3f}"
    )
    print(
        f"with the present constants: centre off by {scatter[:, 0].mean():.3f} on average, "
        f"{np.quantile(scatter[:, 0], 0.95):.3f} at 95 %; scale "
        f"{np.quantile(scatter[:, 1], 0.05):.2f} to {np.quantile(scatter[:, 1], 0.95):.2f} (5-95 %)"
    )


if __name__ == "__main__":
    main()
