"""Training tasks: coordinates, heatmaps, and the refinement by a second stage."""

import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import ml_collections
import numpy as np

from wing_tf.codecs import HeatmapCodec
from wing_tf.data.augment import Augmentation, Augmenter
from wing_tf.data.heatmap_targets import HeatmapAugmenter
from wing_tf.data.read import decode_ratio, median_relative_box, read_landmarks
from wing_tf.data.records import RecordSet
from wing_tf.data.refinement import FirstStage, RefinementAugmenter
from wing_tf.geometry import landmark_box, procrustes, shrink_ratio
from wing_tf.losses import CROSS_ENTROPY_LOSSES
from wing_tf.model_spec import IMAGENET, ModelSpec, read_model_spec
from wing_tf.models import HEATMAP_MODELS, correction, heatmap_localizer, two_stage
from wing_tf.models.saving import find_network, load_network
from wing_tf.models.two_stage import reference_in_crop
from wing_tf.models.visibility import visibility_localizer, without_visibility
from wing_tf.training.accelerator import ExecutionPlan
from wing_tf.training.resolve import ALL_MODELS, emits_residuals, has_boundary, model_options
from wing_tf.training.sigma_schedule import sigma_values

BatchAugmenter = Augmenter | RefinementAugmenter

_UNKNOWN = "not known (weights from a file)"


def _faces_of(model: str) -> Mapping[str, int]:
    """Returns the training faces of a model that another one is initialized from."""
    if not model:
        return {}
    try:
        return read_model_spec(find_network(model)).known_faces or {_UNKNOWN: 0}
    except ValueError:  # a resumed training does not need the file
        return {_UNKNOWN: 0}


class CoordinateTask:
    """Training of a network that emits landmarks.

    A task says what is trained and on which crops: it builds the network, its augmenter, and the
    localizer, the graph around the network that is evaluated and saved.

    Args:
        config: The training's config, complete.
        records: The training faces.
        held_out: Number of validation faces by data set.

    Attributes:
        initial_faces: Training faces by data set of the networks that are part of this one.
        input_files: Files that a resumed training reads again, by their config keys.
        boundary_curves: The scheme's curves that the targets need.
    """

    _name_prefix = ""

    def __init__(self, config: ml_collections.ConfigDict, records: RecordSet, held_out=None):
        self.config, self.records = config, records
        self.held_out = dict(held_out or {})
        self.initial_faces: Mapping[str, int] = {}
        self.input_files: dict[str, pathlib.Path] = {}
        self.boundary_curves: tuple[tuple[int, ...], ...] = ()
        self._box_around_landmarks = median_relative_box(records)
        self._prepare()

    def _prepare(self) -> None:
        """Checks the records, and sets what differs between the tasks."""

    @property
    def spec(self) -> ModelSpec:
        """The localizer's model spec."""
        return self._make_spec(self.config.model.input_size, self.config.crop_margin)

    def _make_spec(self, input_size: int, margin: float) -> ModelSpec:
        records, config = self.records, self.config
        trained_on = dict(records.sources)
        for known in (_faces_of(config.init_from), self.initial_faces):
            for name, count in known.items():
                # Of the same data set, the faces that are held out here are not counted.
                trained_on[name] = max(count - self.held_out.get(name, 0), trained_on.get(name, 0))
        if config.model.weights:
            trained_on |= IMAGENET if config.model.weights == "imagenet" else {_UNKNOWN: 0}
        return ModelSpec(
            scheme=records.scheme,
            input_size=input_size,
            margin=margin,
            square=records.square,
            trained_on=trained_on,
            held_out=self.held_out,
            trained_crops=tuple(str(crop) for crop in records.crop_rules),
            trained_boxes=tuple(crop.box for crop in records.crop_rules),
            box_around_landmarks=self._box_around_landmarks,
        )

    @property
    def decode_ratio(self) -> int:
        """The reduction at which the training images are decoded."""
        records, size = self.records, self.config.model.input_size
        return decode_ratio(records.side, records.context, self.config.crop_margin, size)

    def build_network(self) -> keras.Model:
        """Builds the network that is trained, in the current dtype policy."""
        kind = self.config.model.name
        build, num_landmarks = ALL_MODELS[kind], self.records.scheme.num_landmarks
        return build(num_landmarks, name=f"{self._name_prefix}{kind}", **model_options(self.config))

    def localizer(self, network: keras.Model) -> keras.Model:
        """Returns the graph around a network that is evaluated and saved."""
        return visibility_localizer(network)

    def augmenter(self, execution: ExecutionPlan) -> BatchAugmenter:
        """Returns the function of record batches to the network's inputs, targets and weights."""
        return Augmenter(
            self.records.scheme, jit_compile=execution.compile_parts, **self.crop_options
        )

    @property
    def crop_options(self) -> dict[str, Any]:
        """The arguments of `Augmenter` that say how the network's input is cropped."""
        return {
            "input_size": self.config.model.input_size,
            "margin": self.config.crop_margin,
            "augmentation": Augmentation(**self.config.augment),
            "square": self.records.square,
            "with_visibility": self.config.model.visibility,
        }


