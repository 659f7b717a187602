"""Pose balance of records: its JSON file, and images to check it."""

import pathlib

from tfrecords_tools.inspection.drawing import draw_record_faces
from wing_tf.data.pose_balance import fit_balance
from wing_tf.data.read import read_landmarks
from wing_tf.data.records import open_records
from wing_tf.utils.image_files import save_image
from wing_tf.visualization.plots import plot_balance


def write_balance(data: str, folder: pathlib.Path, **options) -> str:
    """Writes balance.json, histogram.png and extremes.png into an existing folder.

    Args:
        data: Training records, as for `open_records`; of a folder, the split "train".
        folder: The folder.
        **options: Arguments of `wing_tf.data.pose_balance.fit_balance`.

    Returns:
        The histogram before and after, as text.

    Raises:
        ValueError: If the records or options are not valid.
    """
    records = open_records(data, split="train")
    landmarks, visibility, _ = read_landmarks(records)
    model = fit_balance(landmarks, visibility, records.scheme, **options)
    weighted = model.bin_counts * model.bin_weights
    before, after = model.bin_counts / model.bin_counts.sum(), weighted / weighted.sum()
    plot_balance(folder / "histogram.png", model.bin_edges, before, after)
    pose = model.coefficients(landmarks, visibility)
    order = pose.argsort()
    middle = abs(pose).argsort()[:8]
    numbers = [*order[:8], *middle, *order[-8:]]
    sheet = draw_record_faces(records, numbers, [f"{pose[number]:+.2f}" for number in numbers])
    save_image(folder / "extremes.png", sheet)
    # Last, so that a folder with balance.json is complete.
    model.save(folder / "balance.json", data=data, num_faces=records.num_faces)
    lines = [
        f"{records.num_faces} faces of {records.scheme.name}. Component {model.component}, "
        f"correlation with the asymmetry of the shapes {model.correlations[model.component]:+.3f}.",
        f"{'bin':>16}{'faces':>8}{'weight':>9}{'before':>9}{'after':>9}",
    ]
    for i, (count, weight) in enumerate(zip(model.bin_counts, model.bin_weights, strict=True)):
        name = f"{model.bin_edges[i]:.2f} to {model.bin_edges[i + 1]:.2f}"
        lines.append(f"{name:>16}{count:>8}{weight:>9.2f}{before[i]:>9.1%}{after[i]:>9.1%}")
    return "\n".join(lines)
