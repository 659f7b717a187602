"""Export of networks as SavedModel, LiteRT and ONNX files, with parity and a model card.

The package itself imports nothing, so that commands can offer its formats before TensorFlow is
loaded. `wing_tf.export.export_model` writes a complete folder.
"""
