"""A first landmark scheme from the labels of annotated faces, to be confirmed by a person.

Flip pairs are guessed from names, such as ``left_eye`` and ``right_eye``, and for other landmarks
from the symmetry of nearly frontal faces. A wrong pair teaches a network to confuse left and right,
so that a person must confirm them.
"""

import contextlib
import dataclasses
import itertools
import json
import pathlib
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tfrecords_tools.inspection.content_checks import RARE
from tfrecords_tools.inspection.flip_pairs import find_pair_errors
from tfrecords_tools.sources import SOURCES, Source
from tfrecords_tools.sources.labeled_face import LabeledFace, LabeledFaceReader
from tfrecords_tools.sources.labeled_points import label_indices
from wing_tf.data import record_schema as schema
from wing_tf.landmarks import SCHEMES, LandmarkScheme
from wing_tf.landmarks.scheme_file import scheme_from_dict
from wing_tf.utils.atomic import write_text
from wing_tf.utils.did_you_mean import did_you_mean
from wing_tf.utils.local_path import local_path

_MAX_FACES = 2000
_MAX_VOTES = 300  # faces that vote for pairs
_SIDE = re.compile(r"(?i:left|right)|(?<![a-zA-Z])[lrLR](?![a-z])|(?<=[a-z])[LR](?![a-z])")
_SIDES = {"left": "right", "right": "left", "l": "r", "r": "l"}


@dataclasses.dataclass(frozen=True)
class FirstScheme:
    """A guessed scheme.

    Attributes:
        values: The scheme, as `wing_tf.landmarks.scheme_file.scheme_from_dict` reads it.
        names: Names of the landmarks, or their indices as text.
        num_faces: Number of faces that were read.
        by_name: Pairs of landmarks that mirrored names suggest.
        by_symmetry: Pairs of other landmarks that the symmetry of faces suggests.
        doubtful: Pairs by name that contradict the symmetry of faces.
        rare: Number of faces by label, of labels that fewer than a tenth of the faces have.
    """

    values: dict[str, Any]
    names: list[str]
    num_faces: int
    by_name: list[tuple[int, int]]
    by_symmetry: list[tuple[int, int]]
    doubtful: list[tuple[int, int]]
    rare: dict[str, int]


def mirrored_label(label: str) -> str:
    """Returns a label with its sides exchanged.

    Examples:
        >>> [mirrored_label(name) for name in ("left_eye", "EyeL", "r1", "RBrow", "nose")]
        ['right_eye', 'EyeR', 'l1', 'LBrow', 'nose']
    """

    def exchange(match: re.Match[str]) -> str:
        text = match.group()
        other = _SIDES[text.lower()]
        if text.isupper():
            return other.upper()
        return other.capitalize() if text[0].isupper() else other

    return _SIDE.sub(exchange, label)


