"""Reversal of the channels of images."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="wing_tf")
class ReverseChannels(keras.layers.Layer):
    """Reverses the channels of images [B, H, W, C]: red, green, blue to blue, green, red.

    The operation `keras.ops.flip` does the same, but Keras does not load it from ``.h5`` files.
    """

    def call(self, images):
        """Returns the images with reversed channels."""
        return ops.flip(images, axis=-1)

    def compute_output_shape(self, images_shape):
        """Returns the shape of the images."""
        return images_shape
