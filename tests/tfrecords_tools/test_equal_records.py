"""The same faces through three sources are the same records, but for their names."""

import csv
import json

import numpy as np
import tensorflow as tf

from tfrecords_tools.sources import CocoSource, CsvSource, Ibug300WSource
from tfrecords_tools.squares import StoredSquare
from tfrecords_tools.writer import write_records
from wing_tf.data import example_schema as schema

NAMES = {schema.KEY, schema.PICTURE, schema.SOURCE, schema.CROP_RULE, schema.ATTRIBUTES}


def _records(folder):
    """Returns each record's features but for names, by its picture's file."""
    found = {}
    for file in folder.glob("*.tfrecord"):
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            stem = features[schema.KEY].bytes_list.value[0].decode().split("#")[0]
            found[stem] = {
                name: feature.SerializeToString(deterministic=True)
                for name, feature in features.items()
                if name not in NAMES
            }
    return found


def write_three(root, folder, items, load):
    """Writes faces through ``ibug_300w``, ``csv`` and ``coco``; returns the record folders."""
    rows, images, annotations = [], [], []
    for number, item in enumerate(items):
        path = item.payload[0].relative_to(root).as_posix()
        points = load(item).landmarks_px
        rows.append([path, item.split, *map(repr, points.ravel().tolist())])
        images.append({"id": number, "file_name": path, "split": item.split})
        flat = np.column_stack([points, np.full(len(points), 2)]).ravel().tolist()
        annotations.append(
            {"id": number, "image_id": number, "category_id": 1, "keypoints": flat,
             "num_keypoints": len(points)}
        )  # fmt: skip
    header = ["path", "split", *(f"{a}{i}" for i in range(68) for a in "xy")]
    with (folder / "faces.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    categories = [{"id": 1, "name": "face", "keypoints": [str(i) for i in range(68)]}]
    coco = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "faces.json").write_text(json.dumps(coco))
    official = Ibug300WSource(root)
    official.items = lambda: items
    sources = {
        "ibug": official,
        "csv": CsvSource(folder / "faces.csv", scheme="ibug_68", root=root),
        "coco": CocoSource(folder / "faces.json", scheme="ibug_68", root=root),
    }
    for name, source in sources.items():
        write_records(
            source, folder / name, stored=StoredSquare(side=128), validation_fraction=0,
            num_processes=0, progress=False,
        )  # fmt: skip
    return [folder / name for name in sources]


def test_real_faces_through_three_sources(real_faces, tmp_path):
    source = Ibug300WSource(real_faces)
    items = source.items()
    items = items[:: len(items) // 24]
    ibug, through_csv, coco = map(_records, write_three(real_faces, tmp_path, items, source.load))
    assert len(ibug) == len(items)
    assert {f"{key}.jpg" for key in ibug} | {f"{key}.png" for key in ibug} >= set(through_csv)
    for key, record in ibug.items():
        (path,) = (path for path in through_csv if path.rpartition(".")[0] == key)
        assert schema.IMAGE in record
        assert through_csv[path] == record
        assert coco[path] == record