def make_first_scheme(name: str, faces: Iterable[LabeledFace], reference: str) -> FirstScheme:
    """Guesses a scheme from annotated faces.

    Landmarks are in the order in which labels appear, or in numeric order if all are numbers. The
    normalizer is the distance of the outer eye corners, if the names tell, or else the box.

    Args:
        name: Name of the scheme: letters, digits and underscores.
        faces: Faces; the first 2000 are used.
        reference: Text for the scheme's `reference`.

    Raises:
        ValueError: If there are no faces, or if their kinds differ.
    """
    known = list(itertools.islice(faces, _MAX_FACES))
    labels = list(dict.fromkeys(point.label for face in known for point in face.points))
    if not labels:
        raise ValueError("no face has points")
    if len({(face.ordered, len(face.points) if face.ordered else 0) for face in known}) > 1:
        raise ValueError("faces must have the same number of points, or points with labels")
    if all(label.isdecimal() for label in labels):
        labels.sort(key=lambda label: (int(label[:9]), label))
    # Numbers from 0 are indices, not names.
    is_numbered = labels == [str(index) for index in range(len(labels))]
    points = len(labels) if is_numbered else labels
    values: dict[str, Any] = {"name": name, "points": points, "pairs": []}
    index_of = label_indices(scheme_from_dict(values))
    shapes = _shapes(known, index_of)

    by_name = [
        (index, index_of[other])
        for label, index in index_of.items()
        if (other := mirrored_label(label)) in index_of and index < index_of[other]
    ]
    plain = scheme_from_dict(values)
    values["pairs"] = by_name
    by_symmetry, doubtful = _vote(shapes, plain, scheme_from_dict(values))

    def named(pair: tuple[int, int]) -> list[Any]:
        return list(pair) if is_numbered else [labels[index] for index in pair]

    values["pairs"] = [named(pair) for pair in sorted(by_name + by_symmetry)]
    eyes = _outer_eye_corners(labels, by_name, shapes)
    values["normalizer"] = "box" if eyes is None else named(eyes)
    values["reference"] = reference
    scheme_from_dict(values)  # raises if the guess is not a valid scheme
    annotated = [[p for p in f.points if p.visibility != schema.NOT_ANNOTATED] for f in known]
    counts = Counter(label for points in annotated for label in {p.label for p in points})
    rare = {label: counts[label] for label in labels if counts[label] < RARE * len(known)}
    return FirstScheme(values, labels, len(known), by_name, by_symmetry, doubtful, rare)


def _of_category(faces: Iterable[LabeledFace], category: str | None) -> Iterator[LabeledFace]:
    """Yields the faces of a category. Raises ValueError if there are others and it is None."""
    found: set[str] = set()
    for face in faces:
        found.add(face.category)
        if category is None and len(found) > 1:
            raise ValueError(
                f"there are several kinds of objects, among them {', '.join(sorted(found))}. Name "
                "one by `category`"
            )
        if category in (None, face.category):
            yield face
    if found and category is not None and category not in found:
        raise ValueError(
            f"`category` must be one of {', '.join(sorted(found))}. Received: {category!r}"
        )


def _shapes(faces: list[LabeledFace], index_of: dict[str, int]) -> np.ndarray:
    """Returns the landmarks [N, K, 2], NaN where not annotated."""
    shapes = np.full((len(faces), len(index_of), 2), np.nan)
    for shape, face in zip(shapes, faces, strict=True):
        for point in face.points:
            if point.visibility != schema.NOT_ANNOTATED:
                shape[index_of[point.label]] = point.xy
    return shapes


