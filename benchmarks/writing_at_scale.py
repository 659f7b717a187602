"""Rates and memory of writing and reading the records of a large data set.

    python benchmarks/writing_at_scale.py --root=300W [--faces=200000] [--num_processes=2]
    python benchmarks/writing_at_scale.py --root=300W --quick
    pip install -e '.[beam]'
    python benchmarks/writing_at_scale.py --root=300W --faces=2000 --beam

The faces of a 300-W tree are repeated under new names, so that no data set of 200,000 faces is
needed; images therefore come from the page cache. Measures

* writing by `tfrecords_tools.writer`, including the listing of the source,
* the resident memory of the parent process and the sum of its workers, every two seconds, to see
  whether it grows while records are written,
* reading: `read_faces` with decoded images, and `training_batches` without a cache,
* with ``--beam``, writing of ``--beam_faces`` faces by Apache Beam on this machine, in one and in
  several processes, and whether the files equal those of the local writer.

Needs about 9 KB of disk per face at a side of 128 pixels. Prints a Markdown table. ``--quick``
writes 80 faces in one process.
"""

import argparse
import collections
import dataclasses
import os
import pathlib
import tempfile
import threading
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from tfrecords_tools.sources import Ibug300WSource
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records

BATCH = 32
SECONDS = 2.0  # between two memory samples


class Repeated(Ibug300WSource):
    """Faces of a 300-W tree, repeated under new names."""

    official_counts = {}

    def __init__(self, root, count):
        super().__init__(root)
        self.count = count

    def items(self):
        """Returns faces named ``NNNNNN/key``; faces of one image stay together."""
        items = super().items()
        return [
            dataclasses.replace(
                items[number % len(items)],
                key=f"{number:06d}/{items[number % len(items)].key}",
                source_image=(
                    f"{number // len(items):06d}/{items[number % len(items)].source_image}"
                ),
            )
            for number in range(self.count)
        ]


@dataclasses.dataclass
class Sample:
    """Bytes written and resident at one time."""

    written: int
    parent: int
    children: int


class Memory(threading.Thread):
    """Samples the size of a folder and the memory of this process and its descendants."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder, self.samples, self.done = pathlib.Path(folder), [], threading.Event()

    def run(self):
        """Samples until `done` is set."""
        while not self.done.wait(SECONDS):
            parent, children = resident()
            self.samples.append(Sample(folder_bytes(self.folder), parent, children))

    def maximum(self):
        """Returns the maximum memory of the parent in MB, and that of its workers as text."""
        parent = max((sample.parent for sample in self.samples), default=0) / 1e6
        children = max((sample.children for sample in self.samples), default=0) / 1e6
        return parent, f"MB, processes {children:.0f} MB"

    def at(self, fraction, total):
        """Returns the first sample with a fraction of all bytes written."""
        return next((sample for sample in self.samples if sample.written >= fraction * total), None)


def folder_bytes(folder: pathlib.Path) -> int:
    """Returns the bytes of all files in a folder, 0 if it does not exist."""
    total = 0
    for path in folder.glob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # renamed in the meantime
            continue
    return total


def resident() -> tuple[int, int]:
    """Returns the resident bytes of this process and the sum of its descendants."""
    memory, children = {}, collections.defaultdict(list)
    for path in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in path.read_text().splitlines())
        except OSError:  # ended in the meantime
            continue
        process = int(path.parent.name)
        memory[process] = 1024 * int(lines.get("VmRSS", "0 kB").split()[0])
        children[int(lines["PPid"])].append(process)
    waiting, below = list(children[os.getpid()]), 0
    while waiting:
        process = waiting.pop()
        below += memory[process]
        waiting += children[process]
    return memory[os.getpid()], below


def timed(function) -> float:
    """Returns the duration of a call in seconds."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def write(source, folder: pathlib.Path, processes: int, side: int):
    """Writes records; returns the manifest, the seconds and the memory samples."""
    memory = Memory(folder.with_name(folder.name + ".partial"))
    memory.start()
    manifest = {}
    seconds = timed(
        lambda: manifest.update(
            write_records(
                source, folder, square_format=SquareFormat(side=side), num_processes=processes,
                progress=False,
            )
        )
    )  # fmt: skip
    memory.done.set()
    memory.join()
    return manifest, seconds, memory


