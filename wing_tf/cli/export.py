"""Export a landmark model for other programs, and compare the export with it.

  wing-export --model=RUN --output=EXPORT
  wing-export --model=RUN --precision=int8 --data=RECORDS --output=EXPORT
  wing-export --model=RUN --batch=16 --output=EXPORT

EXPORT gets model.tflite (or saved_model/, or model.onnx): from a uint8 face crop to landmarks in
its pixels; model_spec.json (crop rule, outputs), model_card.md, and export.json: the differences to
the model in pixels and in NME, the size, and the time per face. They are measured on --faces, else
on the validation faces of --data, else on rendered faces.
"""

from absl import flags, logging

from wing_tf.cli import common
from wing_tf.export.formats import FORMATS, PRECISIONS
from wing_tf.utils.local_path import local_path
from wing_tf.utils.output_folder import check_free

_MODEL = flags.DEFINE_string(
    "model", None, "A .keras file, a run folder (its best model) or the name of a model.",
    required=True,
)  # fmt: skip
_OUTPUT = flags.DEFINE_string("output", None, "A new or empty folder.", required=True)
_FORMAT = flags.DEFINE_enum(
    "format", "litert", list(FORMATS), "File format; onnx needs pip install -e '.[onnx]'."
)
_PRECISION = flags.DEFINE_enum(
    "precision", "float32", list(PRECISIONS),
    "Precision of weights (float16, dynamic) or of weights and features (int8, needs --data).",
)  # fmt: skip
_BATCH = flags.DEFINE_integer(
    "batch", 1, "Number of faces that a LiteRT or ONNX file takes at a time, for servers; a "
    "SavedModel takes any number.", lower_bound=1,
)  # fmt: skip
_DATA = flags.DEFINE_string(
    "data", None, "Record files; int8 is calibrated on their training faces (split train)."
)
_FACES = flags.DEFINE_string(
    "faces", None, "Record files with the faces of the comparison, instead of --data."
)
_MAX_NME_COST = flags.DEFINE_float(
    "max_nme_cost", 0.15, "Fail if the NME increases by more percentage points than this."
)
_FORCE = flags.DEFINE_bool("force", False, "Write the export even then.")

_NUM_RENDERED = 64
_SEED = 20260  # other faces than those of a model that was trained on rendered faces


def main() -> None:
    """Exports the model that the flags name."""
    if _PRECISION.value == "int8" and _DATA.value is None:
        raise ValueError(
            "--precision=int8 is calibrated on training faces: name records that hold some with "
            "--data=RECORDS."
        )
    output = local_path(_OUTPUT.value)
    check_free(output)  # before TensorFlow is imported
    logging.set_verbosity(logging.WARNING)  # TensorFlow's writers report every file

    from wing_tf.export.export_model import export_model

    faces = _FACES.value
    if faces is None and _DATA.value is None:
        faces = _rendered_faces(_MODEL.value)
    try:
        report = export_model(
            _MODEL.value, output, format=_FORMAT.value, precision=_PRECISION.value,
            batch_size=_BATCH.value, data=_DATA.value, faces=faces, faces_name="rendered faces",
            max_nme_cost=_MAX_NME_COST.value / 100, force=_FORCE.value,
        )  # fmt: skip
    except ModuleNotFoundError as error:
        if error.name is not None:  # not one of an optional package
            raise
        raise ValueError(str(error)) from error
    print(summary(report))
    print(f"{output}: {', '.join(sorted(path.name for path in output.iterdir()))}")


def summary(report: dict) -> str:
    """Returns a report as lines for people."""
    parity, latency = report["parity"], report["latency_ms"]
    lines = [
        f"{report['format']}, {report['precision']}: {report['size_bytes'] / 2**20:.2f} MiB",
        f"{parity['num_faces']} {report['compared_on']}: landmarks differ by "
        f"{parity['mean_px']:.4f} px on average, {parity['max_px']:.4f} px at most",
    ]
    if parity["nme_before"] is not None:
        lines.append(
            f"{parity['normalizer']} NME: {100 * parity['nme_before']:.3f} % before, "
            f"{100 * parity['nme_after']:.3f} % after"
        )
    times = ", ".join(f"{ms:.2f} ms ({threads} threads)" for threads, ms in latency.items())
    batch_size = report["batch_size"] or 1
    one = "one face" if batch_size == 1 else f"one face of a batch of {batch_size}"
    lines.append(f"{one}: {times}")
    return "\n".join(lines)


def _rendered_faces(model: str):
    """Returns a batch of rendered faces, with ground truth if the model has their scheme."""
    import numpy as np

    from tfrecords_tools.sources.synthetic import SyntheticSource
    from wing_tf.evaluation.predict import CropBatch
    from wing_tf.geometry import crop_region, invert, landmark_box
    from wing_tf.geometry.resample import crop_and_resize
    from wing_tf.model_spec import read_model_spec
    from wing_tf.models.saving import find_network

    spec = read_model_spec(find_network(model))
    size_hw = (spec.input_size, spec.input_size)
    source = SyntheticSource(num_train=_NUM_RENDERED, seed=_SEED)
    items = source.items()
    faces = [source.load(item) for item in items]
    landmarks_px = np.stack([face.landmarks_px for face in faces])
    boxes = landmark_box(landmarks_px)
    regions = crop_region(boxes, spec.margin, spec.square)
    crops = [crop_and_resize(f.image, r, size_hw) for f, r in zip(faces, regions, strict=True)]
    true_px = np.full((len(faces), spec.scheme.num_landmarks, 2), np.nan)
    return [
        CropBatch(
            image=np.stack([image for image, _ in crops]),
            crop_to_source=invert(np.stack([matrix for _, matrix in crops])),
            true_px=landmarks_px if spec.scheme_name == source.scheme.name else true_px,
            box_xyxy_px=boxes,
            dataset_box_xyxy_px=np.full_like(boxes, np.nan),
            key=[item.key for item in items],
            groups=[frozenset({item.split}) for item in items],
        )
    ]


def entry() -> None:
    """The console command."""
    common.run(main, __name__)


if __name__ == "__main__":
    entry()
