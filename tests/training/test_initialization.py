import dataclasses

import numpy as np
import pytest

from tfrecords_tools.first_scheme import mirrored_label
from tfrecords_tools.sources import SyntheticSource
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records
from wing_tf.data.augment import Augmentation, Augmenter
from wing_tf.data.records import open_records
from wing_tf.landmarks import get_scheme, shared_points
from wing_tf.landmarks.shared_points import IBUG_68_POINTS
from wing_tf.model_spec import read_model_spec
from wing_tf.models import cnn6, stacked_hourglass
from wing_tf.training.initialization import (
    augmented_shapes,
    copy_layers,
    copy_shared_maps,
    initialize_output,
    shared_by_image_side,
)
from wing_tf.zoo import resolve_model


def test_output_layer_starts_from_augmented_shapes(synthetic_records):
    train_records = open_records(str(synthetic_records), split="train")
    augmenter = Augmenter(
        train_records.scheme,
        input_size=64,
        margin=1.15,
        augmentation=Augmentation(flip=0.5, rotation_deg=30),
    )
    shapes = augmented_shapes(train_records, augmenter, num_shapes=2000)
    assert abs(len(shapes) - 2000) <= train_records.num_faces
    network = cnn6(68)
    initialize_output(network.get_layer("output"), shapes, scale=0.02)
    bias = network.get_layer("output").bias.numpy().reshape(68, 2)
    np.testing.assert_allclose(bias, shapes.mean(axis=0), atol=1e-3)
    assert np.abs(bias[:, 0] - 31.5).max() < 32
    kernel = network.get_layer("output").kernel.numpy().astype(np.float64)
    ours = (kernel.T @ kernel) / (0.02**2 * len(kernel))
    covariance = np.cov(shapes.reshape(len(shapes), -1).T)
    # The kernel's spread over features is the shapes' spread: same leading direction and size.
    direction = np.linalg.eigh(covariance)[1][:, -1]
    assert direction @ ours @ direction == pytest.approx(
        direction @ covariance @ direction, rel=0.2
    )


def test_landmarks_not_annotated_are_taken_from_the_mean_shape(tmp_path):
    """One face of ten lacks a point: it is taken from the mean shape, not from (0, 0)."""

    class Holes(SyntheticSource):
        def load(self, item):
            face = super().load(item)
            landmarks, visibility = face.landmarks_px.copy(), face.visibility.copy()
            landmarks[item.source_data % 68], visibility[item.source_data % 68] = np.nan, 0
            return dataclasses.replace(face, landmarks_px=landmarks, visibility=visibility)

    folder = tmp_path / "records"
    write_records(
        Holes(num_train=20),
        folder,
        square_format=SquareFormat(side=64),
        progress=False,
        num_processes=0,
        validation_fraction=0.0,
    )
    records = open_records(str(folder), split="train")
    augmenter = Augmenter(records.scheme, input_size=64, margin=1.15, augmentation=Augmentation())
    shapes = augmented_shapes(records, augmenter, num_shapes=20)
    assert shapes.shape == (20, 68, 2)
    assert shapes.min() > -2
    assert shapes.max() < 66


def test_all_layers_but_the_output_of_another_scheme_are_copied():
    source, other = cnn6(68, input_size=32), cnn6(98, input_size=32)
    copied, left = copy_layers(other, source)
    assert left == ["output"]
    assert copied == [*(f"conv{i}" for i in range(1, 6)), "features"]
    same = cnn6(68, input_size=32)
    assert copy_layers(same, source)[1] == []
    for a, b in zip(same.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_shared_landmarks_keep_their_heatmaps():
    small = {"num_stacks": 1, "features": 8, "depth": 1, "input_size": 32}
    small["boundary_coordinates"] = False
    other = stacked_hourglass(68, **small)
    network = stacked_hourglass(19, boundary=False, **small)
    _, new = copy_layers(network, other)
    assert new == ["stack1_maps"]
    shared = shared_points(get_scheme("ibug_68"), get_scheme("aflw_19"))
    before = network.get_layer("stack1_maps").get_weights()[0]
    assert copy_shared_maps(network, other, new, shared)
    image = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    ours, theirs = np.asarray(network(image)), np.asarray(other(image))
    np.testing.assert_array_equal(ours[..., 18], theirs[..., 8])  # the chin
    np.testing.assert_array_equal(ours[..., 6], theirs[..., 36])  # an eye corner
    after = network.get_layer("stack1_maps").get_weights()[0]
    kept = [index for index in range(19) if index not in shared]
    assert kept  # centers of the eyes are no landmark of the 68
    np.testing.assert_array_equal(after[..., kept], before[..., kept])
    # The features differ, so the channels would mean something else.
    assert not copy_shared_maps(network, other, ["stack1_features", "stack1_maps"], shared)
    assert not copy_shared_maps(cnn6(19, input_size=32), cnn6(68), ["output"], shared)


@pytest.mark.parametrize("of_the_person", [False, True])
def test_names_by_the_sides_of_the_image_and_of_the_person(
    synthetic_records, capsys, of_the_person
):
    """In names by the sides of the person, the left eye is the one on the right of the image."""
    names = [f"point_{index}" for index in range(68)]
    for name, index in IBUG_68_POINTS.items():
        names[index] = mirrored_label(name) if of_the_person else name
    own = dataclasses.replace(
        get_scheme("ibug_68"), name="own_68", default_normalizer="box", point_names=names
    )
    records = dataclasses.replace(open_records(str(synthetic_records), split="train"), scheme=own)
    spec = read_model_spec(resolve_model("face_68"))
    shared = shared_by_image_side(spec, records)
    assert shared == {index: index for index in IBUG_68_POINTS.values()}
    assert ("Left and right of the names are exchanged" in capsys.readouterr().out) == of_the_person
