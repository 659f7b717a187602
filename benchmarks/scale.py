"""What limits a training on many GPUs: constants that are measured here, and what follows.

    python benchmarks/scale.py --records=RECORDS [--quick] [--peak_tflops=312] [--utilization=0.3]
        [--gpus=8] [--hosts=1,8] [--step_fraction=0.1]

For CNN-6 and four stacked hourglasses, by the papers' configs:

* GFLOP per face of a train step, of the layers' shapes, and the faces per second that GPUs of the
  stated peak would take at the stated utilization of it: an assumption, as no GPU was at hand.
* Faces per second that a core prepares, from files and from memory, as the training does it: in
  processor time of all threads, which other processes on the machine hardly change. A host reads
  the records of all, to shuffle them, and decodes its own; boundary curves are sampled in Python.
* Bytes per step that the GPUs add up (float32 gradients), and the bandwidth at which that takes the
  stated fraction of a step, with a ring: each GPU, and each host for all its GPUs, sends and
  receives 2 (N - 1) / N times the gradients. Nothing is assumed to overlap with computing.
"""

import argparse
import functools
import math
import os
import pathlib
import runpy

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from ready_step import gflop_per_face
from turns import processor_ms

from wing_tf.codecs import sample_curves
from wing_tf.data.batches import training_batches
from wing_tf.data.read import read_landmarks
from wing_tf.data.record_files import file_size
from wing_tf.data.records import RecordSet, open_records
from wing_tf.training.resolve import complete_config
from wing_tf.training.tasks import make_task

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"
NETWORKS = {"CNN-6": ("wing_cnn6.py", 256), "4 hourglasses": ("awing_4hg.py", 16)}
"""Config, and an assumed number of faces per GPU and step."""
NUM_DRAWS = 32
BATCH = 32


def main():
    """Prints the constants and the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", required=True, help="A record folder with a train split.")
    parser.add_argument("--quick", action="store_true", help="Measure for .3 s each.")
    parser.add_argument("--peak_tflops", type=float, default=312, help="Of a GPU (A100, bfloat16).")
    parser.add_argument("--utilization", type=float, default=0.3)
    parser.add_argument("--gpus", type=int, default=8, help="GPUs of a host.")
    parser.add_argument("--hosts", default="1,8")
    parser.add_argument("--step_fraction", type=float, default=0.1, help="For adding up gradients.")
    args = parser.parse_args()
    records = open_records(args.records, split="train")
    stored = sum(map(file_size, records.files)) / records.num_faces
    print(f"{records.num_faces} faces, squares of {records.side} px, {stored / 1e3:.1f} kB each\n")
    seconds = 0.3 if args.quick else 8.0
    for name, (file, faces_per_gpu) in NETWORKS.items():
        constants = measure(file, records, seconds)
        print(f"{name} ({file}), {faces_per_gpu} faces per GPU and step")
        for line in format_constants(constants):
            print(f"  {line}")
        for hosts in map(int, args.hosts.split(",")):
            print(f"  {hosts} host(s) of {args.gpus} GPUs:")
            for line in format_host(constants, stored, args, hosts, faces_per_gpu):
                print(f"    {line}")
        print(flush=True)


def measure(file: str, records: RecordSet, seconds: float) -> dict:
    """Returns the constants of a config on records."""
    config = runpy.run_path(str(CONFIGS / file))["get_config"]()
    config.crop_margin = config.crop_margin or records.margin
    task = make_task(complete_config(config), records)
    network = task.build_network()
    options = {
        "batch_size": BATCH, "num_draws": NUM_DRAWS, "seed": 0, "ratio": task.decode_ratio,
        "curves": task.boundary_curves,
    }  # fmt: skip
    prepare_ms = {}
    for cache in (False, True):
        batches = iter(training_batches(records, cache=cache, **options))
        prepare_ms[cache] = processor_ms(batches.__next__, BATCH, seconds)
    python_ms = 0.0
    if task.boundary_curves:
        landmarks, visibility, _ = (values[0] for values in read_landmarks(records))
        sample = functools.partial(sample_curves, landmarks, visibility, task.boundary_curves)
        python_ms = processor_ms(sample, 1, min(seconds, 1.0))
    side = records.side // task.decode_ratio
    return {
        "gflop": gflop_per_face(network),
        "gradient_bytes": 4 * sum(math.prod(v.shape) for v in network.trainable_variables),
        "files_ms": prepare_ms[False],
        "memory_ms": prepare_ms[True],
        "python_ms": python_ms,
        "square_bytes": 3 * side**2,
        "decode_ratio": task.decode_ratio,
    }


def format_constants(found: dict) -> list[str]:
    """Returns the lines of what was measured and counted."""
    lines = [
        f"{found['gflop']:.3f} GFLOP per face and train step, "
        f"gradients {found['gradient_bytes'] / 1e6:.1f} MB",
        f"prepared from files (decoded at 1/{found['decode_ratio']}): {found['files_ms']:.3f} core "
        f"ms per face, {1e3 / found['files_ms']:.0f} faces/s per core",
        f"prepared from memory: {found['memory_ms']:.4f} ms of processor time per face, "
        f"{1e3 / found['memory_ms']:.0f} faces/s per core; {found['square_bytes'] / 1e3:.0f} kB",
    ]
    if found["python_ms"]:
        lines.append(
            f"of it in Python, one face at a time (from files; from memory once per face): "
            f"{found['python_ms']:.3f} ms, at most {1e3 / found['python_ms']:.0f} faces/s per host"
        )
    return lines


def format_host(found: dict, stored: float, args, hosts: int, faces_per_gpu: int) -> list[str]:
    """Returns the lines of what so many hosts need, per host unless they say otherwise."""
    per_gpu = args.peak_tflops * 1e3 * args.utilization / found["gflop"]
    wanted = args.gpus * per_gpu
    step_s = faces_per_gpu / per_gpu
    count = args.gpus if hosts == 1 else hosts
    sent = 2 * (count - 1) / count * found["gradient_bytes"]
    link = "GPU" if hosts == 1 else "host"
    return [
        f"wanted: {wanted:.0f} faces/s per host, {hosts * wanted:.0f} in all; "
        f"a step of {hosts * args.gpus * faces_per_gpu} faces takes {1e3 * step_s:.2f} ms",
        f"cores per host: {wanted * found['files_ms'] / 1e3:.1f} from files, "
        f"{wanted * found['memory_ms'] / 1e3:.1f} from memory",
        f"read per host: {hosts * wanted * stored / 1e6:.0f} MB/s from files; "
        f"copied to its GPUs: {wanted * found['square_bytes'] / 1e9:.2f} GB/s",
        f"added up: {sent / 1e6:.1f} MB per {link} and step each way, "
        f"{sent / (args.step_fraction * step_s) / 1e9:.1f} GB/s each way for "
        f"{args.step_fraction:.0%} of the step",
    ]


if __name__ == "__main__":
    main()
