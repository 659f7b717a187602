"""Damaged annotations are refused in one line, or give faces that make sense."""

import numpy as np
import pytest
from annotation_files import POINTS, SCHEME, one_face_files
from fuzzed import check_reader, damaged_bytes, damaged_json
from official_files import LISTS, dotted, spread_points, wflw_line, write_image
from sound_faces import read_faces

from wing_tf.landmarks.scheme_file import scheme_from_dict
from wing_tf.utils.atomic import write_json
from wing_tf.utils.text_files import read_json

pytestmark = pytest.mark.slow  # 300 inputs for each reader

FIVE = [f"{axis}{i}" for i in range(5) for axis in "xy"]
BOX = ["box_x0", "box_y0", "box_x1", "box_y1"]


def _csv(root):
    write_image(root / "a.png", dotted(spread_points(5)))
    header = ["path", *FIVE, *BOX, *(f"v{i}" for i in range(5)), "width", "height", "split"]
    lines = [",".join(header)]
    for seed in range(3):
        points = [f"{v:g}" for v in np.ravel(spread_points(5, seed))]
        lines.append(",".join(["a.png", *points, *"0,0,79,59,2,2,1,2,2,80,60,train".split(",")]))
    (root / "faces.csv").write_text("\n".join(lines) + "\n")
    return {"path": root / "faces.csv", "scheme": "celeba_5"}, root / "faces.csv"


def _coco(root):
    write_image(root / "a.png", dotted(spread_points(5)))
    size = {"width": 80, "height": 60}
    annotations = [
        {
            "id": seed,
            "image_id": 7,
            "category_id": 1,
            "bbox": [0, 0, 79, 59],
            "num_keypoints": 5,
            "keypoints": [v for x, y in spread_points(5, seed).tolist() for v in (x, y, 2)],
        }
        for seed in range(3)
    ]
    content = {
        "images": [{"id": 7, "file_name": "a.png", "split": "train", **size}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "face", "keypoints": list("abcde")}],
    }
    write_json(root / "faces.json", content)
    return {"path": root / "faces.json", "scheme": "celeba_5"}, root / "faces.json"


def _ibug_300w(root):
    points = spread_points(68)
    write_image(root / "afw/a.png", dotted(points))
    rows = "".join(f"{x + 1:.3f} {y + 1:.3f}\n" for x, y in points)
    (root / "afw/a.pts").write_text(f"version: 1\nn_points: 68\n{{\n{rows}}}\n")
    return {"root": root}, root / "afw/a.pts"


def _wflw(root):
    write_image(root / "WFLW_images/a.png", dotted(spread_points(98)))
    line = wflw_line(spread_points(98), [0, 0, 79, 59], "0 1 0 0 0 0", "a.png")
    for split in ("train", "test"):
        path = root / LISTS / f"list_98pt_rect_attr_{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(line)
    return {"root": root}, path


def _celeba(file):
    def write(root):
        files = {
            "landmarks": (
                "Anno/list_landmarks_celeba.txt",
                "2\nx\na.png 9 9 50 9 30 30 9 50 50 50\n",
            ),
            "boxes": ("Anno/list_bbox_celeba.txt", "2\nx y\na.png 0 0 70 55\n"),
            "partition": ("Eval/list_eval_partition.txt", "a.png 0\n"),
        }
        write_image(root / "Img/img_celeba/a.png", dotted(spread_points(5)))
        for name, text in files.values():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(text)
        return {"root": root}, root / files[file][0]

    return write


def _lapa(root):
    points = spread_points(106)
    for split in ("train", "val", "test"):
        write_image(root / split / "images/a.png", dotted(points))
        (root / split / "landmarks").mkdir()
        rows = "".join(f"{x} {y}\n" for x, y in points)
        (root / split / "landmarks/a.txt").write_text(f"106\n{rows}")
    return {"root": root}, root / "train/landmarks/a.txt"


DATA_SETS = {
    "csv": ("csv", _csv),
    "coco": ("coco", _coco),
    "ibug_300w": ("ibug_300w", _ibug_300w),
    "wflw": ("wflw", _wflw),
    "celeba landmarks": ("celeba", _celeba("landmarks")),
    "celeba boxes": ("celeba", _celeba("boxes")),
    "celeba partition": ("celeba", _celeba("partition")),
    "lapa": ("lapa", _lapa),
}
TOOLS = ["labelme", "cvat", "labelstudio", "imglab", "pts"]


@pytest.mark.parametrize("name", DATA_SETS)
def test_damaged_data_sets_give_sound_faces_or_a_reason(name, tmp_path):
    source, write = DATA_SETS[name]
    options, path = write(tmp_path)
    valid = path.read_bytes()
    check_reader(path, valid, lambda: read_faces(source, options, path), _damaged(path))


@pytest.mark.parametrize("name", TOOLS)
def test_damaged_annotations_of_tools_give_sound_faces_or_a_reason(name, tmp_path):
    write_image(tmp_path / "a.png", dotted(POINTS))
    root = one_face_files(tmp_path, POINTS)[name]
    path = next(root.iterdir()) if root.is_dir() else root
    options = {"path": root, "scheme": scheme_from_dict(SCHEME), "root": tmp_path}
    valid = path.read_bytes()
    check_reader(path, valid, lambda: read_faces(name, options, path), _damaged(path))


def _damaged(path):
    if path.suffix == ".json":
        return damaged_json(read_json(path))
    return damaged_bytes(path.read_bytes())
