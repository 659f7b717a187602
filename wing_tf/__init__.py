"""wing_tf: facial landmark localization with Keras and TensorFlow.

Importing this package is cheap: it loads neither Keras nor TensorFlow. Take what you need from its
parts, for example ``from wing_tf.losses import WingLoss``.
"""

__version__ = "0.2.0"
