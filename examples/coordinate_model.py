"""A Keras model of your own with Wing loss.

The model locates 68 landmarks on rendered faces. For your own images, replace `images` and
`landmarks`: pixels, and (x, y) in pixels of the network's input, where pixel centers are integers.

  python examples/coordinate_model.py
"""

import keras
import numpy as np

from tfrecords_tools.sources import SyntheticSource
from wing_tf.losses import WingLoss

NUM_FACES = 1000
EPOCHS = 15

source = SyntheticSource(num_train=NUM_FACES, image_size=64, wide_yaw_fraction=0)
faces = [source.load(item) for item in source.items()]
images = np.stack([face.image for face in faces])  # uint8 [N, 64, 64, 3]
landmarks = np.stack([face.landmarks_px for face in faces]).astype("float32")  # [N, 68, 2]
visibility = np.stack([face.visibility for face in faces])  # [N, 68], 0 for not annotated
num_train = int(0.9 * NUM_FACES)

model = keras.Sequential([keras.Input((64, 64, 3)), keras.layers.Rescaling(1 / 127.5, offset=-1)])
for filters in (16, 32, 64):
    model.add(keras.layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False))
    model.add(keras.layers.BatchNormalization())
    model.add(keras.layers.ReLU())
model.add(keras.layers.Flatten())
model.add(keras.layers.Dense(68 * 2))
model.add(keras.layers.Reshape((68, 2)))
# The paper's w and epsilon for inputs of 64 px, both in pixels.
rate = keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * -(-num_train // 32))
model.compile(keras.optimizers.Adam(rate), loss=WingLoss(width=10, curvature=2))
model.fit(
    images[:num_train],
    landmarks[:num_train],
    sample_weight=(visibility[:num_train] > 0).astype("float32"),  # [N, 68]: one per landmark
    epochs=EPOCHS,
    verbose=2,
)

predicted = model.predict(images[num_train:], verbose=0)
error_px = np.linalg.norm(predicted - landmarks[num_train:], axis=-1).mean()
mean_shape = landmarks[:num_train].mean(axis=0)
baseline_px = np.linalg.norm(mean_shape - landmarks[num_train:], axis=-1).mean()
print(f"Mean error: {error_px:.2f} px; of the mean shape: {baseline_px:.2f} px.")
