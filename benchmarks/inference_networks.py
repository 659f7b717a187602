"""Writes one network in all file formats that `inference.py` measures, in its own process.

    python benchmarks/inference_networks.py '{"model": "cnn6", "folder": ..., "wanted": [...]}'

A model is one of `NETWORKS` with random weights (the speed is the same), a ``.keras`` file or a
run folder. ``wanted`` holds names of files: ``float32.tflite``, ``int8.onnx``, ``network.keras``,
``torch.pt``. ``expected.npz`` gets the crop of the measurement and the network's landmarks.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

from wing_tf.codecs import HeatmapCodec
from wing_tf.export.deployed_network import deployed_network
from wing_tf.export.exported_spec import exported_spec
from wing_tf.export.litert import write_litert
from wing_tf.export.onnx import write_onnx
from wing_tf.model_spec import ModelSpec
from wing_tf.models import (
    cnn6,
    cnn7,
    heatmap_localizer,
    mobile_unet,
    mobilenet,
    resnet50,
    smt_net,
    stacked_hourglass,
    two_stage,
)
from wing_tf.models.saving import load_network
from wing_tf.models.two_stage import reference_in_crop
from wing_tf.utils.zip_files import attach_files

POINTS = 68


def _two_stage():
    spread = np.random.default_rng(0).uniform(0, 1, (POINTS, 2))
    reference = reference_in_crop(spread, 128, 1.1)
    first = cnn6(POINTS)
    first.get_layer("output").bias.assign((reference / 2).ravel())
    second = cnn7(POINTS, width=0.5)
    return two_stage(first, second, reference, first_margin=1.1, second_margin=1.1)


def _localizer(network, decoder):
    codec = HeatmapCodec(input_size=128, heatmap_size=32, sigma=1.0, decoder=decoder)
    return heatmap_localizer(network, POINTS, codec)


NETWORKS = {
    # As in the paper: 64 and 128 px, full width.
    "cnn6": lambda: cnn6(POINTS),
    "cnn7": lambda: cnn7(POINTS),
    # As in configs/wing_two_stage_300w_cpu.py: 208 px; CNN-6 at 64, CNN-7 of half width at 128.
    "two_stage": _two_stage,
    # As in configs/wing_mobilenet_300w_cpu.py and wing_resnet50_300w.py.
    "mobilenet": lambda: mobilenet(POINTS, input_size=112, width=0.5),
    "resnet50": lambda: resnet50(POINTS, input_size=224),
    # As in configs/awing_small_300w_cpu.py and smt_small_300w_cpu.py: 128 px.
    "hourglass": lambda: _localizer(
        stacked_hourglass(
            POINTS, num_stacks=1, features=128, input_size=128, boundary_coordinates=False
        ),
        "dark",
    ),
    # As in configs/mobile_unet_synthetic_cpu.py: 128 px.
    "mobile_unet": lambda: _localizer(mobile_unet(POINTS), "dark"),
    "smt_net": lambda: _localizer(
        smt_net(POINTS, num_stacks=2, features=64, inner_features=128, input_size=128), "argmax"
    ),
}


def main():
    """Writes the wanted files."""
    task = json.loads(sys.argv[1])
    folder = pathlib.Path(task["folder"])
    keras.utils.set_random_seed(0)
    if task["model"] in NETWORKS:
        network = NETWORKS[task["model"]]()
        spec = ModelSpec(scheme="ibug_68", input_size=network.input_shape[1], margin=1.2)
    else:
        network, spec = load_network(task["model"])
    deployed = deployed_network(network, spec)
    crops = _waves(spec.input_size, 12)
    landmarks = deployed(crops[:1])["landmarks"]
    np.savez(folder / "expected.npz", crop=crops[:1], landmarks=landmarks)
    for name in task["wanted"]:
        path = folder / name
        precision, _, kind = name.partition(".")
        if kind == "tflite":
            write_litert(deployed, path, precision=precision, calibration=crops)
            facts = exported_spec(deployed, spec, format="litert", precision=precision)
            attach_files(path, {"model_spec.json": json.dumps(facts)})
        elif kind == "onnx":
            write_onnx(deployed, path, precision=precision, calibration=crops)
        elif kind == "keras":
            deployed.save(path)
        else:
            _write_torch(network, crops[:1], path)


def _waves(side: int, count: int) -> np.ndarray:
    """Returns smooth images, uint8 [count, side, side, 3]."""
    phase = np.random.default_rng(0).uniform(0, 6, (count, 1, 1, 3))
    rows, columns = np.mgrid[:side, :side] * (64 / side)
    waves = np.sin(rows[..., None] / 5 + phase) * np.cos(columns[..., None] / 7 - phase)
    return (127.5 + 127 * waves).astype(np.uint8)


def _write_torch(network: keras.Model, crop: np.ndarray, path: pathlib.Path) -> None:
    """Writes the PyTorch twin as TorchScript; without a twin, writes nothing."""
    import torch
    from torch_twin import Twin

    class Deployed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.twin = Twin(network)

        def forward(self, image):
            image = image.permute(0, 3, 1, 2).float()
            return self.twin(image.contiguous(memory_format=torch.channels_last))

    try:
        module = Deployed().eval().to(memory_format=torch.channels_last)
    except NotImplementedError as error:
        print(f"PyTorch is omitted: {error}", file=sys.stderr)
        return
    with torch.inference_mode():
        traced = torch.jit.trace(module, torch.from_numpy(crop))
        torch.jit.save(torch.jit.freeze(traced), str(path))


if __name__ == "__main__":
    main()
