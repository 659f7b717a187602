"""What a training trains: one network, or the second one of two."""

import inspect
import pathlib
from collections.abc import Mapping

import keras
import ml_collections
import numpy as np

from wing_tf.codecs import HeatmapCodec
from wing_tf.data.augment import Augmentation, Augmenter
from wing_tf.data.heatmap_targets import HeatmapAugmenter
from wing_tf.data.read import decode_ratio, read_landmarks
from wing_tf.data.records import RecordSet
from wing_tf.data.refinement import FirstStage, RefinementAugmenter
from wing_tf.geometry import landmark_box, procrustes, shrink_ratio
from wing_tf.losses import CROSS_ENTROPY_LOSSES
from wing_tf.model_spec import IMAGENET, ModelSpec, read_model_spec
from wing_tf.models import HEATMAP_MODELS, MODELS, correction, heatmap_localizer, two_stage
from wing_tf.models.saving import find_network, load_network
from wing_tf.models.two_stage import reference_in_crop
from wing_tf.training.accelerator import ExecutionPlan
from wing_tf.training.config import emits_residuals, has_boundary
from wing_tf.training.sigma_schedule import sigma_values

_UNKNOWN = "not known (weights from a file)"


def _faces_of(model: str) -> Mapping[str, int]:
    """Returns the training faces of a model that another one begins with."""
    if not model:
        return {}
    try:
        return read_model_spec(model).known_faces or {_UNKNOWN: 0}
    except ValueError:  # a resumed training does not need it any more
        return {_UNKNOWN: 0}


class CoordinateTask:
    """A network that is trained and used by itself.

    Args:
        config: of the training.
        records: the training faces.

    Attributes:
        held_out: how many faces of each data set are kept for validation; set by who knows.
    """

    def __init__(self, config: ml_collections.ConfigDict, records: RecordSet):
        self.config, self.records = config, records
        self.held_out: Mapping[str, int] = {}

    @property
    def spec(self) -> ModelSpec:
        """What the input of `whole` is."""
        return ModelSpec(
            scheme=self.records.scheme,
            input_size=self.config.model.input_size,
            margin=self.config.crop_margin,
            **self._origin,
        )

    @property
    def _origin(self) -> dict:
        records, config = self.records, self.config
        trained_on = dict(records.sources)
        for known in [_faces_of(config.init_from), *self._begun_with]:
            for name, count in known.items():
                # Those that are held out here are known by that name.
                seen = count - self.held_out.get(name, 0)
                trained_on[name] = max(seen, trained_on.get(name, 0))
        if config.model.weights:
            trained_on |= IMAGENET if config.model.weights == "imagenet" else {_UNKNOWN: 0}
        return {
            "square": records.square,
            "trained_on": trained_on,
            "held_out": dict(self.held_out),
            "trained_crops": [str(crop) for crop in records.crop_rules],
            "trained_boxes": [crop.box for crop in records.crop_rules],
        }

    @property
    def _begun_with(self) -> list[Mapping[str, int]]:
        """The faces that other networks in this one have seen."""
        return []

    @property
    def _name(self) -> str:
        return self.config.model.name

    @property
    def decode_ratio(self) -> int:
        """At which share of their size the training images are decoded."""
        config, records = self.config, self.records
        return decode_ratio(
            records.side, records.context, config.crop_margin, config.model.input_size
        )

    @property
    def inputs(self) -> dict[str, pathlib.Path]:
        """Files that the training reads again when it is resumed, by their config keys."""
        return {}

    @property
    def curves(self) -> tuple[tuple[int, ...], ...]:
        """The curves of the scheme that targets need."""
        return ()

    def network(self) -> keras.Model:
        """Builds the network that is trained, in the current dtype policy."""
        model = (MODELS | HEATMAP_MODELS)[self.config.model.name]
        options = inspect.signature(model).parameters
        chosen = {k: v for k, v in self.config.model.items() if k in options and k != "name"}
        return model(self.records.scheme.num_landmarks, name=self._name, **chosen)

    def whole(self, network: keras.Model) -> keras.Model:
        """Returns what is judged and saved, round a network as from `network`."""
        return network

    def augmenter(self, device_plan: ExecutionPlan):
        """Returns what makes the network's inputs and targets."""
        return self._augmenter(jit_compile=device_plan.compile_parts)

    def _augmenter(self, *, jit_compile: bool) -> Augmenter:
        return Augmenter(self.records.scheme, jit_compile=jit_compile, **self._crops)

    @property
    def _crops(self) -> dict:
        return {
            "input_size": self.config.model.input_size,
            "margin": self.config.crop_margin,
            "augmentation": Augmentation(**self.config.augment),
            "square": self.records.square,
        }


