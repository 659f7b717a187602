"""Summary of a manifest in a few lines."""

import collections
import os
import re
import shlex
from collections.abc import Mapping
from typing import Any

from wing_tf.data import record_schema as schema
from wing_tf.utils.json_values import check_counts, check_names, check_object
from wing_tf.utils.printable import printable_lines

_MAX_REASONS = 3


def format_summary(manifest: Mapping[str, Any], folder: str | os.PathLike) -> str:
    """Returns the warnings of a manifest, and then three lines.

    The three lines are the number of faces by split; how many faces were skipped, with the most
    frequent reasons and the first face of each; and the next command. Reasons that differ only in
    the name of the face and in numbers count as one.

    Args:
        manifest: The content of ``manifest.json``.
        folder: The record folder.
    """
    lines = [f"WARNING: {warning}" for warning in manifest.get("warnings", ())]
    lines += [f"WARNING: {text}" for text in manifest["differences_from_official_counts"]]
    counts = manifest["counts"]
    splits = ", ".join(f"{split} {count}" for split, count in counts.items())
    lines.append(f"{sum(counts.values())} faces of {manifest['scheme']} in {folder}: {splits}")
    lines.append(_skipped(manifest["skipped"], os.path.join(folder, schema.MANIFEST)))
    lines.append(f"Next: wing-tfrecords inspect --data={shlex.quote(os.fspath(folder))}")
    return printable_lines(lines)


def read_manifest(folder: str) -> dict[str, Any]:
    """Returns the content of ``manifest.json`` in a record folder, local or remote.

    Raises:
        ValueError: If there is none, or it is damaged; the message names the file and the key.
        OSError: If it can't be read.
    """
    from wing_tf.data.record_files import is_file, read_json  # imports TensorFlow

    path = os.path.join(folder, schema.MANIFEST)
    if not is_file(path):
        raise ValueError(f"No manifest at {path}: {folder} was not written by `wing-tfrecords`.")
    lists = ("differences_from_official_counts",)
    types = {"counts": dict, "skipped": dict, "scheme": str, **dict.fromkeys(lists, list)}
    manifest = check_object(read_json(path), path, types)
    try:
        check_counts("counts", manifest["counts"])
        check_names("skipped", list(manifest["skipped"].values()))
        for key in ("warnings", *lists):
            check_names(key, manifest.get(key, []))
    except ValueError as error:
        raise ValueError(f"{path}: {error}.") from None
    return manifest


def _skipped(skipped: Mapping[str, str], file: str) -> str:
    if not skipped:
        return "No face skipped."
    kinds: dict[str, list[str]] = collections.defaultdict(list)
    listed: list[tuple[int, str]] = []  # count and text of a reason
    for key, reason in skipped.items():
        if many := re.fullmatch(r"(\d+) of them", reason):  # the key is the name of a kind
            listed.append((int(many[1]), f"{many[1]} {key}"))
        else:
            name = os.path.basename(key.rpartition("#")[0] or key)
            same = re.sub(rf"\S*{re.escape(name)}", "#", reason) if name else reason
            kinds[re.sub(r"\d+(\.\d+)?", "#", same)].append(key)
    for keys in kinds.values():
        listed.append((len(keys), f"{len(keys)} because {skipped[keys[0]]} ({keys[0]})"))
    listed.sort(key=lambda reason: reason[0], reverse=True)
    reasons = [text for _, text in listed[:_MAX_REASONS]]
    if others := sum(count for count, _ in listed[_MAX_REASONS:]):
        reasons.append(f"{others} for other reasons")
    total = sum(count for count, _ in listed)
    return f"{total} skipped: {'; '.join(reasons)}. All are in {file}"
