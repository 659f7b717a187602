"""The input pipeline: faces a second read, decoded, batched and augmented, without a network.

    pip install -e '.[bench]'
    python benchmarks/input_pipeline.py --records=RECORDS [--repeats=5]

Measures on one core and on two, in processes pinned to them, by turns:

* wing_tf from files: records read, parsed, JPEGs decoded, batches of 32 augmented in
  ``dataset.map``. (A training with ``config.data.cache=False`` augments in its step instead.)
* wing_tf from memory: the same, with squares decoded once and kept, a training's default.
* albumentations 2.0.8: the same kinds and amounts of augmentation of the same JPEGs, held in memory
  and decoded by OpenCV at the same reduced size, in as many PyTorch loader processes as there are
  cores, which shuffle without end and send uint8.
* CNN-6's bare train step, which consumes the faces.

``ratio_albumentations:`` is wing_tf from files over albumentations, ``ratio:`` wing_tf from files
over CNN-6's consumption in float32, both on two cores; where the trainer would choose bfloat16
the same is printed for it. Pipeline and step are timed one after the other, on the same cores.
"""

import argparse
import itertools
import json
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile

from turns import rate

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

BATCH = 32
SIDE = 64
_CONFIG = pathlib.Path(__file__).parents[1] / "configs" / "wing_cnn6_300w_cpu.py"
_RECIPE = runpy.run_path(_CONFIG)["get_config"]()
MARGIN, AMOUNTS = _RECIPE.crop_margin, _RECIPE.augment.to_dict()


