"""Videos of moving rendered faces, and a landmarker that returns their ground truth."""

import numpy as np

from tfrecords_tools.synthetic.clip import Motion, SyntheticClip
from wing_tf.geometry import apply_affine, box_iou, crop_matrix, crop_square, landmark_box
from wing_tf.geometry.shapes import mean_shape, place_shape_in_boxes
from wing_tf.inference import Landmarker
from wing_tf.model_spec import ModelSpec
from wing_tf.score_calibration import ScoreCalibration

RATE = 30.0


def motion(x_px, *, y_px=120.0, side_px=70.0):
    """Returns the motion of a face with centers x [T] and constant y, size and rotation."""
    x = np.asarray(x_px, float)
    center = np.stack([x, np.full_like(x, y_px)], axis=1)
    return Motion(center, np.full_like(x, side_px), np.zeros_like(x))


def small_clip(motions, *, seed=0):
    return SyntheticClip(motions, seed=seed, size_hw=(240, 320))


def crossing_clip(*, seed=0, turn_back=False, frames=50):
    """Two faces meet. The second one passes in front, or both turn back while it occludes one."""
    step = np.linspace(0, 1, frames)
    if turn_back:
        step = np.minimum(step, 1 - step)
    left = 60 + 200 * step
    return small_clip([motion(left), motion(320 - left, y_px=112, side_px=80)], seed=seed)


def calibration_of_scores(landmarks_px):
    """Returns a calibration by which a face with scores of .3 has a score of .12, .5 of .5."""
    centered = landmarks_px - landmarks_px.mean(axis=0)
    return ScoreCalibration(
        mean_shape=centered / np.sqrt(np.square(centered).sum(axis=1).mean()),
        modes=(), deviations=(), inaccurate_means=(), inaccurate_deviations=(),
        max_inaccurate_distance=1.0,
        weights=(0.0, 0.0, 0.0, 10.0),
        bias=-5.0,
        min_score=0.1,
        num_faces=100,
    )  # fmt: skip


class TrueLandmarker(Landmarker):
    """Landmarker that returns the ground truth with noise for the face in each box.

    Like a network, it returns landmarks for every box: the mean shape if there is no face in the
    box, and the face in front if one face occludes most of another.

    Attributes:
        index: Number of the current frame.
        detected: bool [N], faces that the detector finds unless they are occluded.
        wrong: bool [N], faces for which the network returns permuted landmarks.
        false_boxes: Boxes [M, 4] of false detections.
        score: Mean score of the landmarks, of which a calibrated one makes the score of the face.
            None for a network without scores.
        num_detections: Number of calls of the detector.
        batches: Number of faces in each run of the network.
    """

    def __init__(self, clip, *, noise_px=0.3, calibrated=False, **options):
        calibration = calibration_of_scores(clip.landmarks_px[0, 0]) if calibrated else None
        super().__init__(
            self.predict_crops,
            spec=ModelSpec(
                scheme="ibug_68", input_size=64, margin=1.2, score_calibration=calibration
            ),
            detector=self.find,
            **options,
        )
        self.clip, self.index, self.noise_px = clip, 0, noise_px
        self.detected = np.ones(clip.landmarks_px.shape[1], bool)
        self.wrong = ~self.detected
        self.false_boxes, self.score = np.zeros((0, 4)), None
        self.num_detections, self.batches = 0, []
        first = clip.landmarks_px[0]
        self._mean = mean_shape(first, landmark_box(first))
        self._regions, self._rng = [], np.random.default_rng(0)

    def find(self, image):
        self.num_detections += 1
        squares, seen = self._squares()
        found = np.concatenate([squares[seen & self.detected], self.false_boxes])
        return found + self._rng.normal(0, 1.0, found.shape)

    def crop(self, image, boxes):
        self._regions.extend(boxes)
        return super().crop(image, boxes)

    def predict_crops(self, crops):
        boxes = np.array(self._regions)
        self._regions = []
        self.batches.append(len(boxes))
        assert len(boxes) == len(crops)
        squares, seen = self._squares()
        found = place_shape_in_boxes(self._mean, boxes)
        for number, box in enumerate(boxes):
            overlaps = box_iou(box, squares) * seen
            best = int(np.argmax(overlaps))
            if overlaps[best] > 0.1:
                found[number] = self.clip.landmarks_px[self.index, best]
                if self.wrong[best]:
                    found[number] = self._rng.permutation(found[number])
        found += self._rng.normal(0, self.noise_px, found.shape)
        to_crop = crop_matrix(crop_square(boxes, 1.2), crops.shape[1:3])
        scores = None if self.score is None else np.full(found.shape[:2], self.score)
        return apply_affine(to_crop, found), scores

    def _squares(self):
        seen = self.clip.occluded_fraction(self.index) < 0.5
        return crop_square(landmark_box(self.clip.landmarks_px[self.index]), 1.0), seen


def show(tracker, landmarker, *, frames=None):
    """Tracks frames of the landmarker's video; returns the faces of each frame."""
    faces = []
    for index in range(len(landmarker.clip)) if frames is None else frames:
        landmarker.index = index
        faces.append(tracker(landmarker.clip.frame(index), index / RATE))
    return faces


def identities_of(faces, clip, *, frames=None):
    """Returns the identities of each of the N faces in the frames in which it was visible."""
    numbers = [[] for _ in range(clip.landmarks_px.shape[1])]
    for index, found in zip(frames or range(len(clip)), faces, strict=True):
        for face in found:
            gaps = np.linalg.norm(face.landmarks_px - clip.landmarks_px[index], axis=-1)
            best = int(np.argmin(gaps.mean(axis=1)))
            if gaps[best].mean() < 8 and clip.occluded_fraction(index)[best] < 0.3:
                numbers[best].append(face.identity)
    return numbers
