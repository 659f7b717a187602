"""Write a landmark model for other programs, and measure what that costs.

  wing-export --model=RUN --output=EXPORT
  wing-export --model=RUN --precision=int8 --data=RECORDS --output=EXPORT

EXPORT gets model.tflite (or saved_model/, or model.onnx): a uint8 face crop in, landmarks in its
pixels out; model_spec.json (how the crop is cut, what the outputs are), model_card.md, and
export.json: the differences to the model in pixels and in NME, the size, the time of one face. They
are measured on --faces, else on the validation faces of --data, else on rendered faces.
"""

from absl import flags, logging

from wing_tf.cli import common
from wing_tf.export.formats import FORMATS, PRECISIONS

_MODEL = flags.DEFINE_string(
    "model", None, "A .keras file or a run folder (its best model).", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "The folder: new or empty.", required=True)
_FORMAT = flags.DEFINE_enum(
    "format", "litert", list(FORMATS),
    "What is written; onnx needs pip install -e '.[onnx]'.",
)  # fmt: skip
_PRECISION = flags.DEFINE_enum(
    "precision", "float32", list(PRECISIONS),
    "Of weights (float16, dynamic) or of weights and features (int8, needs --data).",
)  # fmt: skip
_DATA = flags.DEFINE_string(
    "data", None, "Record files; int8 is calibrated on their training faces (split train)."
)
_FACES = flags.DEFINE_string(
    "faces", None, "Record files whose faces the export is compared on, instead of --data's."
)
_MAX_NME_COST = flags.DEFINE_float(
    "max_nme_cost", 0.15, "An export whose NME is higher by more points than this is an error."
)
_FORCE = flags.DEFINE_bool("force", False, "Write it all the same.")

_NUM_RENDERED = 64
_SEED = 20260  # other faces than a model of rendered faces may have been trained on


def main() -> None:
    """Exports by the flags."""
    if _PRECISION.value == "int8" and _DATA.value is None:
        raise ValueError(
            "--precision=int8 is calibrated on training faces: name records that hold some with "
            "--data=RECORDS."
        )
    output = common.free_folder(_OUTPUT.value)
    logging.set_verbosity(logging.WARNING)  # TensorFlow's writers report every file

    from wing_tf.export.export_model import export_model

    faces = _FACES.value
    if faces is None and _DATA.value is None:
        faces = _rendered_faces(_MODEL.value)
    try:
        report = export_model(
            _MODEL.value, output, format=_FORMAT.value, precision=_PRECISION.value,
            data=_DATA.value, faces=faces, faces_name="rendered faces",
            max_nme_cost=_MAX_NME_COST.value / 100, force=_FORCE.value,
        )  # fmt: skip
    except ModuleNotFoundError as error:
        if error.name is not None:  # a fault of ours
            raise
        raise ValueError(str(error)) from error  # an optional package: the message says which
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
    lines.append(f"one face: {times}")
    return "\n".join(lines)


def _rendered_faces(model: str):
    """Returns rendered faces as a batch; with a truth where the scheme is the renderer's."""
    import numpy as np

    from tfrecords_tools.sources.synthetic import SyntheticSource
    from wing_tf.evaluation.predict import CropBatch
    from wing_tf.geometry import crop_region, invert, landmark_box
    from wing_tf.geometry.resample import crop_and_resize
    from wing_tf.model_spec import read_model_spec

    spec = read_model_spec(model)
    size_hw = (spec.input_size, spec.input_size)
    source = SyntheticSource(num_train=_NUM_RENDERED, seed=_SEED)
    items = source.items()
    faces = [source.load(item) for item in items]
    boxes = np.stack([landmark_box(face.landmarks_px) for face in faces])
    regions = crop_region(boxes, spec.margin, spec.square)
    crops, matrices = zip(
        *(
            crop_and_resize(face.image, region, size_hw)
            for face, region in zip(faces, regions, strict=True)
        ),
        strict=True,
    )
    truth = np.full((len(faces), spec.scheme.num_landmarks, 2), np.nan)
    if spec.scheme_name == source.scheme.name:
        truth = np.stack([face.landmarks_px for face in faces])
    return [
        CropBatch(
            image=np.stack(crops), crop_to_source=invert(np.stack(matrices)), true_px=truth,
            box_xyxy_px=boxes, dataset_box_xyxy_px=np.full_like(boxes, np.nan),
            key=[item.key for item in items], groups=[frozenset({item.split}) for item in items],
        )
    ]  # fmt: skip


def entry() -> None:
    """The console command."""
    common.run(main, __name__)


if __name__ == "__main__":
    entry()
