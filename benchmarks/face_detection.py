"""Recall of BlazeFace on groups, on faces that fill the image and on rotated images.

    python benchmarks/face_detection.py --data=300W_TREE [--quick]

Groups are mosaics of n x n training images of Helen and LFPW, 1280 pixels wide, in which a face
takes about 1 / 2n of the side. Small faces beside large ones are mosaics of 2 x 2 images whose
lower right quarter is a mosaic of n x n; the faces in that quarter count. Faces that fill the image
are cut out of the training images as squares around the landmarks. Rotated images (Helen test and
AFW) keep their size, with black corners. A face is found if `wing_tf.detection.matching_box`
accepts a box.
"""

import argparse

import cv2
import numpy as np

from tfrecords_tools.sources import Ibug300WSource
from wing_tf.detection import BlazeFaceDetector, matching_box
from wing_tf.geometry import crop_square, landmark_box

_SIDE = 1280


def make_mosaic(faces, count, rng):
    """Returns an image of count x count random faces, and the landmarks [K, 2] of each."""
    cell = _SIDE // count
    mosaic, landmarks = np.zeros((_SIDE, _SIDE, 3), np.uint8), []
    for number in range(count**2):
        image, points = faces[rng.integers(len(faces))]
        size = np.array(image.shape[1::-1])
        small = np.maximum(np.round(size * cell / size.max()), 1).astype(int)
        how = cv2.INTER_AREA if cell < size.max() else cv2.INTER_LINEAR
        resized = cv2.resize(image, small.tolist(), interpolation=how)
        x, y = (number % count) * cell, (number // count) * cell
        mosaic[y : y + cell, x : x + cell] = resized.mean(axis=(0, 1))
        mosaic[y : y + small[1], x : x + small[0]] = resized
        landmarks.append((points + 0.5) * small / size - 0.5 + [x, y])
    return mosaic, landmarks


def add_mosaic(faces, count, rng):
    """Returns a mosaic of 2 x 2 with one of count x count in a quarter, and its landmarks."""
    (image, _), (small, landmarks) = (make_mosaic(faces, n, rng) for n in (2, count))
    half = _SIDE // 2
    image[half:, half:] = cv2.resize(small, (half, half), interpolation=cv2.INTER_AREA)
    return image, [(points + 0.5) / 2 - 0.5 + half for points in landmarks]


def rotate(image, landmarks, degrees):
    """Returns an image and its landmarks, rotated around the mean of the landmarks."""
    matrix = cv2.getRotationMatrix2D(landmarks.mean(axis=0).tolist(), degrees, 1.0)
    rotated = cv2.warpAffine(image, matrix, image.shape[1::-1])
    return rotated, landmarks @ matrix[:, :2].T + matrix[:, 2]


def cut_square(image, landmarks, side):
    """Returns the square around the landmarks, of `side` times their longer side."""
    x0, y0, x1, y1 = crop_square(landmark_box(landmarks), side).round().astype(int)
    x0, y0 = max(x0, 0), max(y0, 0)
    return image[y0 : y1 + 1, x0 : x1 + 1], landmarks - [x0, y0]


def recall(detector, images):
    """Returns the percentage of the annotated faces of images that are found, as text."""
    found = []
    for image, landmarks in images:
        boxes = detector.raw_boxes(image)
        found += [matching_box(boxes, points) is not None for points in landmarks]
    return f"{100 * np.mean(found):.1f} % of {len(found)}"


def main():
    """Prints the recalls."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with afw, helen and lfpw")
    parser.add_argument("--quick", action="store_true", help="a few images of each kind")
    options = parser.parse_args()
    source = Ibug300WSource(options.data)
    every, num_mosaics = (200, 2) if options.quick else (1, 60)
    sets = {"afw": [], "helen": [], "lfpw": [], "helen test": []}
    for item in source.items()[::every]:
        face, name = source.load(item), item.key.partition("/")[0]
        name += " test" if item.split.startswith("test") else ""
        sets[name].append((face.image, face.landmarks_px))
    detector, rng = BlazeFaceDetector(levels=2), np.random.default_rng(0)
    for count in (2, 3, 4, 5, 6, 8, 10):
        faces = sets["helen"] + sets["lfpw"]
        mosaics = [
            make_mosaic(faces, count, rng)
            for _ in range(max(min(3, num_mosaics), num_mosaics // count))
        ]
        for levels in (1, 2, 3):
            found = recall(BlazeFaceDetector(levels=levels), mosaics)
            print(f"{count} x {count} faces, {levels} level(s): {found}", flush=True)
    for count in (1, 2, 3):
        mixed = [add_mosaic(faces, count, rng) for _ in range(max(1, num_mosaics // count**2))]
        for levels in (None, 2, 3):
            found = recall(BlazeFaceDetector(levels=levels), mixed)
            print(f"{count} x {count} beside large faces, levels={levels}: {found}", flush=True)
    for side in (1.2, 1.0, 0.9, 0.8):
        faces = sets["helen"][::4] + sets["lfpw"][::4]
        cut = [cut_square(image, points, side) for image, points in faces]
        found = recall(detector, [(image, [points]) for image, points in cut])
        print(f"square of {side} landmark sides: {found}", flush=True)
    for name in ("helen test", "afw"):
        for degrees in (0, 30, 45, 60, 90, 135, 180):
            rotated = (rotate(image, points, degrees) for image, points in sets[name])
            found = recall(detector, ((image, [points]) for image, points in rotated))
            print(f"{name} rotated by {degrees} degrees: {found}", flush=True)


if __name__ == "__main__":
    main()
