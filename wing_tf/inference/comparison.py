"""Two models on the same faces: how far their landmarks are apart, and images of it."""

import dataclasses
import heapq
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from wing_tf.geometry import landmark_box
from wing_tf.inference.drawing import draw_faces
from wing_tf.inference.face import Face
from wing_tf.inference.output import format_csv
from wing_tf.landmarks import LandmarkScheme
from wing_tf.visualization import contact_sheet
from wing_tf.visualization.draw import put_text
from wing_tf.visualization.sheets import fit_image

SHOWN = 24
"""How many faces are on a sheet."""

_TILE_PX, _GAP_PX = 300, 2
COLUMNS = ("image", "face", "face_size_px", "mean_px", "max_px", "mean_percent", "max_percent",
           "farthest_landmark")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class FaceDifference:
    """One face by two models.

    Attributes:
        image: the image's name.
        face: its number in the image, from 1.
        distances_px: [K] between the two models' landmarks; NaN where one has none.
        size_px: sqrt(w h) of the box round the first model's landmarks.
        tile: the face with either model's landmarks, side by side; None where it is not kept.
    """

    image: str
    face: int
    distances_px: np.ndarray
    size_px: float
    tile: np.ndarray | None

    @property
    def mean_percent(self) -> float:
        """The mean distance in per cent of the face's size."""
        return 100 * float(np.nanmean(self.distances_px)) / self.size_px


class KeptDifferences:
    """Differences that come one by one; the `SHOWN` largest keep their tiles, to save memory.

    Attributes:
        all: in the order in which they came.
    """

    def __init__(self) -> None:
        self.all: list[FaceDifference] = []
        self._shown: list[tuple[float, int]] = []  # a heap of sizes and minus the places in `all`

    def add(self, differences: Iterable[FaceDifference]) -> None:
        """Adds some."""
        for one in differences:
            heapq.heappush(self._shown, (one.mean_percent, -len(self.all)))
            self.all.append(one)
            if len(self._shown) > SHOWN:
                place = -heapq.heappop(self._shown)[1]
                self.all[place] = dataclasses.replace(self.all[place], tile=None)


def compare_faces(
    image: np.ndarray,
    name: str,
    boxes_xyxy_px: np.ndarray,
    models: Sequence[Callable[[np.ndarray, np.ndarray], list[Face]]],
    scheme: LandmarkScheme,
) -> list[FaceDifference]:
    """Runs two models on the same boxes of an image.

    Args:
        image: uint8 RGB [H, W, 3].
        name: of the image.
        boxes_xyxy_px: [N, 4].
        models: two landmarkers of the same scheme.
        scheme: the scheme.
    """
    first, second = (model(image, boxes_xyxy_px) for model in models)
    differences = []
    for number, (one, other) in enumerate(zip(first, second, strict=True), start=1):
        distances = np.linalg.norm(one.landmarks_px - other.landmarks_px, axis=1)
        if not np.isfinite(distances).any():
            continue
        tight = landmark_box(one.landmarks_px)
        size = float(np.sqrt(np.prod(np.maximum(tight[2:] - tight[:2], 1e-6))))
        tile = _tile(image, (one, other), scheme)
        differences.append(FaceDifference(name, number, distances, size, tile))
    return differences


def difference_rows(differences: Iterable[FaceDifference], scheme: LandmarkScheme) -> str:
    """Returns a CSV text of `COLUMNS`, the largest difference first."""
    names = scheme.point_names or range(scheme.num_landmarks)
    rows: list[Sequence] = [COLUMNS]
    for one in sorted(differences, key=lambda one: -one.mean_percent):
        mean, most = np.nanmean(one.distances_px), np.nanmax(one.distances_px)
        values = [one.size_px, mean, most, one.mean_percent, 100 * most / one.size_px]
        farthest = list(names)[int(np.nanargmax(one.distances_px))]
        rows.append([one.image, one.face, *(round(float(v), 3) for v in values), farthest])
    return format_csv(rows)


def difference_table(differences: Sequence[FaceDifference], scheme: LandmarkScheme) -> str:
    """Returns a table in Markdown: mean, median and largest difference of all and of regions."""
    distances = np.stack([one.distances_px for one in differences])
    shares = 100 * distances / np.array([one.size_px for one in differences])[:, None]
    lines = ["| landmarks | mean px | mean % | median % | 95 % of faces below % | max % |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    regions = {"all": tuple(range(scheme.num_landmarks)), **scheme.regions}
    for name, indices in regions.items():
        px, share = distances[:, list(indices)], shares[:, list(indices)]
        known = np.isfinite(share).any(axis=1)
        if not known.any():
            continue
        faces = np.nanmean(share[known], axis=1)
        lines.append(
            f"| {name} | {np.nanmean(px):.2f} | {faces.mean():.2f} | {np.median(faces):.2f} | "
            f"{np.percentile(faces, 95):.2f} | {np.nanmax(share):.2f} |"
        )
    return "\n".join(lines) + "\n"


def difference_sheet(differences: Sequence[FaceDifference]) -> np.ndarray:
    """Returns faces side by side by both models, the largest difference first."""
    ordered = sorted(differences, key=lambda one: -one.mean_percent)
    tiles = []
    for one, kept in [(one, one.tile) for one in ordered if one.tile is not None][:SHOWN]:
        tile = kept.copy()
        text = f"{np.nanmean(one.distances_px):.1f} px, {one.mean_percent:.1f} %  {one.image}"
        put_text(tile, text[:60], np.array([4, tile.shape[0] - 6]), size_px=10)
        tiles.append(tile)
    return contact_sheet(tiles, columns=max(1, round(np.sqrt(len(tiles) / 2))), gap_px=8)


def _tile(image: np.ndarray, faces: Sequence[Face], scheme: LandmarkScheme) -> np.ndarray:
    """Returns a square round the face twice, with the landmarks of each model."""
    points = np.concatenate([face.landmarks_px for face in faces])
    points = points[np.isfinite(points).all(axis=1)]
    corners = faces[0].box_xyxy_px.reshape(2, 2)
    # The box bounds what a landmark that is far off can do to the view.
    reach = np.ptp(corners, axis=0).max()
    points = np.clip(points, corners[0] - 0.5 * reach, corners[1] + 0.5 * reach)
    low, high = np.vstack([points, corners]).min(axis=0), np.vstack([points, corners]).max(axis=0)
    edge = 0.12 * float(np.max(high - low))
    size_wh = np.array(image.shape[1::-1])
    x0, y0 = np.clip(np.floor(low - edge), 0, size_wh - 1).astype(int)
    x1, y1 = np.clip(np.ceil(high + edge) + 1, [x0 + 1, y0 + 1], size_wh).astype(int)
    crop = image[y0:y1, x0:x1]
    scale = _TILE_PX / max(crop.shape[:2])
    halves = []
    for letter, face in zip("AB", faces, strict=True):
        moved = dataclasses.replace(face, landmarks_px=face.landmarks_px - [x0, y0])
        drawn = draw_faces(crop, [moved], scheme, boxes=False, captions=False, scale=scale)
        half = fit_image(drawn, (_TILE_PX, _TILE_PX))
        put_text(half, letter, np.array([_TILE_PX - 20, 22]), size_px=16)
        halves.append(half)
    gap = np.zeros((_TILE_PX, _GAP_PX, 3), np.uint8)
    return np.concatenate([halves[0], gap, halves[1]], axis=1)