class HeatmapTask(CoordinateTask):
    """Training of a network that emits heatmaps, and is used with a decoder.

    Raises:
        ValueError: If the config has a boundary map and the scheme has no boundary curves.
    """

    def _prepare(self) -> None:
        if not has_boundary(self.config):
            return
        self.boundary_curves = self.records.scheme.boundary_curves
        if not self.boundary_curves:
            raise ValueError(
                f"{self.records.scheme.name} has no boundary curves: set config.model.boundary and "
                "config.model.boundary_coordinates to False."
            )

    @property
    def codec(self) -> HeatmapCodec:
        """The codec of the heatmaps; its sigma is the last hourglass's final one."""
        settings, size = self.config.heatmap, self.config.model.input_size
        schedule, loss = self.config.sigma_schedule, self.config.loss
        sigma = sigma_values(settings.sigma, schedule.temporal_step, schedule.final_sigma)[-1]
        sigma -= schedule.spatial_step * (self.config.model.num_stacks - 1)
        return HeatmapCodec(
            input_size=size,
            heatmap_size=size // 4,
            sigma=sigma,
            decoder=settings.decoder,
            activation=loss.activation if loss.name in CROSS_ENTROPY_LOSSES else "linear",
            legacy=settings.legacy,
        )

    def localizer(self, network: keras.Model) -> keras.Model:
        """Returns the network with a decoder of its last heatmaps."""
        return heatmap_localizer(network, self.records.scheme.num_landmarks, self.codec)

    def augmenter(self, execution: ExecutionPlan) -> BatchAugmenter:
        """Returns the function of record batches to inputs, heatmaps and weights."""
        config, step = self.config, self.config.sigma_schedule.spatial_step
        num_stacks = config.model.num_stacks
        return HeatmapAugmenter(
            self.records.scheme,
            codec=self.codec,
            boundary_sigma=config.heatmap.boundary_sigma if has_boundary(config) else 0,
            sigma_steps=[step * i for i in reversed(range(num_stacks))] if step else [0.0],
            with_positions=emits_residuals(config),
            jit_compile=execution.compile_parts,
            **self.crop_options,
        )


