"""The Wing paper's table of parameters, file sizes and speeds, measured on this machine."""

import os
import pathlib
import time

import keras
import numpy as np
import tensorflow as tf

from wing_tf.models import MODELS, cnn6, cnn7, two_stage
from wing_tf.models.compiled import compile_network
from wing_tf.models.two_stage import reference_in_crop
from wing_tf.reproduction.markdown import markdown_table
from wing_tf.reproduction.wing_tables import PUBLISHED_SPEED
from wing_tf.utils.atomic import write_json, write_text

_SECONDS = 5.0
_NUM_LANDMARKS = 68


def measure_speed(folder: pathlib.Path) -> str:
    """Measures CNN-6, CNN-6/7, ResNet-50 and MobileNet; writes table.md and table.json.

    The networks have random weights, which do not affect their speed.

    Returns:
        The Markdown.
    """
    spread = np.random.default_rng(0).uniform(0, 1, (_NUM_LANDMARKS, 2))
    reference = reference_in_crop(spread, 128, 1.15)
    networks = {
        "cnn6": cnn6(_NUM_LANDMARKS),
        "cnn6/7": two_stage(
            cnn6(_NUM_LANDMARKS), cnn7(_NUM_LANDMARKS), reference,
            first_margin=1.15, second_margin=1.15,
        ),
        "resnet50": MODELS["resnet50"](_NUM_LANDMARKS),
        "mobilenet": MODELS["mobilenet"](_NUM_LANDMARKS, width=0.5),
    }  # fmt: skip
    rows = {name: _measure(network, folder) for name, network in networks.items()}
    devices = list(next(iter(rows.values()))["images_per_second"])
    head = ("network", "parameters", "file", *devices, "paper: parameters, file, GPU, CPU")
    lines = [
        "# Parameters, size and speed",
        "",
        "Reproduction of Wing Loss, first version (2017), Table 6, and CVPR 2018. Images per "
        "second, one at a time, tf.function in float32; file: the .keras file.",
        "",
        *markdown_table(
            head,
            (
                (
                    name,
                    f"{row['parameters']:,}",
                    f"{row['file_megabytes']:.1f} MB",
                    *(f"{speed:.0f}" for speed in row["images_per_second"].values()),
                    ", ".join(PUBLISHED_SPEED.get(name, ("-",))),
                )
                for name, row in rows.items()
            ),
        ),
    ]
    text = "\n".join(lines) + "\n"
    write_text(folder / "table.md", text)
    write_json(folder / "table.json", rows)
    return text


def _measure(network: keras.Model, folder: pathlib.Path) -> dict:
    path = folder / "writing.keras"
    network.save(path)
    megabytes = path.stat().st_size / 1e6
    path.unlink()
    return {
        "parameters": network.count_params(),
        "file_megabytes": megabytes,
        "images_per_second": images_per_second(network),
    }


def images_per_second(network: keras.Model) -> dict[str, float]:
    """Returns the speed of a network, one image at a time, on the CPU and on a GPU if there is one.

    The keys name the devices: the cores that the process may use, and the model of the GPU.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    devices = {f"CPU, {cores} core{'s' if cores != 1 else ''}": "/CPU:0"}
    for gpu in tf.config.list_physical_devices("GPU")[:1]:
        details = tf.config.experimental.get_device_details(gpu)
        devices[details.get("device_name", "GPU")] = "/GPU:0"
    image = np.random.default_rng(0).uniform(0, 255, (1, *network.input_shape[1:]))
    speeds = {}
    for label, device in devices.items():
        with tf.device(device):
            run = compile_network(network)
            for _ in range(5):
                run(image)
            times: list[float] = []
            while sum(times) < _SECONDS:
                started = time.perf_counter()
                run(image)
                times.append(time.perf_counter() - started)
        speeds[label] = round(1 / float(np.median(times)), 2)
    return speeds
