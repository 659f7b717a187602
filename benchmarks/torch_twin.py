"""PyTorch twins of Keras networks, with the same weights."""

import keras
import numpy as np
import torch
from torch import nn

from wing_tf.layers import CoordinateChannels


class Twin(nn.Module):
    """A functional Keras network of the layers below, as a PyTorch module.

    Args:
        network: From images [B, side, side, 3], 0..255, to landmarks [B, K, 2] or, in PyTorch,
            heatmaps [B, K, h, w].

    Raises:
        NotImplementedError: If a layer has no counterpart here, or is used twice.
    """

    def __init__(self, network: keras.Model):
        super().__init__()
        self.steps = nn.ModuleList()
        names = {id(network.input): "image"}
        self.inputs: list[list[str]] = []
        for layer in network.layers:
            if isinstance(layer, keras.layers.InputLayer):
                continue
            self.steps.append(_convert(layer))
            given = layer.input if isinstance(layer.input, list) else [layer.input]
            self.inputs.append([names[id(tensor)] for tensor in given])
            names[id(layer.output)] = layer.name
        self.outputs = [layer.name for layer in network.layers][-len(self.steps) :]
        self.last = names[id(network.output)]

    def forward(self, image):
        """Runs the network on [B, 3, side, side] in channels_last memory format."""
        values = {"image": image}
        for step, inputs, output in zip(self.steps, self.inputs, self.outputs, strict=True):
            values[output] = step(*(values[name] for name in inputs))
        return values[self.last]


class _Rescale(nn.Module):
    def __init__(self, scale: float, offset: float):
        super().__init__()
        self.scale, self.offset = scale, offset

    def forward(self, image):
        return image * self.scale + self.offset


class _Flatten(nn.Module):
    """Flattens in Keras' order: rows, columns, channels; no copy in channels_last format."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)


class _Coordinates(nn.Module):
    """Appends constant channels."""

    def __init__(self, layer: CoordinateChannels):
        super().__init__()
        maps = np.zeros((1, *layer.input.shape[1:]), np.float32)
        channels = np.array(layer(maps), np.float32)[..., -3:].transpose(0, 3, 1, 2)
        self.register_buffer("channels", torch.from_numpy(channels.copy()))

    def forward(self, x):
        return torch.cat([x, self.channels.to(x.dtype).expand(len(x), -1, -1, -1)], dim=1)


class _Concatenate(nn.Module):
    def forward(self, *parts):
        return torch.cat(parts, dim=1)


class _Add(nn.Module):
    def forward(self, x, y):
        return x + y


def _convert(layer: keras.layers.Layer) -> nn.Module:
    weights = [torch.from_numpy(np.array(w, np.float32)) for w in layer.get_weights()]
    if type(layer) is keras.layers.Conv2D and layer.activation is keras.activations.linear:
        kernel, *bias = weights
        return _convolution(layer, kernel.permute(3, 2, 0, 1), bias)
    if type(layer) is keras.layers.BatchNormalization:
        module = nn.BatchNorm2d(len(weights[0]), layer.epsilon, 1.0 - layer.momentum)
        _set(module, *weights[:2])
        module.running_mean.copy_(weights[2])
        module.running_var.copy_(weights[3])
        return module
    if type(layer) is keras.layers.Dense:
        module = nn.Linear(*weights[0].shape)
        _set(module, weights[0].T, weights[1])
        if layer.activation is keras.activations.relu:
            return nn.Sequential(module, nn.ReLU())
        return module
    if type(layer) is keras.layers.MaxPooling2D:
        return nn.MaxPool2d(layer.pool_size, layer.strides)
    if type(layer) is keras.layers.AveragePooling2D:
        return nn.AvgPool2d(layer.pool_size, layer.strides)
    if type(layer) is keras.layers.UpSampling2D and layer.interpolation == "nearest":
        return nn.Upsample(scale_factor=layer.size, mode="nearest")
    if type(layer) is keras.layers.ReLU:
        return nn.ReLU()
    if type(layer) is keras.layers.Rescaling:
        return _Rescale(layer.scale, layer.offset)
    if type(layer) is keras.layers.Flatten:
        return _Flatten()
    if type(layer) is keras.layers.Reshape:
        return nn.Unflatten(1, layer.target_shape)
    if type(layer) is keras.layers.Concatenate and layer.axis in (-1, 3):
        return _Concatenate()
    if type(layer) is keras.layers.Add:
        return _Add()
    if type(layer) is CoordinateChannels and not isinstance(layer.input, list):
        return _Coordinates(layer)
    raise NotImplementedError(f"No PyTorch counterpart for {layer.name} ({type(layer).__name__}).")


def _convolution(layer, kernel, bias) -> nn.Module:
    """Returns a convolution; TensorFlow pads strided ones by one more row below than above."""
    out, channels, size = kernel.shape[:3]
    strided = layer.padding == "same" and layer.strides != (1, 1)
    padding = 0 if strided else layer.padding
    module = nn.Conv2d(channels, out, size, layer.strides, padding, bias=bool(bias))
    _set(module, kernel, *bias)
    if not strided:
        return module
    total = max(size - layer.strides[0], 0)
    before, after = total // 2, total - total // 2
    return nn.Sequential(nn.ZeroPad2d((before, after, before, after)), module)


def _set(module, kernel, bias=None):
    with torch.no_grad():
        module.weight.copy_(kernel)
        if bias is not None:
            module.bias.copy_(bias)