class RefinementTask(CoordinateTask):
    """Training of the second stage of a two-stage model; the trained first stage is frozen.

    Raises:
        ValueError: If the first stage does not fit the records or the second stage's crops.
    """

    _name_prefix = "second_"  # the first stage may be the same kind of network

    def _prepare(self) -> None:
        config, records = self.config, self.records
        first, self.first_spec = load_network(config.two_stage.first)
        self.first = without_visibility(first)
        self.initial_faces = self.first_spec.known_faces or {_UNKNOWN: 0}
        self.input_files = {"config.two_stage.first": find_network(config.two_stage.first)}
        self._check_first()
        landmarks, visibility, boxes = read_landmarks(records)
        landmarks = np.where(visibility[..., None] > 0, landmarks, np.nan)
        mean, _ = procrustes(landmarks, records.scheme.flip_permutation)
        # The margin refers to the records' boxes, but the reference shape's box is tight.
        sides = [np.max(b[:, 2:] - b[:, :2], axis=1) for b in (boxes, landmark_box(landmarks))]
        margin = config.crop_margin * float(np.mean(sides[0]) / np.mean(sides[1]))
        self.reference = reference_in_crop(mean, config.model.input_size, margin)

    def _check_first(self) -> None:
        config, first, records = self.config, self.first_spec, self.records
        if first.scheme_name != records.scheme.name:
            raise ValueError(
                f"config.two_stage.first predicts {first.scheme_name}, the records hold "
                f"{records.scheme.name}."
            )
        if not (records.square and first.square):
            raise ValueError(
                "A two-stage model needs square crops: write records with another crop rule."
            )
        if max(first.margin, config.crop_margin) > config.two_stage.margin:
            raise ValueError(
                f"config.two_stage.margin={config.two_stage.margin:g} must be at least as large as "
                f"the first stage's margin, {first.margin:g}, and config.crop_margin, "
                f"{config.crop_margin:g}."
            )
        if isinstance(self.first.output, dict):
            raise ValueError("config.two_stage.first must emit landmarks, not decode heatmaps.")
        if any(isinstance(layer, keras.Model) for layer in self.first.layers):
            raise ValueError("config.two_stage.first must be a single stage.")
        span = config.two_stage.input_size * config.crop_margin / config.two_stage.margin
        if span < 0.9 * config.model.input_size:
            raise ValueError(
                f"config.two_stage.input_size={config.two_stage.input_size} leaves {span:.0f} "
                f"pixels for the second crop of config.model.input_size={config.model.input_size}: "
                "fewer than in training. Set a larger one."
            )

    @property
    def spec(self) -> ModelSpec:
        """The model spec of both stages together, whose input both crops are sampled from."""
        return self._make_spec(self.config.two_stage.input_size, self.config.two_stage.margin)

    @property
    def decode_ratio(self) -> int:
        """The smaller reduction of the two that both stages need."""
        records, first = self.records, self.first_spec
        own = decode_ratio(records.side, records.context, first.margin, first.input_size)
        return min(super().decode_ratio, own)

    def build_network(self) -> keras.Model:
        """Builds the second network."""
        network = super().build_network()
        return correction(network, self.reference) if self.config.two_stage.correct else network

    def localizer(self, network: keras.Model) -> keras.Model:
        """Returns both stages as one network."""
        return two_stage(
            self.first,
            network,
            self.reference,
            input_size=self.config.two_stage.input_size,
            margin=self.config.two_stage.margin,
            first_margin=self.first_spec.margin,
            second_margin=self.config.crop_margin,
        )

    def augmenter(self, execution: ExecutionPlan) -> BatchAugmenter:
        """Returns the function of record batches to crops that the first stage has aligned."""
        settings, scheme = self.config.two_stage, self.records.scheme
        first_stage = None
        if not settings.simulated_error:
            size, margin = self.first_spec.input_size, self.first_spec.margin
            side = self.records.side // self.decode_ratio
            augmentation = Augmentation(**settings.augment)
            first_stage = FirstStage(
                execution.copy(self.first),
                Augmenter(scheme, input_size=size, margin=margin, augmentation=augmentation),
                shrink_ratio=shrink_ratio(side * margin / self.records.context, size, side),
                jit_compile=execution.compile_parts,
            )
        return RefinementAugmenter(
            Augmenter(scheme, **self.crop_options),
            self.reference,
            first_stage=first_stage,
            simulated_error=settings.simulated_error,
            correction=settings.correct,
            jit_compile=execution.compile_parts,
        )


def make_task(
    config: ml_collections.ConfigDict, records: RecordSet, held_out: Mapping[str, int] | None = None
) -> CoordinateTask:
    """Returns a config's task; ``config.two_stage.first`` makes it a `RefinementTask`."""
    if config.model.name in HEATMAP_MODELS:
        return HeatmapTask(config, records, held_out)
    kind = RefinementTask if config.two_stage.first else CoordinateTask
    return kind(config, records, held_out)
