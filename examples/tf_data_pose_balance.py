"""Records in a `tf.data` pipeline of your own, with pose-based data balancing (PDB).

Faces of rare poses are repeated: the hard sample mining (HSM) of the Wing paper's first version.
The records are those of rendered faces. For your own images, see docs/your_own_data.md.

  python examples/tf_data_pose_balance.py
"""

import pathlib

import keras
import numpy as np
import tensorflow as tf

from tfrecords_tools.sources import SyntheticSource
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records
from wing_tf.data import (
    Augmentation,
    Augmenter,
    dataset_from_records,
    fit_balance,
    open_records,
    read_landmarks,
)
from wing_tf.losses import WingLoss

NUM_FACES = 400
EPOCHS = 5
RECORDS = pathlib.Path("example_records")

if not RECORDS.is_dir():  # as `wing-tfrecords write` does
    source = SyntheticSource(num_train=NUM_FACES, wide_yaw_fraction=0.1)
    write_records(source, RECORDS, square_format=SquareFormat(side=128), num_processes=0)
records = open_records(RECORDS, split="train")

# `wing-tfrecords balance` does this, too, and `PoseBalance.load("balance")` reads its result.
landmarks, visibility, _ = read_landmarks(records)
balance = fit_balance(landmarks, visibility, records.scheme, num_bins=9, max_weight=10)

# Crops of 64 px, whose side is 1.2 times the longer side of the face box.
augmentation = Augmentation(flip=0.5, rotation_deg=20, scale=0.1, color=0.2)
augmenter = Augmenter(records.scheme, input_size=64, margin=1.2, augmentation=augmentation)
cropper = Augmenter(records.scheme, input_size=64, margin=1.2)
train = dataset_from_records(records, augmenter, batch_size=32, sampling_weights=balance)
held_out = open_records(RECORDS, split="validation")
validation = dataset_from_records(held_out, cropper, shuffle=False)


def to_gray(images, landmarks, weights):
    """Any further step of your own."""
    return tf.image.rgb_to_grayscale(images), landmarks, weights


def mean_pose(batches):
    """Returns the mean absolute pose coefficient, which follows yaw."""
    pose = [balance.coefficients(y.numpy(), w.numpy()) for _, y, w in batches]
    return np.mean(np.abs(np.concatenate(pose)))


before = np.mean(np.abs(balance.coefficients(landmarks, visibility)))
print(f"Mean absolute pose coefficient: {before:.2f}, balanced {mean_pose(train):.2f}.")

model = keras.Sequential([
    keras.Input((64, 64, 1)),
    keras.layers.Rescaling(1 / 127.5, offset=-1),
    keras.layers.Conv2D(16, 5, strides=4, activation="relu"),
    keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
    keras.layers.Flatten(),
    keras.layers.Dense(records.scheme.num_landmarks * 2),
    keras.layers.Reshape((-1, 2)),
])  # fmt: skip
model.compile("adam", loss=WingLoss(width=10, curvature=2))
# `shuffle` is for arrays: the dataset is shuffled already.
model.fit(
    train.map(to_gray),
    validation_data=validation.map(to_gray),
    epochs=EPOCHS,
    shuffle=False,
    verbose=2,
)