def read(folder: pathlib.Path) -> dict[str, float]:
    """Returns reading rates in faces per second."""
    from wing_tf.data.batches import training_batches
    from wing_tf.data.read import read_faces
    from wing_tf.data.records import open_records

    def drain(dataset):
        for _ in dataset:
            pass

    records = open_records(folder)
    checked = timed(lambda: open_records(folder))
    whole = timed(lambda: drain(read_faces(records).batch(BATCH).prefetch(2)))
    train = open_records(folder, split="train")
    steps = train.num_faces // BATCH
    batches = training_batches(train, batch_size=BATCH, num_draws=16, seed=0, cache=False)
    trained = timed(lambda: drain(batches.take(steps)))
    return {
        "reading: checking the files (`open_records`)": records.num_faces / checked,
        "reading: `read_faces`, images decoded": records.num_faces / whole,
        "reading: `training_batches`, no cache": steps * BATCH / trained,
    }


def beam_rates(args, folder: pathlib.Path) -> list[tuple[str, float, str]]:
    """Returns table rows of Beam's rates and whether its files equal the local writer's."""
    from tfrecords_tools.beam import write_records_with_beam

    source = Repeated(args.root, args.beam_faces)
    local, seconds, _ = write(source, folder / "beam_local", args.num_processes, args.side)
    count = sum(local["counts"].values())
    name = f"{count} faces: local, {args.num_processes} processes, faces/s"
    rows = [(name, count / seconds, "")]
    for workers in dict.fromkeys((1, args.num_processes)):
        beam = {}
        options = [f"--direct_num_workers={workers}"]
        output = folder / f"beam_{workers}"
        memory = Memory(output)
        memory.start()
        seconds = timed(
            lambda output=output, options=options, beam=beam: beam.update(
                write_records_with_beam(
                    source,
                    output,
                    square_format=SquareFormat(side=args.side),
                    pipeline_options=options,
                )
            )
        )
        memory.done.set()
        memory.join()
        same = "the same files" if beam == local else "DIFFERENT FILES"
        name = f"{count} faces: Beam, {workers} worker(s)"
        rows.append((f"{name}, faces/s", count / seconds, same))
        rows.append((f"{name}, parent's maximum memory", *memory.maximum()))
    return rows


def main():
    """Writes, reads, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", required=True, help="A 300-W tree, or part of one.")
    parser.add_argument("--faces", type=int, default=200_000)
    parser.add_argument("--num_processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--beam", action="store_true", help="Also measure Apache Beam.")
    parser.add_argument("--beam_faces", type=int, default=2000)
    parser.add_argument("--folder", help="Where to write; a temporary folder if not given.")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if args.quick:
        args.faces, args.beam_faces, args.num_processes = 80, 80, 1
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = pathlib.Path(name)
        source = Repeated(args.root, args.faces)
        manifest, seconds, memory = write(source, folder / "records", args.num_processes, args.side)
        count, total = sum(manifest["counts"].values()), folder_bytes(folder / "records")
        rows = [
            ("faces written", count, f"{len(manifest['skipped'])} skipped, {seconds:.0f} s"),
            ("writing, faces/s", count / seconds, f"{args.num_processes} processes"),
            ("writing, faces/s and process", count / seconds / max(1, args.num_processes), ""),
            ("bytes a face", total / count, f"{len(manifest['shards'])} shards"),
        ]
        samples = {f"at {fraction:.0%}": memory.at(fraction, total) for fraction in (0.1, 0.5)}
        samples["at the end"] = memory.samples[-1] if memory.samples else None
        for when, sample in samples.items():
            if sample:
                both = f"MB, processes {sample.children / 1e6:.0f} MB"
                rows.append((f"parent's memory {when}", sample.parent / 1e6, both))
        rows.append(("parent's maximum memory", *memory.maximum()))
        rows += [(f"{name}, faces/s", rate, "") for name, rate in read(folder / "records").items()]
        if args.beam:
            rows += beam_rates(args, folder)
    print(f"\n| {args.faces} faces at a side of {args.side} | | |\n| --- | --- | --- |")
    for name, value, remark in rows:
        print(f"| {name} | {value:,.0f} | {remark} |")


if __name__ == "__main__":
    main()
