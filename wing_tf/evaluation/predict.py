"""Predictions on records, on one replica, in source-image pixels."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf

from wing_tf.data.augment import crop_faces
from wing_tf.data.read import decode_ratio, read_faces
from wing_tf.data.records import RecordSet
from wing_tf.geometry import apply_affine, compose
from wing_tf.landmarks import SchemeMap
from wing_tf.model_spec import ModelSpec


@dataclasses.dataclass(frozen=True)
class CropBatch:
    """A batch of faces as the network sees them.

    Attributes:
        image: float32 [B, side, side, 3], 0..255.
        crop_to_source: [B, 2, 3].
        true_px: the truth [B, K, 2] in source pixels, NaN where missing.
        box_xyxy_px: the boxes [B, 4] that were cropped, in source pixels.
        dataset_box_xyxy_px: the data set's own boxes [B, 4], NaN where it has none.
        key: names of the faces.
        groups: for each face its split and its further sub-sets.
    """

    image: np.ndarray
    crop_to_source: np.ndarray
    true_px: np.ndarray
    box_xyxy_px: np.ndarray
    dataset_box_xyxy_px: np.ndarray
    key: list[str]
    groups: list[frozenset[str]]


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Truth and prediction of a set of faces, in source pixels.

    Attributes:
        true_px: [N, K, 2], NaN where missing.
        predicted_px: [N, K, 2]; NaN for landmarks that are not evaluated.
        box_xyxy_px: [N, 4], the boxes that were cropped.
        dataset_box_xyxy_px: [N, 4], the data set's own boxes, NaN where it has none.
        key: N names.
        groups: for each face its split and its further sub-sets.
        index: [N], the faces' places in the order of the records.
        evaluated: bool [K], which landmarks are evaluated; false for those that a scheme map does
            not predict. Defaults to all.
    """

    true_px: np.ndarray
    predicted_px: np.ndarray
    box_xyxy_px: np.ndarray
    dataset_box_xyxy_px: np.ndarray
    key: list[str]
    groups: list[frozenset[str]]
    index: np.ndarray
    evaluated: np.ndarray | None = None

    @property
    def evaluated_true_px(self) -> np.ndarray:
        """The truth [N, K, 2], NaN where missing and where not evaluated."""
        if self.evaluated is None:
            return self.true_px
        return np.where(self.evaluated[:, None], self.true_px, np.nan)


def check_fit(records: RecordSet, spec: ModelSpec, scheme_map: SchemeMap | None = None) -> None:
    """Raises ValueError where a model can't be used on records, maybe through a map."""
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
    if spec.margin > 1.01 * records.context:
        raise ValueError(
            f"The network's crop, {spec.margin:g} times the face box, does not fit in the "
            f"records' squares, {records.context:.2f} times the box. Write records with "
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
    """Yields the faces of records, cut as the model wants them, in a fixed order.

    Args:
        records: what is read.
        spec: the model's input.
        batch_size: the last batch may be smaller.
        move_boxes: maps boxes [B, 4] (pixels of the square) to those that are cropped instead.
        draw_angles: returns the angles in degrees by which the next B faces are turned in their
            crops; none if None.
    """
    _check_margin(records, spec)
    ratio = decode_ratio(records.side, records.context, spec.margin, spec.input_size)
    side = records.side // ratio

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, side, side, 3), tf.uint8),
            tf.TensorSpec((None, 4), tf.float32),
            tf.TensorSpec((None,), tf.float32),
        ]
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

    for faces in read_faces(records, ratio, details=True).batch(batch_size).prefetch(2):
        box = faces["box_square_px"].numpy()
        if move_boxes is not None:
            box = move_boxes(box).astype(np.float32)
        angle_rad = np.radians(draw_angles(len(box)) if draw_angles else np.zeros(len(box)))
        image, crop_to_square = crop(faces["image"], box, angle_rad.astype(np.float32))
        to_source = faces["square_to_source"].numpy().astype(np.float64)
        true = faces["landmarks_square_px"].numpy().astype(np.float64)
        true[faces["visibility"].numpy() == 0] = np.nan

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
        )


def predict_batches(
    run: Callable[[np.ndarray], np.ndarray],
    batches: Iterable[CropBatch],
    scheme_map: SchemeMap | None = None,
) -> Predictions:
    """Predicts all faces of prepared batches.

    Args:
        run: as from `wing_tf.models.compiled.compile_network`.
        batches: as from `crop_batches`.
        scheme_map: from the network's scheme to the batches'; none if they are the same.
    """
    parts, keys, groups = [], [], []
    for batch in batches:
        predicted = apply_affine(batch.crop_to_source, run(batch.image).astype(np.float64))
        if scheme_map is not None:
            predicted = scheme_map(predicted)
        parts.append((batch.true_px, predicted, batch.box_xyxy_px, batch.dataset_box_xyxy_px))
        keys.extend(batch.key)
        groups.extend(batch.groups)
    evaluated = scheme_map and np.array([bool(group) for group in scheme_map.groups])
    arrays = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Predictions(
        *arrays, key=keys, groups=groups, index=np.arange(len(keys)), evaluated=evaluated
    )
