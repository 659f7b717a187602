"""Everything on synthetic faces: render, write records, train, evaluate, predict.

  wing-demo [--output=wing_demo]

Needs no data and no flags; three to five minutes on two cores. The same command resumes.
"""

import pathlib
import shutil

from absl import flags

from wing_tf.cli import common
from wing_tf.utils.output_folder import locked_folder

_OUTPUT = flags.DEFINE_string("output", "wing_demo", "The folder for all results.")
_NUM_FACES = flags.DEFINE_integer("num_faces", 3000, "Number of training faces.", lower_bound=64)
_EPOCHS = flags.DEFINE_integer("epochs", 24, "Number of training epochs.", lower_bound=1)

NUM_TEST = 300


def main() -> None:
    """Runs all steps."""
    folder = pathlib.Path(_OUTPUT.value)
    with locked_folder(folder):
        _run(folder)


def _run(folder: pathlib.Path) -> None:
    from tfrecords_tools.sources import SyntheticSource
    from tfrecords_tools.square_crops import SquareFormat
    from tfrecords_tools.writer import write_records
    from wing_tf.configs import demo
    from wing_tf.evaluation.evaluator import evaluate
    from wing_tf.evaluation.report import format_report
    from wing_tf.geometry import landmark_box
    from wing_tf.inference import Landmarker
    from wing_tf.training.run import train
    from wing_tf.utils.image_files import save_image
    from wing_tf.visualization import contact_sheet, draw_landmarks

    records, run, report_folder = folder / "records", folder / "run", folder / "report"
    source = SyntheticSource(num_train=_NUM_FACES.value, num_test=NUM_TEST)

    print("1/4 Writing records of synthetic faces", flush=True)
    if records.is_dir():
        print(f"{records} exists already.")
    else:
        write_records(source, records, square_format=SquareFormat(side=128))

    print("2/4 Training CNN-6 with Wing loss", flush=True)
    config = demo.get_config()
    config.data.path = str(records)
    config.epochs = _EPOCHS.value
    train(config, run)

    print("3/4 Evaluating on test faces", flush=True)
    shutil.rmtree(report_folder, ignore_errors=True)  # of an earlier run
    report_folder.mkdir()
    report = evaluate(run, f"{records}/test-*", report_folder, normalizer="box")
    print(format_report(report))

    print("4/4 Predicting landmarks on new images", flush=True)
    landmarker = Landmarker(run)
    drawn = []
    for item in source.items()[:16]:  # test faces come first
        face = source.load(item)
        (located,) = landmarker(face.image, landmark_box(face.landmarks_px)[None])
        drawn.append(
            draw_landmarks(
                face.image,
                located.landmarks_px,
                source.scheme,
                box_xyxy_px=located.box_xyxy_px,
            )
        )
    save_image(folder / "images.png", contact_sheet(drawn))
    ratio = report["nme"] / report["mean_shape_nme"]
    print(
        f"\nNME {100 * report['nme']:.2f} % of the box, {100 * ratio:.0f} % of the mean "
        f"shape's.\nRecords: {records}\nRun (model: checkpoints/best.keras): {run}\n"
        f"Report: {report_folder}\nImages: {folder / 'images.png'}\n"
        f"Try: tensorboard --logdir={run}/tensorboard"
    )


def entry() -> None:
    """The console command."""
    common.run(main, __name__)


if __name__ == "__main__":
    entry()
