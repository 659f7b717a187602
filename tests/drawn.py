"""Records of random landmarks and small models, for tests of protocols."""

import numpy as np

from tfrecords_tools.sources import Face, Item, Source
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records
from wing_tf.landmarks import get_scheme
from wing_tf.model_spec import ModelSpec
from wing_tf.models import cnn6
from wing_tf.models.saving import save_network


class Drawn(Source):
    """Random landmarks on noise images, with given splits, attributes and boxes."""

    def __init__(self, name, scheme, places, box=None):
        self.name, self.scheme, self.places, self.box = name, get_scheme(scheme), places, box
        self.skipped, self.default_crop = {}, "dataset_box" if box else "landmark_box"
        self.has_boxes = box is not None

    def items(self):
        return [
            Item(f"{split}/{i:03d}", f"{split}/{i:03d}", split, i, attributes)
            for i, (split, *attributes) in enumerate(map(tuple, self.places))
            for attributes in [tuple(attributes)]
        ]

    def load(self, item):
        generator = np.random.default_rng(item.source_data)
        image = generator.integers(0, 256, (120, 130, 3), np.uint8)
        landmarks = generator.uniform(20, 100, (self.scheme.num_landmarks, 2))
        box = None if self.box is None else np.array(self.box, float)
        return Face(image, landmarks, np.full(len(landmarks), 2), box)


def write_drawn_records(folder, source, **options):
    options = {
        "square_format": SquareFormat(side=64),
        "validation_fraction": 0,
        "progress": False,
    } | options
    write_records(source, folder, num_processes=0, **options)
    return folder


def save_model(path, scheme, **options):
    spec = ModelSpec(scheme=scheme, input_size=32, margin=1.2, **options)
    save_network(cnn6(get_scheme(scheme).num_landmarks, input_size=32, width=0.1), path, spec)
    return path


def new_folder(folder):
    folder.mkdir()
    return folder
