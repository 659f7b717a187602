"""PyTorch twins of Keras networks, with the same weights."""

import keras
import numpy as np
import torch
from torch import nn


class Twin(nn.Module):
    """A functional Keras network of the layers below, as a PyTorch module.

    Args:
        network: From images [B, side, side, 3], 0..255, to landmarks [B, K, 2].

    Raises:
        NotImplementedError: If a layer has no counterpart here.
    """

    def __init__(self, network: keras.Model):
        super().__init__()
        self.steps = nn.ModuleList()
        for layer in network.layers:
            if not isinstance(layer, keras.layers.InputLayer):
                self.steps.append(_convert(layer))

    def forward(self, image):
        """Runs the network on [B, 3, side, side] in channels_last memory format."""
        for step in self.steps:
            image = step(image)
        return image


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


def _convert(layer: keras.layers.Layer) -> nn.Module:
    weights = [torch.from_numpy(np.array(w)) for w in layer.get_weights()]
    if type(layer) is keras.layers.Conv2D and layer.activation is keras.activations.linear:
        kernel = weights[0].permute(3, 2, 0, 1)
        module = nn.Conv2d(
            kernel.shape[1], kernel.shape[0], layer.kernel_size, layer.strides, layer.padding
        )
        _set(module, kernel, weights[1])
        return module
    if type(layer) is keras.layers.Dense:
        module = nn.Linear(*weights[0].shape)
        _set(module, weights[0].T, weights[1])
        if layer.activation is keras.activations.relu:
            return nn.Sequential(module, nn.ReLU())
        return module
    if type(layer) is keras.layers.MaxPooling2D:
        return nn.MaxPool2d(layer.pool_size, layer.strides)
    if type(layer) is keras.layers.ReLU:
        return nn.ReLU()
    if type(layer) is keras.layers.Rescaling:
        return _Rescale(layer.scale, layer.offset)
    if type(layer) is keras.layers.Flatten:
        return _Flatten()
    if type(layer) is keras.layers.Reshape:
        return nn.Unflatten(1, layer.target_shape)
    raise NotImplementedError(f"No PyTorch counterpart for {layer.name} ({type(layer).__name__}).")


def _set(module, kernel, bias):
    with torch.no_grad():
        module.weight.copy_(kernel)
        module.bias.copy_(bias)