def main():
    """Starts the pinned processes and prints what they found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", required=True, help="A record folder with a train split.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cores", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.cores:
        print(json.dumps(PARTS[args.part](args.records, args.cores)))
        return
    cores = (1, 2)
    rates = {}
    for _ in range(args.repeats):
        for part, count in itertools.product(("rates", "albumentations"), cores):
            for name, value in _run(args.records, part, count).items():
                rates.setdefault((name, count), []).append(value)
    print(f"faces/s, median (lowest to highest) of {args.repeats} processes, batches of {BATCH}")
    print(f"{'':<28} {'1 core':>22} {'2 cores':>22}  growth")
    for name in dict.fromkeys(name for name, _ in rates):
        one, two = (sorted(rates[name, count]) for count in cores)
        half = len(one) // 2
        spread = [f"{r[half]:.0f} ({r[0]:.0f} to {r[-1]:.0f})" for r in (one, two)]
        print(f"{name:<28} {spread[0]:>22} {spread[1]:>22}  {two[half] / one[half]:.2f}")
    print("\nWhere the time goes, core milliseconds a face (one core):")
    for name, value in _run(args.records, "stages", 1).items():
        print(f"  {name:<44} {1000 / value:.3f}")
    print("\nSquares of other sizes, synthetic faces, from files, faces/s on 2 cores:")
    for name, value in _run(args.records, "sizes", 2).items():
        print(f"  {name:<44} {value:.0f}")
    middle = {name: sorted(rates[name, 2])[args.repeats // 2] for name, _ in rates}
    files, memory = middle["wing_tf from files"], middle["wing_tf from memory"]
    print()
    if "CNN-6 bfloat16 step" in rate:
        print(f"ratio_bfloat16: {files / middle['CNN-6 bfloat16 step']:.2f}")
        print(f"ratio_bfloat16_memory: {memory / middle['CNN-6 bfloat16 step']:.2f}")
    print(f"ratio_memory: {memory / middle['CNN-6 float32 step']:.2f}")
    print(f"ratio_albumentations: {files / middle['albumentations']:.2f}")
    print(f"ratio: {files / middle['CNN-6 float32 step']:.2f}")


def _run(records: str, part: str, cores: int) -> dict:
    command = [sys.executable, __file__, f"--records={records}", f"--cores={cores}"]
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    done = subprocess.run(
        [*command, f"--part={part}"], stdout=subprocess.PIPE, text=True, check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )  # fmt: skip
    return json.loads(done.stdout.strip().splitlines()[-1])


def _pipeline(records, *, cache: bool, side: int = SIDE):
    """Returns a function that takes the next augmented batch."""
    import tensorflow as tf

    from wing_tf.data.augment import Augmentation, Augmenter
    from wing_tf.data.read import decode_ratio, training_batches

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


def _rates(path: str, cores: int) -> dict:
    from ready_step import ReadyStep, default_plan

    from wing_tf.data.records import find_shards, open_records

    records = open_records(find_shards(path, "train"))
    rates = {
        "wing_tf from files": rate(_pipeline(records, cache=False), BATCH),
        "wing_tf from memory": rate(_pipeline(records, cache=True), BATCH),
    }
    for precision in dict.fromkeys(("float32", default_plan().precision)):
        rates[f"CNN-6 {precision} step"] = rate(
            ReadyStep("cnn6", BATCH, default_plan(precision), SIDE), BATCH
        )
    return rates


def _stages(path: str, cores: int) -> dict:
    import tensorflow as tf

    from wing_tf.data.augment import Augmentation, Augmenter
    from wing_tf.data.read import decode_ratio, parse_face, training_batches
    from wing_tf.data.records import find_shards, open_records

    records = open_records(find_shards(path, "train"))
    ratio = decode_ratio(records.side, records.context, MARGIN, SIDE)
    raw = tf.data.TFRecordDataset(list(records.files)).repeat()

    def drain(dataset):
        iterator = iter(dataset.batch(BATCH).prefetch(2))
        return rate(lambda: next(iterator), BATCH)

    options = {"num_draws": Augmenter.num_draws, "seed": 0, "ratio": ratio}
    batch = next(iter(training_batches(records, batch_size=BATCH, **options)))

    def augment(**amounts):
        augmenter = Augmenter(
            records.scheme, input_size=SIDE, margin=MARGIN, augmentation=Augmentation(**amounts),
            jit_compile=True,
        )  # fmt: skip
        return rate(tf.function(lambda: augmenter(batch)), BATCH)

    return {
        "records read": drain(raw),
        "... and parsed": drain(raw.map(lambda r: parse_face(r, records, ratio, image=False))),
        f"... and decoded at 1/{ratio}": drain(raw.map(lambda r: parse_face(r, records, ratio))),
        "cropped and warped": augment(),
        "... and augmented": augment(**AMOUNTS),
    }


def _sizes(path: str, cores: int) -> dict:
    from tfrecords_tools.sources import SyntheticSource
    from tfrecords_tools.square_crops import SquareFormat
    from tfrecords_tools.writer import write_records
    from wing_tf.data.records import find_shards, open_records

    rates = {}
    for stored, side in ((128, 64), (256, 64), (512, 64), (256, 128), (512, 256)):
        with tempfile.TemporaryDirectory() as folder:
            write_records(
                SyntheticSource(num_train=128),
                f"{folder}/records",
                square_format=SquareFormat(side=stored),
                progress=False,
                validation_fraction=0.0,
            )
            records = open_records(find_shards(f"{folder}/records", "train"))
            name = f"stored at {stored}, network's input {side}"
            rates[name] = rate(_pipeline(records, cache=False, side=side), BATCH)
    return rates


def _albumentations(path: str, cores: int) -> dict:
    import albumentations as A  # noqa: N812 (its own documentation's name)
    import cv2
    import numpy as np
    import torch

    faces, permutation, ratio = _faces_in_memory(path)
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

    # Without end, like ours: workers never wait for an epoch to begin.
    sampler = torch.utils.data.RandomSampler(Faces(), replacement=True, num_samples=10**9)
    loader = torch.utils.data.DataLoader(
        Faces(), batch_size=BATCH, sampler=sampler, num_workers=cores, prefetch_factor=4
    )
    batches = iter(loader)

    def take():
        image, landmarks = next(batches)
        return image.float(), landmarks

    return {"albumentations": rate(take, BATCH)}


def _faces_in_memory(path: str):
    """Returns JPEGs, landmarks [K, 2] in the crop and crops; the flip's order; the decode ratio."""
    import numpy as np
    import tensorflow as tf

    from wing_tf.data import record_schema as schema
    from wing_tf.data.read import decode_ratio
    from wing_tf.data.records import find_shards, open_records
    from wing_tf.geometry import crop_square

    records = open_records(find_shards(path, "train"))
    ratio = decode_ratio(records.side, records.context, MARGIN, SIDE)
    faces = []
    for record in tf.data.TFRecordDataset(list(records.files)).as_numpy_iterator():
        feature = tf.train.Example.FromString(record).features.feature
        jpeg = np.frombuffer(feature[schema.IMAGE].bytes_list.value[0], np.uint8)
        box = (np.float64(feature[schema.BOX].float_list.value) + 0.5) / ratio - 0.5
        crop = np.clip(crop_square(box, MARGIN).round(), 0, records.side // ratio).astype(int)
        landmarks = np.float32(feature[schema.LANDMARKS].float_list.value).reshape(-1, 2)
        faces.append((jpeg, (landmarks + 0.5) / ratio - 0.5 - crop[:2], crop.tolist()))
    return faces, list(records.scheme.flip_permutation), ratio


PARTS = {
    "rates": _rates, "stages": _stages, "sizes": _sizes, "albumentations": _albumentations,
}  # fmt: skip

if __name__ == "__main__":
    main()
