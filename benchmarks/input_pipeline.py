"""Throughput of the input pipeline: reading, decoding, batching and augmentation without a network.

    pip install -e '.[bench]'
    python benchmarks/input_pipeline.py --records=RECORDS [--repeats=5] [--quick]

Measures faces per second in processes that are pinned to one core and to two, alternately:

* wing_tf from files: records are read and parsed, JPEGs decoded, and batches of 32 augmented in
  ``dataset.map``. (A training with ``config.data.cache=False`` augments in its step instead.)
* wing_tf from memory: the same with decoded squares in memory, the default of a training.
* albumentations 2.0.8, if it is installed: the same augmentation of the same JPEGs, which are in
  memory and decoded by OpenCV at the same reduced size, in as many PyTorch loader processes as
  cores, which shuffle without end and send uint8.
* CNN-6's train step on a ready batch, which consumes the faces.

``ratio_albumentations:`` is wing_tf from files over albumentations, ``ratio:`` wing_tf from files
over CNN-6's step in float32, both on two cores, and ``ratio_bfloat16:`` that in bfloat16 if the
trainer chooses it. Pipeline and step are measured one after the other on the same cores. The stages
are measured in processor time, which other processes hardly change. ``--quick`` measures once,
briefly, and squares of one size.
"""

import argparse
import importlib.util
import itertools
import json
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile

from turns import processor_ms, rate

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

BATCH = 32
SIDE = 64
SIZES = ((256, 64), (128, 64), (512, 64), (256, 128), (512, 256))  # stored, network input
CORES = (1, 2)
_CONFIG = pathlib.Path(__file__).parents[1] / "configs" / "wing_cnn6_300w_cpu.py"
_RECIPE = runpy.run_path(_CONFIG)["get_config"]()
MARGIN, AMOUNTS = _RECIPE.crop_margin, _RECIPE.augment.to_dict()


