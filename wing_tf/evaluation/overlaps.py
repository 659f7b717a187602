"""Faces of an evaluation that a training may have seen, or that are in the records twice."""

import collections
from collections.abc import Iterable, Sequence

_OVERLAPS = {
    frozenset({"lapa", "ibug_300w"}): "LaPa holds warped copies of faces of AFW, HELEN, LFPW and "
    "IBUG, the test sets of 300-W among them (issue 9 of its repository)",
}
"""What is known of two data sets, named as `wing_tf.data.records.RecordSet.sources` names them."""


def overlap_notes(trained_on: Iterable[str], evaluated_on: Iterable[str]) -> list[str]:
    """Returns why faces of the evaluation may have been seen in training.

    Args:
        trained_on: Names of the data sets of the training.
        evaluated_on: Names of the data sets of the evaluation.

    Returns:
        One line for each pair of data sets that share images.

    Examples:
        >>> overlap_notes(["wflw"], ["ibug_300w"])
        []
    """
    trained_on, evaluated_on = list(trained_on), list(evaluated_on)
    return [
        f"trained on {name}, evaluated on {other}: {_OVERLAPS[pair]}, so that scores are too good"
        for name in trained_on
        for other in evaluated_on
        if (pair := frozenset({name, other})) in _OVERLAPS
    ]


def check_unique(keys: Sequence[str]) -> None:
    """Raises ValueError if a face is in the records twice: intervals would be too narrow."""
    for key, number in collections.Counter(keys).most_common(1):
        if number > 1:
            raise ValueError(f"{key} is {number} times in the records. Give each face once.")


def training_notes(
    groups: Sequence[frozenset[str]], trained_on: Iterable[str], evaluated_on: Iterable[str]
) -> list[str]:
    """Returns how many of the evaluated faces are of the splits that models are trained with.

    Args:
        groups: Split and attributes of each face.
        trained_on: Names of the data sets of the training.
        evaluated_on: Names of the data sets of the evaluation.

    Returns:
        One line; none if there are no such faces, or if the model was trained on other data sets.
    """
    number = sum(not group.isdisjoint(("train", "validation")) for group in groups)
    shared = sorted(set(trained_on) & set(evaluated_on))
    if not (number and shared):
        return []
    return [
        f"trained on {', '.join(shared)}, and {number} of the {len(groups)} faces are of its "
        "splits train and validation"
    ]


def overlaps_of(trained_on: Iterable[str]) -> list[str]:
    """Returns what is known of the images that the data sets of a training share with others."""
    names = set(trained_on)
    return [text for pair, text in _OVERLAPS.items() if pair & names]
