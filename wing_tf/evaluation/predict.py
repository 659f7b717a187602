"""Predictions of a model on records, in pixels of the source images."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from wing_tf.data.crop import crop_faces
from wing_tf.data.read import decode_ratio, read_faces
from wing_tf.data.record_checks import read_named
from wing_tf.data.records import RecordSet
from wing_tf.geometry import apply_affine, compose
from wing_tf.landmarks import SchemeMap
from wing_tf.model_spec import ModelSpec
from wing_tf.score_calibration import ScoreCalibration


@dataclasses.dataclass(frozen=True)
class CropBatch:
    """A batch of B faces as the network's input.

    Attributes:
        image: float32 [B, side, side, 3] in [0, 255].
        crop_to_source: Matrices [B, 2, 3].
        true_px: Ground truth [B, K, 2] in source pixels, NaN where not annotated.
        box_xyxy_px: The boxes [B, 4] of the crops, in source pixels.
        dataset_box_xyxy_px: The data set's boxes [B, 4], NaN where it has none.
        key: Names of the faces.
        groups: The split and the attributes of each face.
        true_visibility: Ground truth [B, K] as in records: 0 not annotated, 1 occluded, 2 visible.
            None if it is not known.
    """

    image: np.ndarray
    crop_to_source: np.ndarray
    true_px: np.ndarray
    box_xyxy_px: np.ndarray
    dataset_box_xyxy_px: np.ndarray
    key: list[str]
    groups: list[frozenset[str]]
    true_visibility: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Ground truth and predictions of N faces, in source pixels.

    Attributes:
        true_px: Ground truth [N, K, 2], NaN where not annotated.
        predicted_px: Predictions [N, K, 2], NaN for landmarks that are not evaluated.
        box_xyxy_px: The boxes [N, 4] of the crops.
        dataset_box_xyxy_px: The data set's boxes [N, 4], NaN where it has none.
        key: Names of the faces.
        groups: The split and the attributes of each face.
        index: Indices [N] of the faces in the records.
        evaluated: bool [K], which landmarks are evaluated: false for those that a scheme map does
            not predict. Defaults to all.
        true_visibility: Ground truth [N, K] as in records: 0 not annotated, 1 occluded, 2 visible.
            None if it is not known.
        visibility: Predicted probabilities [N, K] of being visible, NaN for landmarks that are not
            evaluated. None if the network has no such output.
        score: Calibrated score [N] of each face. None if the model has no calibration.
    """

    true_px: np.ndarray
    predicted_px: np.ndarray
    box_xyxy_px: np.ndarray
    dataset_box_xyxy_px: np.ndarray
    key: list[str]
    groups: list[frozenset[str]]
    index: np.ndarray
    evaluated: np.ndarray | None = None
    true_visibility: np.ndarray | None = None
    visibility: np.ndarray | None = None
    score: np.ndarray | None = None

    @property
    def evaluated_true_px(self) -> np.ndarray:
        """Ground truth [N, K, 2], NaN where not annotated or not evaluated."""
        if self.evaluated is None:
            return self.true_px
        return np.where(self.evaluated[:, None], self.true_px, np.nan)


def check_fit(records: RecordSet, spec: ModelSpec, scheme_map: SchemeMap | None = None) -> None:
    """Raises ValueError if a model can't be evaluated on records, directly or through a map."""
    names = (spec.scheme_name, records.scheme.name)
    if scheme_map is not None and names != (scheme_map.source.name, scheme_map.target.name):
        raise ValueError(
            f"The map is from {scheme_map.source.name} to {scheme_map.target.name}, the model "
            f"predicts {names[0]}, the records hold {names[1]}."
        )
    if scheme_map is None and names[0] != names[1]:
        raise ValueError(f"The model predicts {names[0]}, the records hold {names[1]}.")
    _check_margin(records, spec)
    if spec.square != records.square:
        kinds = {True: "square crops", False: "crops that are not square"}
        raise ValueError(
            f"The network takes {kinds[spec.square]}, the records' crop rule, "
            f"{records.crop_rules[0]}, gives {kinds[records.square]}."
        )


def _check_margin(records: RecordSet, spec: ModelSpec) -> None:
    if spec.margin > 1.01 * records.min_context:
        raise ValueError(
            f"The network's crop, {spec.margin:g} times the face box, does not fit in the "
            f"records' squares, {records.min_context:.2f} times the box. Write records with "
            f"--context={spec.margin + 0.5:g} or more."
        )


