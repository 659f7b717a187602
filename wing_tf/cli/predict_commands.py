"""What wing-predict does besides: it compares two models, and calibrates a detector."""

import pathlib
import sys
from collections.abc import Sequence

from absl import app

from wing_tf.cli.common import free_folder
from wing_tf.cli.predict_runs import DEFAULT_OUTPUT, Finder
from wing_tf.inference import comparison
from wing_tf.inference.folder import FAULTS, readable_images, reason_of
from wing_tf.utils.atomic import write_text
from wing_tf.utils.image_files import save_image


def compare(
    find: Finder,
    models: Sequence[str],
    *,
    image: str | None,
    folder: str | None,
    output: str | None,
) -> None:
    """Writes how far two models' landmarks are apart on the same faces."""
    target = free_folder(output or str(DEFAULT_OUTPUT / "compare"))
    first, second = (find.open(model) for model in models)
    if not first.scheme.is_equivalent_to(second.scheme):
        raise ValueError(
            f"The models give {first.scheme.name} and {second.scheme.name}. Give --scheme to "
            "compare them in one scheme."
        )
    skipped: dict[str, str] = {}
    kept = comparison.KeptDifferences()
    for name, path, rgb in readable_images(image, folder, skipped, leave_out=target):
        try:
            boxes = first.detect(rgb, str(path))
            kept.add(comparison.compare_faces(rgb, name, boxes, (first, second), first.scheme))
        except FAULTS as error:
            if image:
                raise
            skipped[name] = reason_of(error)
    differences = kept.all
    if not differences:
        raise ValueError(f"No face found in {image or folder}.")
    target.mkdir(parents=True, exist_ok=True)
    table = comparison.difference_table(differences, first.scheme)
    text = f"{len(differences)} face(s). A: {models[0]}. B: {models[1]}.\n\n{table}"
    write_text(target / "compare.md", text)
    write_text(target / "compare.csv", comparison.difference_rows(differences, first.scheme))
    save_image(target / "compare.png", comparison.difference_sheet(differences))
    print(f"{text}\n{target / 'compare.png'}")
    for name, reason in skipped.items():
        print(f"skipped {name}: {reason}", file=sys.stderr)


def calibrate_detector(find: Finder, *, data: str, output: str) -> None:
    """Measures a detector's correction on annotated faces.

    Records keep squares in whose middle the face is, not whole images: a detector may find more
    of them there, and other boxes, than in the images it will see. `wing_tf.detection.calibrate`
    measures on whole images, too.
    """
    path = pathlib.Path(output)
    if path.exists():
        raise ValueError(f"{path} exists already. Name another --output.")
    detector = find.open_detector()
    if detector.needs_name:
        raise app.UsageError("calibrate needs a detector that looks at images: records have none "
                             "of the names of a box file.")  # fmt: skip

    from tqdm import tqdm

    from wing_tf.data.records import find_shards, open_records
    from wing_tf.detection import calibrate
    from wing_tf.inference.calibrate import record_faces

    records = open_records(find_shards(data))
    faces = tqdm(record_faces(records), total=records.num_faces, unit="face", disable=None)
    calibration = calibrate(detector, faces)
    print(calibration)
    path.parent.mkdir(parents=True, exist_ok=True)
    calibration.save(path)
    print(f"{path}: use it with --detector={find.detector} --correction={path}")
