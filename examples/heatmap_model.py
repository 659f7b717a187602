"""A heatmap model of your own with Adaptive Wing loss and its weighted loss map.

The model locates 68 landmarks on rendered faces of 64 px by heatmaps of 16 px. For your own images,
replace `images` and `landmarks`: pixels, and (x, y) in pixels of the network's input, where pixel
centers are integers.

  python examples/heatmap_model.py
"""

import keras
import numpy as np

from tfrecords_tools.sources import SyntheticSource
from wing_tf.codecs import HeatmapCodec
from wing_tf.losses import AdaptiveWingLoss, WeightedLossMap

NUM_FACES = 500
EPOCHS = 15

source = SyntheticSource(num_train=NUM_FACES, image_size=64, wide_yaw_fraction=0)
faces = [source.load(item) for item in source.items()]
images = np.stack([face.image for face in faces])  # uint8 [N, 64, 64, 3]
landmarks = np.stack([face.landmarks_px for face in faces]).astype("float32")  # [N, 68, 2]
visibility = np.stack([face.visibility for face in faces])  # [N, 68], 0 for not annotated
num_train = int(0.9 * NUM_FACES)

# Gaussians with peaks of 1, [N, 16, 16, 68], and weights [N, 68], 0 for landmarks without a map.
codec = HeatmapCodec(input_size=64, heatmap_size=16, sigma=1.0)
heatmaps, weights = codec.encode(landmarks[:num_train], visibility[:num_train] > 0)


def conv(x, filters, strides=1):
    """Returns a normalized convolution of 3 x 3 pixels."""
    x = keras.layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    return keras.layers.ReLU()(keras.layers.BatchNormalization()(x))


inputs = keras.Input((64, 64, 3))
fine = conv(
    conv(keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs), 32, strides=2), 64, strides=2
)
coarse = conv(conv(conv(fine, 64, strides=2), 64), 64)
fine = keras.layers.concatenate([keras.layers.UpSampling2D(2)(coarse), fine])
model = keras.Model(inputs, keras.layers.Conv2D(68, 1)(conv(fine, 64)))

model.compile(keras.optimizers.Adam(3e-3), loss=WeightedLossMap(AdaptiveWingLoss()))
model.fit(
    images[:num_train], heatmaps, sample_weight=weights, batch_size=16, epochs=EPOCHS, verbose=2
)

predicted, scores = codec.decode(model.predict(images[num_train:], verbose=0))
error_px = np.linalg.norm(predicted - landmarks[num_train:], axis=-1).mean()
print(f"Mean error: {error_px:.2f} px of the input. Mean score: {np.mean(scores):.2f}.")