def main():
    """Starts the pinned processes and prints their results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", required=True, help="A record folder with a train split.")
    parser.add_argument("--repeats", type=int, default=5, help="Processes per measurement.")
    parser.add_argument("--seconds", type=float, default=3.0, help="Duration of a measurement.")
    parser.add_argument("--quick", action="store_true", help="Measure once, in about a minute.")
    parser.add_argument("--cores", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.quick:
        args.repeats, args.seconds = 1, 0.3
    if args.part:
        options = {"sizes": SIZES[:1] if args.quick else SIZES} if args.part == "sizes" else {}
        print(json.dumps(PARTS[args.part](args.records, args.cores, args.seconds, **options)))
        return
    parts = ["rates"]
    if all(importlib.util.find_spec(name) for name in ("albumentations", "torch")):
        parts.append("albumentations")
    else:
        print("albumentations is not measured: install the extra 'bench'.")
    rates = {}
    for _ in range(args.repeats):
        for part, cores in itertools.product(parts, CORES):
            for name, value in _run(args, part, cores).items():
                rates.setdefault((name, cores), []).append(value)
    stages, sizes = _run(args, "stages", 1), _run(args, "sizes", 2)
    print("\n".join(_report(rates, stages, sizes)))


def _run(args: argparse.Namespace, part: str, cores: int) -> dict:
    print(f"Measuring {part} on {cores} core{'s'[: cores - 1]} ...", file=sys.stderr, flush=True)
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    done = subprocess.run(
        [sys.executable, __file__, f"--records={args.records}", f"--seconds={args.seconds}",
         f"--cores={cores}", f"--part={part}", *["--quick"] * args.quick],
        stdout=subprocess.PIPE, text=True, check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )  # fmt: skip
    return json.loads(done.stdout.strip().splitlines()[-1])


def _report(rates: dict, stages: dict, sizes: dict) -> list[str]:
    """Returns the lines of the report.

    Args:
        rates: Faces per second of each process, by (name, number of cores).
        stages: Processor time per face in milliseconds, after each stage, by name.
        sizes: Faces per second by the size of squares and network input.
    """
    repeats = len(next(iter(rates.values())))
    lines = [f"faces/s, median (minimum to maximum) of {repeats} processes, batches of {BATCH}"]
    lines.append(f"{'':<28} {'1 core':>22} {'2 cores':>22}  growth")
    names = list(dict.fromkeys(name for name, _ in rates))
    median = {key: sorted(values)[len(values) // 2] for key, values in rates.items()}
    for name in names:
        cells = [
            f"{median[name, cores]:.0f} ({min(rates[name, cores]):.0f} to "
            f"{max(rates[name, cores]):.0f})"
            for cores in CORES
        ]
        growth = median[name, 2] / median[name, 1]
        lines.append(f"{name:<28} {cells[0]:>22} {cells[1]:>22}  {growth:.2f}")
    lines += ["", "Core milliseconds per face after each stage (processor time):"]
    lines += [f"  {name:<44} {value:.3f}" for name, value in stages.items()]
    lines += ["", "Squares of other sizes, rendered faces, from files, faces/s on 2 cores:"]
    lines += [f"  {name:<44} {value:.0f}" for name, value in sizes.items()]
    files, memory = median["wing_tf from files", 2], median["wing_tf from memory", 2]
    lines.append("")
    if "CNN-6 bfloat16 step" in names:
        step = median["CNN-6 bfloat16 step", 2]
        lines.append(f"ratio_bfloat16: {files / step:.2f}")
        lines.append(f"ratio_bfloat16_memory: {memory / step:.2f}")
    step = median["CNN-6 float32 step", 2]
    lines.append(f"ratio_memory: {memory / step:.2f}")
    if "albumentations" in names:
        lines.append(f"ratio_albumentations: {files / median['albumentations', 2]:.2f}")
    return [*lines, f"ratio: {files / step:.2f}"]


def _open(path: str):
    from wing_tf.data.records import open_records

    return open_records(path, split="train")


def _pipeline(records, *, cache: bool, side: int = SIDE):
    """Returns a function that returns the next augmented batch."""
    import tensorflow as tf

    from wing_tf.data.augment import Augmentation, Augmenter
    from wing_tf.data.batches import training_batches
    from wing_tf.data.read import decode_ratio

    augmenter = Augmenter(
        records.scheme, input_size=side, margin=MARGIN, augmentation=Augmentation(**AMOUNTS),
        jit_compile=True,
    )  # fmt: skip
    ratio = decode_ratio(records.side, records.context, MARGIN, side)
    batches = training_batches(
        records, batch_size=BATCH, num_draws=augmenter.num_draws, seed=0, ratio=ratio, cache=cache
    )
    batches = batches.map(augmenter, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)
    iterator = iter(batches)
    return lambda: next(iterator)


def _rates(path: str, cores: int, seconds: float) -> dict:
    from ready_step import ReadyStep, default_plan

    records = _open(path)
    rates = {
        "wing_tf from files": rate(_pipeline(records, cache=False), BATCH, seconds),
        "wing_tf from memory": rate(_pipeline(records, cache=True), BATCH, seconds),
    }
    for precision in dict.fromkeys(("float32", default_plan().precision)):
        rates[f"CNN-6 {precision} step"] = rate(
            ReadyStep("cnn6", BATCH, default_plan(precision), SIDE), BATCH, seconds
        )
    return rates


def _stages(path: str, cores: int, seconds: float) -> dict:
    import tensorflow as tf

    from wing_tf.data.augment import Augmentation, Augmenter
    from wing_tf.data.batches import training_batches
    from wing_tf.data.read import decode_ratio, parse_face

    records = _open(path)
    ratio = decode_ratio(records.side, records.context, MARGIN, SIDE)
    raw = tf.data.TFRecordDataset(list(records.files)).repeat()

    def drain(dataset):
        iterator = iter(dataset.batch(BATCH).prefetch(2))
        return processor_ms(lambda: next(iterator), BATCH, seconds)

    options = {"num_draws": Augmenter.num_draws, "seed": 0, "ratio": ratio}
    batch = next(iter(training_batches(records, batch_size=BATCH, **options)))

    def augment(**amounts):
        augmenter = Augmenter(
            records.scheme, input_size=SIDE, margin=MARGIN, augmentation=Augmentation(**amounts),
            jit_compile=True,
        )  # fmt: skip
        return processor_ms(tf.function(lambda: augmenter(batch)), BATCH, seconds)

    return {
        "records read": drain(raw),
        "... and parsed": drain(raw.map(lambda r: parse_face(r, records, ratio, image=False))),
        f"... and decoded at 1/{ratio}": drain(raw.map(lambda r: parse_face(r, records, ratio))),
        "cropped and warped": augment(),
        "... and augmented": augment(**AMOUNTS),
    }


def _sizes(path: str, cores: int, seconds: float, sizes=SIZES) -> dict:
    from tfrecords_tools.sources import SyntheticSource
    from tfrecords_tools.square_crops import SquareFormat
    from tfrecords_tools.writer import write_records

    rates = {}
    for stored, side in sizes:
        with tempfile.TemporaryDirectory() as folder:
            write_records(
                SyntheticSource(num_train=2 * BATCH), f"{folder}/records",
                square_format=SquareFormat(side=stored), progress=False, validation_fraction=0.0,
            )  # fmt: skip
            pipeline = _pipeline(_open(f"{folder}/records"), cache=False, side=side)
            rates[f"stored at {stored}, network input {side}"] = rate(pipeline, BATCH, seconds)
    return rates


def _albumentations(path: str, cores: int, seconds: float) -> dict:
    import albumentations as A  # noqa: N812 (as in its documentation)
    import cv2
    import numpy as np
    import torch
    from faces_in_memory import faces_in_memory

    records = _open(path)
    faces, ratio = faces_in_memory(records, MARGIN, SIDE)
    permutation = list(records.scheme.flip_permutation)
    cv2.setNumThreads(0)
    flags = {
        1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }  # fmt: skip
    a = AMOUNTS
    sigma = a["blur_sigma_px"]
    occluder = (0.25 * a["occlusion_size"], a["occlusion_size"])
    transform = A.Compose(
        [
            A.Resize(SIDE, SIDE),
            A.HorizontalFlip(p=a["flip"]),
            A.Affine(
                scale={axis: (1 - a["scale"] - a["box_jitter"], 1 + a["scale"] + a["box_jitter"])
                       for axis in "xy"},
                translate_percent=(-a["translation"], a["translation"]),
                rotate=(-a["rotation_deg"], a["rotation_deg"]),
                p=1.0,
            ),
            A.GaussianBlur(blur_limit=(7, 7), sigma_limit=(sigma, sigma), p=a["blur"]),
            A.RandomBrightnessContrast(a["brightness"], a["contrast"], p=1.0),
            A.MultiplicativeNoise(
                multiplier=(1 - a["color"], 1 + a["color"]), per_channel=True, p=1.0
            ),
            A.GaussNoise(std_range=(0.0, a["noise"]), p=1.0),
            A.CoarseDropout(
                num_holes_range=(1, 1), hole_height_range=occluder, hole_width_range=occluder,
                fill="random_uniform", p=a["occlusion"],
            ),
        ],
        keypoint_params=A.KeypointParams(format="xy", remove_invisible=False),
    )  # fmt: skip
    flip = transform.transforms[1]

    class Faces(torch.utils.data.Dataset):
        def __len__(self):
            return len(faces)

        def __getitem__(self, index):
            jpeg, landmarks, (left, top, right, bottom) = faces[index]
            image = cv2.imdecode(jpeg, flags[ratio])[top:bottom, left:right]
            flipped = bool(torch.rand(()) < a["flip"])
            flip.p = float(flipped)
            out = transform(image=image, keypoints=landmarks)
            points = np.asarray(out["keypoints"], np.float32)
            return out["image"], points[permutation] if flipped else points

    # Without end as in wing_tf, so that workers never wait for the next epoch.
    sampler = torch.utils.data.RandomSampler(Faces(), replacement=True, num_samples=10**9)
    loader = torch.utils.data.DataLoader(
        Faces(), batch_size=BATCH, sampler=sampler, num_workers=cores, prefetch_factor=4
    )
    batches = iter(loader)

    def take():
        image, landmarks = next(batches)
        return image.float(), landmarks

    return {"albumentations": rate(take, BATCH, seconds)}


PARTS = {
    "rates": _rates, "stages": _stages, "sizes": _sizes, "albumentations": _albumentations,
}  # fmt: skip

if __name__ == "__main__":
    main()