def _vote(
    shapes: np.ndarray, plain: LandmarkScheme, named: LandmarkScheme
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Returns the pairs that most of the nearly frontal faces suggest, and those they contradict.

    Faces that are turned to one side are not symmetric, and neither may be the mean of a few faces.

    Args:
        shapes: [N, K, 2].
        plain: The scheme without pairs: it tells which faces are symmetric.
        named: The scheme with the pairs by name.
    """
    suggested, contradicted = Counter[tuple[int, int]](), Counter[tuple[int, int]]()
    num_symmetric = 0
    for shape in shapes[np.isfinite(shapes).all(axis=(1, 2))][:_MAX_VOTES]:
        with contextlib.suppress(ValueError):  # all points at one place
            if find_pair_errors(shape[None], plain).undeclared:
                errors = find_pair_errors(shape[None], named)
                num_symmetric += 1
                suggested.update(errors.undeclared)
                contradicted.update(errors.asymmetric)

    def most(votes: Counter[tuple[int, int]]) -> list[tuple[int, int]]:
        return sorted(pair for pair, count in votes.items() if 2 * count > num_symmetric)

    return most(suggested), most(contradicted)


def _outer_eye_corners(
    labels: list[str], pairs: list[tuple[int, int]], shapes: np.ndarray
) -> tuple[int, int] | None:
    """Returns the pair of landmarks of the eyes that is the widest apart."""
    eyes = [
        pair
        for pair in pairs
        if "eye" in labels[pair[0]].lower()
        and not re.search("brow|lash|lid", labels[pair[0]].lower())
    ]
    eyes = [pair for pair in eyes if "out" in labels[pair[0]].lower()] or eyes
    if not eyes or not len(shapes):
        return eyes[0] if len(eyes) == 1 else None
    widths = [np.linalg.norm(shapes[:, i] - shapes[:, j], axis=-1) for i, j in eyes]
    known = [np.mean(w[np.isfinite(w)]) if np.isfinite(w).any() else 0.0 for w in widths]
    return eyes[int(np.argmax(known))]


def write_first_scheme(
    source: type[Source],
    path: str | pathlib.Path,
    output: str | pathlib.Path,
    *,
    category: str | None = None,
) -> str:
    """Writes the first scheme of annotations as JSON and returns a report.

    Args:
        source: Kind of the annotations.
        path: The annotation file or folder.
        output: The JSON file. The name of the scheme is that of the file.
        category: Name of the kind of object; required if there are several.

    Raises:
        ValueError: If the source has no labels, the annotations can't be read, or the file exists.
    """
    if not issubclass(source, LabeledFaceReader):
        known = [n for n, s in SOURCES.items() if issubclass(s, LabeledFaceReader)]
        raise ValueError(f"A scheme is made of {', '.join(known)}. Received: {source.name}.")
    path, output = local_path(path), local_path(output)
    if not path.is_file() and not path.is_dir():
        raise ValueError(f"No {source.name.upper()} annotations at {path}.")
    if output.exists():
        raise ValueError(f"{output} exists already. Name another --output.")
    skipped: dict[str, str] = {}
    name = re.sub(r"\W", "_", output.stem)
    reference = f"first scheme of {path.name}, pairs and normalizer guessed and not confirmed"
    try:
        faces = _of_category(source.read(path, skipped), category)
        first = make_first_scheme(name, faces, reference)
    except ValueError as error:
        reasons = "; ".join(f"{k}: {v}" for k, v in itertools.islice(skipped.items(), 3))
        raise ValueError(f"No scheme from {path}: {error}. {reasons}".strip()) from error
    rows = [f" {json.dumps(k)}: {json.dumps(v)}" for k, v in first.values.items()]
    output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, "{\n" + ",\n".join(rows) + "\n}\n")
    lines = [f"{len(first.names)} landmarks of {first.num_faces} face(s): {output}"]
    frequent = [label for label in first.names if label not in first.rare]
    lines += [
        f"RARE: {count} of {first.num_faces} faces have the label {label!r}. Is it misspelled?"
        f"{did_you_mean(label, frequent)}"
        for label, count in first.rare.items()
    ]
    paired = {index for pair in first.by_name + first.by_symmetry for index in pair}

    def add(title: str, parts: list[str]) -> None:
        if parts:
            lines.append(f"{title}: {', '.join(parts)}")

    def listed(pairs: list[tuple[int, int]]) -> list[str]:
        return [f"{first.names[i]} - {first.names[j]}" for i, j in pairs]

    add("pairs by name", listed(first.by_name))
    add("pairs by the symmetry of faces", listed(first.by_symmetry))
    if not paired:
        lines.append(
            "NO PAIRS were found: names tell no sides, and no complete face is frontal, or there "
            "are fewer than five landmarks. Write the pairs into the file."
        )
    add("DOUBTFUL pairs, which the symmetry of faces contradicts", listed(first.doubtful))
    add("on the axis of symmetry", [name for i, name in enumerate(first.names) if i not in paired])
    lines.append(f"normalizer: {json.dumps(first.values['normalizer'])}")
    own = scheme_from_dict(first.values)
    for name, built_in in SCHEMES.items():
        if built_in.flip_permutation == own.flip_permutation and not own.point_names:
            lines.append(f"The pairs are those of {name}. If these are its landmarks, use it.")
    for key, reason in itertools.islice(skipped.items(), 5):
        lines.append(f"skipped {key}: {reason}")
    lines.append(
        "These are guesses. Confirm pairs and normalizer in the file, write records with "
        f"--scheme={shlex.quote(str(output))}, and look at the images of `wing-tfrecords inspect`."
    )
    return "\n".join(lines)
