"""Annotation files as labelme, CVAT, Label Studio and dlib's imglab write them."""

import json
import pickle

import pytest
from official_files import spread_points

from tfrecords_tools.sources import SOURCES

LABELS = ["left_eye", "right_eye", "nose", "mouth_l", "mouth_r"]
SCHEME = {
    "name": "face_tools_5",
    "points": LABELS,
    "pairs": [["left_eye", "right_eye"], ["mouth_l", "mouth_r"]],
    "normalizer": ["left_eye", "right_eye"],
}
POINTS = spread_points(5)
OTHERS = spread_points(5, seed=1)
HALF = 0.5  # these tools draw on a plane in which the first pixel's center is at .5


def read_annotations(name, path, scheme, **options):
    """The faces by key, through pickles as in the writer's processes, and the skipped ones."""
    source = pickle.loads(pickle.dumps(SOURCES[name](path, scheme=scheme, **options)))
    items = pickle.loads(pickle.dumps(source.items()))
    return {item.key: source.load(item) for item in items}, source.skipped


def skipped_faces(name, path, scheme):
    """The skipped faces of annotations that hold no usable face."""
    source = SOURCES[name](path, scheme=scheme)
    with pytest.raises(ValueError, match="No usable face"):
        source.items()
    return source.skipped


def labelme_shape(label, points, group=None, kind="point", **fields):
    return {
        "label": label,
        "points": [list(map(float, point)) for point in points],
        "group_id": group,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": None,
        **fields,
    }


def labelme_points(points, group=None, labels=LABELS):
    return [labelme_shape(n, [p], group) for n, p in zip(labels, points, strict=True)]


def write_labelme(path, shapes, image="a.png", size_wh=(80, 60)):
    """Writes a file with the keys of labelme 5 and later."""
    content = {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": image,
        "imageData": None,
        "imageHeight": size_wh[1],
        "imageWidth": size_wh[0],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2), encoding="utf-8")
    return path


def cvat_points(label, points, more='occluded="0" z_order="0"'):
    text = ";".join(f"{x:.2f},{y:.2f}" for x, y in points)
    return f'<points label="{label}" source="manual" {more} points="{text}">\n    </points>'


def cvat_skeleton(points, labels=LABELS, outside=(), occluded=(), label="face"):
    elements = "".join(
        cvat_points(n, [p], f'outside="{int(n in outside)}" occluded="{int(n in occluded)}"')
        for n, p in zip(labels, points, strict=True)
    )
    return f'<skeleton label="{label}" source="manual" z_order="0">{elements}</skeleton>'


def write_cvat(path, images, size_wh=(80, 60)):
    """Writes a file as the exporter "CVAT for images 1.1"; images are shapes by name."""
    width, height = size_wh
    elements = "".join(
        f'  <image id="{index}" name="{name}" width="{width}" height="{height}">\n    {shapes}\n'
        "  </image>\n"
        for index, (name, shapes) in enumerate(images.items())
    )
    path.write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
        "  <meta>\n    <task>\n      <id>4</id>\n      <mode>annotation</mode>\n"
        "      <labels>\n        <label><name>face</name><type>skeleton</type></label>\n"
        f"      </labels>\n    </task>\n  </meta>\n{elements}</annotations>\n"
    )
    return path


def studio_point(label, point, size_wh=(80, 60), parent=None, identifier="p", **fields):
    result = {
        "original_width": size_wh[0],
        "original_height": size_wh[1],
        "image_rotation": 0,
        "value": {
            "x": point[0] / size_wh[0] * 100,
            "y": point[1] / size_wh[1] * 100,
            "width": 0.5,
            "keypointlabels": [label],
        },
        "id": f"{identifier}{label}",
        "from_name": "kp",
        "to_name": "image",
        "type": "keypointlabels",
        "origin": "manual",
        **fields,
    }
    return result | ({"parentID": parent} if parent else {})


def studio_points(points, labels=LABELS, **fields):
    return [studio_point(n, p, **fields) for n, p in zip(labels, points, strict=True)]


def studio_rectangle(identifier, x0, y0, x1, y1, size_wh=(80, 60)):
    width, height = size_wh
    return {
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {
            "x": x0 / width * 100,
            "y": y0 / height * 100,
            "width": (x1 - x0) / width * 100,
            "height": (y1 - y0) / height * 100,
            "rotation": 0,
            "rectanglelabels": ["face"],
        },
        "id": identifier,
        "from_name": "box",
        "to_name": "image",
        "type": "rectanglelabels",
        "origin": "manual",
    }


def studio_task(identifier, image, *results, **fields):
    """A task of Label Studio's JSON export with one annotation for each list of results."""
    annotations = [
        {
            "id": 100 * identifier + number,
            "completed_by": 1,
            "result": list(result),
            "was_cancelled": False,
            "ground_truth": False,
            "created_at": "2026-03-09T22:16:08.728353Z",
            "updated_at": "2026-03-09T22:16:08.728378Z",
            "lead_time": 4.288,
            "task": identifier,
        }
        for number, result in enumerate(results)
    ]
    task = {
        "id": identifier,
        "annotations": annotations,
        "predictions": [],
        "data": {"image": image},
        "meta": {},
        "project": 83,
    }
    return task | fields


def write_imglab(path, images):
    """Writes a file as dlib's `save_image_dataset_metadata`; images are boxes by name."""
    elements = "".join(
        f"  <image file='{name}' width='80' height='60'>\n{boxes}  </image>\n"
        for name, boxes in images.items()
    )
    path.write_bytes(
        (
            "<?xml version='1.0' encoding='ISO-8859-1'?>\n"
            "<?xml-stylesheet type='text/xsl' href='image_metadata_stylesheet.xsl'?>\n"
            "<dataset>\n<name>imglab dataset</name>\n<comment>Created by imglab tool.</comment>\n"
            f"<images>\n{elements}</images>\n</dataset>"
        ).encode()
    )
    return path


def imglab_box(points, box=(4, 6, 40, 30), labels=LABELS, more=""):
    left, top, width, height = box
    parts = "".join(
        f"      <part name='{n}' x='{int(x)}' y='{int(y)}'/>\n"
        for n, (x, y) in zip(labels, points, strict=True)
    )
    place = f"top='{top}' left='{left}' width='{width}' height='{height}'"
    return f"    <box {place}{more}>\n{parts}    </box>\n"


def pts_text(points):
    rows = "\n".join(f"{x:.3f} {y:.3f}" for x, y in points)
    return f"version: 1\nn_points: {len(points)}\n{{\n{rows}\n}}\n"


def one_face_files(folder, points):
    """The same face as each tool writes it, by source."""
    shifted = points + HALF
    (folder / "labelme").mkdir()
    (folder / "pts").mkdir()
    write_labelme(folder / "labelme/a.json", labelme_points(shifted), image="../a.png")
    (folder / "pts/a.pts").write_text(pts_text(points + 1))
    (folder / "studio.json").write_text(
        json.dumps([studio_task(1, "/data/local-files/?d=photos/a.png", studio_points(shifted))])
    )
    return {
        "labelme": folder / "labelme",
        "cvat": write_cvat(folder / "cvat.xml", {"a.png": cvat_skeleton(shifted)}),
        "labelstudio": folder / "studio.json",
        "imglab": write_imglab(folder / "imglab.xml", {"a.png": imglab_box(points)}),
        "pts": folder / "pts",
    }
