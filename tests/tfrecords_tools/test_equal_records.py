"""Equal records of the same faces from three sources."""

import collections
import csv
import json

import numpy as np
import tensorflow as tf

from tfrecords_tools.sources import CocoSource, CsvSource, Ibug300WSource
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records
from wing_tf.data import record_schema as schema

NAMES = {schema.KEY, schema.SOURCE}


def _records(folder):
    """Returns the features of each record except key and source, by image file."""
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


def _write_three(root, folder, items, load):
    """Writes faces through ``ibug_300w``, ``csv`` and ``coco``; returns the record folders."""
    rows, images, annotations = [], [], []
    for number, item in enumerate(items):
        path = item.source_data[0].relative_to(root).as_posix()
        points = load(item).landmarks_px
        rows.append([path, item.split, item.source_image, *map(repr, points.ravel().tolist())])
        images.append(
            {
                "id": number,
                "file_name": path,
                "split": item.split,
                "source_image": item.source_image,
            }
        )
        flat = np.column_stack([points, np.full(len(points), 2)]).ravel().tolist()
        annotations.append(
            {"id": number, "image_id": number, "category_id": 1, "keypoints": flat,
             "num_keypoints": len(points)}
        )  # fmt: skip
    header = ["path", "split", "source_image", *(f"{a}{i}" for i in range(68) for a in "xy")]
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
            source, folder / name, square_format=SquareFormat(side=128), crop="landmark_box",
            validation_fraction=0.1, faces_per_shard=16, num_processes=0, progress=False,
        )  # fmt: skip
    return [folder / name for name in sources]


def test_ibug_csv_and_coco_sources_write_equal_records(real_faces, tmp_path):
    source = Ibug300WSource(real_faces)
    faces = collections.defaultdict(list)
    for item in source.items():
        faces[item.source_image].append(item)
    several = [some for some in faces.values() if len(some) > 1][:16]
    others = [some[0] for some in faces.values()][:: len(faces) // 24]
    items = list(dict.fromkeys(sum(several, []) + others))
    folders = _write_three(real_faces, tmp_path, items, source.load)
    ibug, through_csv, coco = map(_records, folders)
    assert len(ibug) == len(items)
    assert set(through_csv) == set(coco)
    assert {path.rpartition(".")[0] for path in coco} == set(ibug)
    for path, record in coco.items():
        assert record.keys() >= {schema.IMAGE, schema.SOURCE_IMAGE, schema.SPLIT, schema.CROP_RULE}
        assert through_csv[path] == record
        assert ibug[path.rpartition(".")[0]] == record

    # All faces of an image are on one side of the split, although their names differ.
    held_out = {key for key, record in ibug.items() if b"validation" in record[schema.SPLIT]}
    assert 0 < len(held_out) < len(items) / 2
    for some in several:
        assert len({item.key in held_out for item in some}) == 1
    manifests = [json.loads((folder / schema.MANIFEST).read_text()) for folder in folders]
    for manifest in manifests[1:]:
        for name in ("counts", "crop_rule", "num_landmarks", "stored_square"):
            assert manifest[name] == manifests[0][name]