class HeatmapTask(CoordinateTask):
    """A network that is trained to emit heatmaps, and used with a decoder behind them.

    Raises:
        ValueError: if the scheme has no boundary curves and the config asks for a boundary.
    """

    def __init__(self, config: ml_collections.ConfigDict, records: RecordSet):
        super().__init__(config, records)
        if has_boundary(config) and not records.scheme.boundary_curves:
            raise ValueError(
                f"{records.scheme.name} has no boundary curves: set config.model.boundary and "
                "config.model.boundary_coordinates to False."
            )

    @property
    def curves(self) -> tuple[tuple[int, ...], ...]:
        """The boundary's curves, if there is a boundary."""
        return self.records.scheme.boundary_curves if has_boundary(self.config) else ()

    @property
    def codec(self) -> HeatmapCodec:
        """How maps are drawn and read; its sigma is what the last hourglass ends with."""
        settings, size = self.config.heatmap, self.config.model.input_size
        kernel = self.config.sigma_schedule
        sigma = sigma_values(settings.sigma, kernel.temporal_step, kernel.final_sigma)[-1]
        sigma -= kernel.spatial_step * (self.config.model.num_stacks - 1)
        crosses = self.config.loss.name in CROSS_ENTROPY_LOSSES
        return HeatmapCodec(
            input_size=size,
            heatmap_size=size // 4,
            sigma=sigma,
            decoder=settings.decoder,
            activation=self.config.loss.activation if crosses else "linear",
            legacy=settings.legacy,
        )

    def whole(self, network: keras.Model) -> keras.Model:
        """Returns the network with its last maps decoded."""
        return heatmap_localizer(network, self.records.scheme.num_landmarks, self.codec)

    def _augmenter(self, *, jit_compile: bool) -> Augmenter:
        config, step = self.config, self.config.sigma_schedule.spatial_step
        stacks = config.model.num_stacks
        return HeatmapAugmenter(
            self.records.scheme,
            codec=self.codec,
            boundary_sigma=config.heatmap.boundary_sigma if has_boundary(config) else 0,
            sigma_steps=[step * i for i in reversed(range(stacks))] if step else [0.0],
            with_positions=emits_residuals(config),
            jit_compile=jit_compile,
            **self._crops,
        )