def crop_batches(
    records: RecordSet,
    spec: ModelSpec,
    *,
    batch_size: int = 64,
    move_boxes: Callable[[np.ndarray], np.ndarray] | None = None,
    draw_angles: Callable[[int], np.ndarray] | None = None,
) -> Iterator[CropBatch]:
    """Yields the crops of all faces of records as the network's input, in a fixed order.

    Args:
        records: The faces.
        spec: The model's input.
        batch_size: Maximum number of faces per batch. Defaults to 64.
        move_boxes: A function from the recorded boxes [B, 4] to the boxes that are cropped, in
            pixels of the stored squares. Defaults to no change.
        draw_angles: A function from B to the angles in degrees by which the faces are rotated.
            Defaults to no rotation.
    """
    _check_margin(records, spec)
    ratio = decode_ratio(records.side, records.context, spec.margin, spec.input_size)
    side = records.side // ratio

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, side, side, 3), tf.uint8),
            tf.TensorSpec((None, 4), tf.float32),
            tf.TensorSpec((None,), tf.float32),
        ],
        autograph=False,
    )
    def crop(image, box, angle_rad):
        faces = {"image": image, "box_square_px": box}
        return crop_faces(
            faces,
            input_size=spec.input_size,
            margin=spec.margin,
            square=spec.square,
            angle_rad=angle_rad if draw_angles else None,
        )

    batches = read_faces(records, ratio, details=True).batch(batch_size).prefetch(2)
    for faces in read_named(batches, records.files):
        box = faces["box_square_px"].numpy()
        if move_boxes is not None:
            box = move_boxes(box).astype(np.float32)
        angle_rad = np.radians(draw_angles(len(box)) if draw_angles else np.zeros(len(box)))
        image, crop_to_square = crop(faces["image"], box, angle_rad.astype(np.float32))
        to_source = faces["square_to_source"].numpy().astype(np.float64)
        true = faces["landmarks_square_px"].numpy().astype(np.float64)
        visibility = faces["visibility"].numpy()
        true[visibility == 0] = np.nan

        def in_source(boxes, to_source=to_source):
            return apply_affine(to_source, boxes.reshape(-1, 2, 2)).reshape(-1, 4)

        true_px = apply_affine(to_source, true)
        yield CropBatch(
            image=image.numpy(),
            crop_to_source=compose(to_source, crop_to_square.numpy().astype(np.float64)),
            true_px=true_px,
            box_xyxy_px=in_source(box),
            dataset_box_xyxy_px=in_source(faces["dataset_box_square_px"].numpy()),
            key=[key.decode() for key in faces["key"].numpy()],
            groups=[
                frozenset([split.decode(), *filter(None, attributes.decode().split(","))])
                for split, attributes in zip(
                    faces["split"].numpy(), faces["attributes"].numpy(), strict=True
                )
            ],
            true_visibility=visibility,
        )


def predict_batches(
    run: Callable[[np.ndarray], np.ndarray | tuple[Any, ...]],
    batches: Iterable[CropBatch],
    scheme_map: SchemeMap | None = None,
    calibration: ScoreCalibration | None = None,
) -> Predictions:
    """Returns the predictions of all faces.

    Args:
        run: A function of `compile_localizer`; or of `compile_network`, without visibility.
        batches: Batches of `crop_batches`.
        scheme_map: Map from the network's scheme to the batches'. Defaults to no map.
        calibration: Calibration of the scores of faces. Defaults to none.
    """
    true, predicted, boxes, dataset_boxes = [], [], [], []
    true_visibility, visibility, face_scores = [], [], []
    keys: list[str] = []
    groups: list[frozenset[str]] = []
    for batch in batches:
        outputs = run(batch.image)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        found = apply_affine(batch.crop_to_source, outputs[0].astype(np.float64))
        if calibration is not None:
            face_scores.append(calibration(found, outputs[1]))
        if len(outputs) > 2:
            visible = outputs[2].astype(np.float64)
            visibility.append(visible if scheme_map is None else scheme_map.map_scores(visible))
        if batch.true_visibility is not None:
            true_visibility.append(batch.true_visibility)
        true.append(batch.true_px)
        predicted.append(found if scheme_map is None else scheme_map(found))
        boxes.append(batch.box_xyxy_px)
        dataset_boxes.append(batch.dataset_box_xyxy_px)
        keys.extend(batch.key)
        groups.extend(batch.groups)
    return Predictions(
        true_px=np.concatenate(true),
        predicted_px=np.concatenate(predicted),
        box_xyxy_px=np.concatenate(boxes),
        dataset_box_xyxy_px=np.concatenate(dataset_boxes),
        key=keys,
        groups=groups,
        index=np.arange(len(keys)),
        evaluated=None if scheme_map is None else np.array(list(map(bool, scheme_map.groups))),
        true_visibility=np.concatenate(true_visibility) if true_visibility else None,
        visibility=np.concatenate(visibility) if visibility else None,
        score=np.concatenate(face_scores) if face_scores else None,
    )
