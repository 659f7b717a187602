"""The device's crop is the one that training and evaluation see."""

import keras
import numpy as np
from dots import DOT, DotSource, dot_network

from tfrecords_tools.sources import SyntheticSource
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records
from wing_tf.data.records import open_records
from wing_tf.evaluation.predict import crop_batches
from wing_tf.geometry import apply_affine, landmark_box
from wing_tf.inference import Landmarker
from wing_tf.model_spec import ModelSpec
from wing_tf.models import cnn6


def _crops_of_records(source, folder, spec):
    """Yields key, crop, map to the source and box of each face, by way of records."""
    write_records(
        source,
        folder,
        square_format=SquareFormat(side=256, jpeg_quality=98),
        validation_fraction=0,
        progress=False,
        num_processes=0,
    )
    for batch in crop_batches(open_records(str(folder)), spec):
        yield from zip(batch.key, batch.image, batch.crop_to_source, batch.box_xyxy_px, strict=True)


def test_crop_equals_the_crop_of_the_record(export, tmp_path):
    spec = ModelSpec(scheme="ibug_68", input_size=64, margin=1.2)
    keras.utils.set_random_seed(0)
    network = cnn6(68, input_size=64, width=0.1)
    landmarker = Landmarker(export(network, spec, tmp_path / "model.tflite"))
    source = SyntheticSource(num_train=6, seed=1, image_size=700)
    items = {item.key: item for item in source.items()}
    differences, moves = [], []
    for key, crop, to_source, box in _crops_of_records(source, tmp_path / "records", spec):
        image = source.load(items[key]).image
        own, _ = landmarker.crop(image, box[None])
        differences.append(own[0].astype(float) - crop)
        # The same crop for both maps: an untrained network follows the grain of the pixels.
        landmarks_crop_px, _ = landmarker.predict_crops(own)
        expected = apply_affine(to_source, landmarks_crop_px[0].astype(float))
        moved = landmarker(image, box[None])[0].landmarks_px - expected
        moves.append(np.abs(moved).max() * 64 / (1.2 * np.ptp(box.reshape(2, 2), axis=0).max()))
    assert len(differences) == 6
    # JPEG's grain, and the slightly softer edges of what was sampled twice. Single samples without
    # antialiasing give 3.0, a shift by a quarter of a pixel 2.6, and no fault 1.6.
    assert np.abs(differences).mean() < 2.0
    assert np.abs(np.mean(differences)) < 0.5
    assert max(moves) < 0.1  # pixels of the crop


def test_predicted_dot_is_at_its_drawn_position(export, tmp_path):
    spec = ModelSpec(scheme="celeba_5", input_size=64, margin=1.3)
    landmarker = Landmarker(export(dot_network(64), spec, tmp_path / "model.tflite"))
    source = DotSource(8)
    truth = {item.key: source.load(item) for item in source.items()}
    for key, crop, to_source, _ in _crops_of_records(source, tmp_path / "records", spec):
        box = landmark_box(truth[key].landmarks_px)
        found = landmarker(truth[key].image, box[None])[0].landmarks_px[DOT]
        scale = max(1.0, np.abs(to_source[0, 0]))
        assert np.abs(found - truth[key].landmarks_px[DOT]).max() < 0.02 * scale
        crops = np.rint(crop).astype(np.uint8)[None]
        landmarks_crop_px, _ = landmarker.predict_crops(crops)
        evaluated = apply_affine(to_source, landmarks_crop_px[0].astype(float))[DOT]
        assert np.abs(found - evaluated).max() < 0.05 * scale