class RefinementTask(CoordinateTask):
    """The second network of a two-stage one; the first is trained already and stays as it is.

    Raises:
        ValueError: if the first network is of another scheme, or its crop is too large.
    """

    def __init__(self, config: ml_collections.ConfigDict, records: RecordSet):
        super().__init__(config, records)
        self.first, self.first_spec = load_network(config.two_stage.first)
        if self.first_spec.scheme_name != records.scheme.name:
            raise ValueError(
                f"config.two_stage.first predicts {self.first_spec.scheme_name}, the records "
                f"hold {records.scheme.name}."
            )
        if not (records.square and self.first_spec.square):
            raise ValueError("Two stages need square crops: write records with another crop rule.")
        margins = (self.first_spec.margin, config.crop_margin)
        if max(margins) > config.two_stage.margin:
            raise ValueError(
                f"config.two_stage.margin={config.two_stage.margin:g} must be at least as large "
                f"as the first stage's margin, {margins[0]:g}, and config.crop_margin, "
                f"{margins[1]:g}."
            )
        if isinstance(self.first.output, dict):
            raise ValueError("config.two_stage.first must emit landmarks, not decode heatmaps.")
        if any(isinstance(layer, keras.Model) for layer in self.first.layers):
            raise ValueError("config.two_stage.first must be of one stage itself.")
        span = config.two_stage.input_size * config.crop_margin / config.two_stage.margin
        if span < 0.9 * config.model.input_size:
            raise ValueError(
                f"config.two_stage.input_size={config.two_stage.input_size} leaves {span:.0f} "
                f"pixels for the second crop of config.model.input_size={config.model.input_size}: "
                "less than in training. Take a larger one."
            )
        landmarks, visibility, boxes = read_landmarks(records)
        landmarks = np.where(visibility[..., None] > 0, landmarks, np.nan)
        mean, _ = procrustes(landmarks, records.scheme.flip_permutation)
        # The margin is of the records' boxes, the reference shape's box is tight.
        sides = [np.max(b[:, 2:] - b[:, :2], axis=1) for b in (boxes, landmark_box(landmarks))]
        margin = config.crop_margin * float(np.mean(sides[0]) / np.mean(sides[1]))
        self.reference = reference_in_crop(mean, config.model.input_size, margin)

    @property
    def spec(self) -> ModelSpec:
        """The context crop, which both networks' crops are cut from."""
        return ModelSpec(
            scheme=self.records.scheme,
            input_size=self.config.two_stage.input_size,
            margin=self.config.two_stage.margin,
            **self._origin,
        )

    @property
    def _begun_with(self) -> list[Mapping[str, int]]:
        return [self.first_spec.known_faces or {_UNKNOWN: 0}]

    @property
    def decode_ratio(self) -> int:
        """The smaller one of what both networks need."""
        records, first = self.records, self.first_spec
        own = decode_ratio(records.side, records.context, first.margin, first.input_size)
        return min(super().decode_ratio, own)

    @property
    def inputs(self) -> dict[str, pathlib.Path]:
        """The first network's file."""
        return {"config.two_stage.first": find_network(self.config.two_stage.first)}

    @property
    def _name(self) -> str:
        return f"second_{self.config.model.name}"  # the first may be of the same kind

    def network(self) -> keras.Model:
        """Builds the second network."""
        network = super().network()
        return correction(network, self.reference) if self.config.two_stage.correct else network

    def whole(self, network: keras.Model) -> keras.Model:
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

    def augmenter(self, device_plan: ExecutionPlan):
        """Returns what refines crops by the first stage, or by perturbed truth."""
        jit_compile, settings = device_plan.compile_parts, self.config.two_stage
        common = {
            "simulated_error": settings.simulated_error,
            "correction": settings.correct,
            "jit_compile": jit_compile,
        }
        second = self._augmenter(jit_compile=False)
        first = None
        if not settings.simulated_error:
            size, margin = self.first_spec.input_size, self.first_spec.margin
            side = self.records.side // self.decode_ratio
            first = FirstStage(
                device_plan.copy(self.first),
                Augmenter(
                    self.records.scheme,
                    input_size=size,
                    margin=margin,
                    augmentation=Augmentation(**settings.augment),
                ),
                shrink_ratio=shrink_ratio(side * margin / self.records.context, size, side),
                jit_compile=jit_compile,
            )
        return RefinementAugmenter(second, self.reference, first_stage=first, **common)


def make_task(config: ml_collections.ConfigDict, records: RecordSet) -> CoordinateTask:
    """Returns what the config trains: `config.two_stage.first` makes it a second stage."""
    if config.model.name in HEATMAP_MODELS:
        return HeatmapTask(config, records)
    return (RefinementTask if config.two_stage.first else CoordinateTask)(config, records)
