"""Memory over long runs: whether the resident set (RSS) stays flat after warm-up.

    python benchmarks/long_runs.py [--part=video|training|reading] [--quick] [--folder=FOLDER]

* video: ``wing-predict --video`` of 3 hours at 10 frames/s, 108,000 frames: a generated clip,
  joined to itself without decoding. Decoder, detector, network, tracker, drawing, encoder, results.
* training: ``wing-train`` for 10,000 steps, 100 epochs with validation and checkpoints, of which
  each reads and decodes its records again.
* reading: 100,000 records, checked by `open_records` and decoded by `read_faces`.

Of each it prints the RSS in the first tenth after the warm-up and in the last tenth of the run
(medians), the growth between the two and the highest value after warm-up; the same of its anonymous
part, from which the system can't take pages of files while memory is short; and it ends with status
1 if either grew by more than 5 %. FFmpeg keeps the table of an MP4 file's frames in memory until
the file is closed, 71 bytes for each: these are not counted as growth. The warm-up is the first
tenth of a run, with ``--quick``, whose runs take seconds, the first half. Linux only: reads /proc.
"""

import argparse
import contextlib
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import av
import numpy as np

from tfrecords_tools.synthetic.clip import Motion, SyntheticClip

RATE = 10
SIZE_HW = (192, 192)
CLIP_FRAMES = 250
NUM_RENDERED = 48
MAX_GROWTH = 0.05
# Growth of the process between frames 10,800 and 108,000 of 32 x 32 px that PyAV 18 (FFmpeg 8) did
# nothing but encode and write: 6.6 MiB to MP4, 0 to Matroska.
MP4_BYTES_PER_FRAME = 71
ROOT = pathlib.Path(__file__).parents[1]
FULL = {"frames": 108_000, "steps": 10_000, "records": 100_000}
QUICK = {"frames": 750, "steps": 120, "records": 6000}


KINDS = {"VmRSS": "RSS", "RssAnon": "of it anonymous"}


def resident_mib(process: int) -> list[float]:
    """Returns the resident set of a process and its anonymous part; empty if it has ended."""
    with contextlib.suppress(OSError):
        text = pathlib.Path(f"/proc/{process}/status").read_text()
        values = dict(line.split(":", 1) for line in text.splitlines())
        return [int(values[kind].split()[0]) / 1024 for kind in KINDS if kind in values]
    return []


class Memory:
    """Samples of a process's memory and of how far its work has come.

    Args:
        process: Number of the process.
        progress: Function that returns how far its work has come, in any unit.
    """

    def __init__(self, process, progress):
        self._process, self._progress = process, progress
        self._samples, self._stop = [], threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _watch(self):
        while not self._stop.wait(0.1):
            if sizes := resident_mib(self._process):
                self._samples.append((self._progress(), *sizes))

    def report(self, title: str, warm_up: float, table_mib: float = 0.0) -> bool:
        """Prints the memory after warm-up, a fraction of the work; returns whether it is flat.

        Args:
            title: What was run.
            warm_up: Fraction of the work.
            table_mib: Size of the output file's table in memory, which grows evenly.
        """
        done, *sizes = np.array(self._samples).T
        done = done / done.max()
        width = (1 - warm_up) / 9 if warm_up <= 0.1 else (1 - warm_up) / 4
        first = (done >= warm_up) & (done <= warm_up + width)
        if not first.any():
            raise SystemExit(f"{title}: too fast for {len(done)} samples. Take a longer run.")
        is_flat = True
        for kind, size in zip(KINDS.values(), sizes, strict=True):
            start, end = statistics.median(size[first]), statistics.median(size[done >= 1 - width])
            expected = start + table_mib * (1 - warm_up - width)
            growth, highest = end / expected - 1, size[done >= warm_up].max()
            is_flat = is_flat and growth <= MAX_GROWTH
            print(
                f"{title}, {kind}: {start:.0f} MiB after warm-up, {end:.0f} MiB at the end, growth "
                f"{growth:+.1%}, highest {highest:.0f} MiB",
                flush=True,
            )
        return is_flat


def size_of(*paths: pathlib.Path):
    """Returns a function of the bytes in the first of some files that exists."""

    def size() -> int:
        return next((path.stat().st_size for path in paths if path.exists()), 0)

    return size


def command(name: str, *arguments: str) -> list[str]:
    """Returns a command of the package, run by this Python."""
    module = "tfrecords_tools.cli" if name == "wing-tfrecords" else f"wing_tf.cli.{name[5:]}"
    return [sys.executable, "-m", module, *arguments]


def watched(arguments: list[str], progress, log: pathlib.Path) -> Memory:
    """Runs a command to its end."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with log.open("w") as output:
        process = subprocess.Popen(arguments, env=environment, stdout=output, stderr=output)
        with Memory(process.pid, progress) as memory:
            status = process.wait()
    if status:
        raise SystemExit(f"{' '.join(arguments)} ended with {status}:\n{log.read_text()[-3000:]}")
    return memory


def make_clip(path: pathlib.Path) -> None:
    """Writes a clip of one face that moves on a circle; its end fits its start."""
    angle = np.linspace(0, 2 * np.pi, CLIP_FRAMES, endpoint=False)
    center = 96 + 20 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    motion = Motion(center, 90 + 5 * np.sin(angle), 10 * np.sin(angle))
    clip = SyntheticClip([motion], seed=3, size_hw=SIZE_HW)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=RATE, options={"preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = *SIZE_HW, "yuv420p"
        for index in range(len(clip)):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(clip.frame(index), "rgb24")))
        file.mux(stream.encode(None))


def repeat_clip(clip: pathlib.Path, path: pathlib.Path, frames: int) -> None:
    """Joins a clip to itself until it has at least this many frames, without decoding."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copied = target.add_stream_from_template(stream)
        length = round(CLIP_FRAMES / RATE / stream.time_base)
        for number in range(-(-frames // CLIP_FRAMES)):
            source.seek(0)
            for packet in source.demux(stream):
                if packet.dts is not None:
                    packet.pts, packet.dts = (
                        stamp + number * length for stamp in (packet.pts, packet.dts)
                    )
                    packet.stream = copied
                    target.mux(packet)


def run_video(folder: pathlib.Path, frames: int) -> Memory:
    """Locates the landmarks in a long video."""
    clip, video, output = folder / "clip.mp4", folder / "video.mp4", folder / "video_output"
    make_clip(clip)
    repeat_clip(clip, video, frames)
    names = ("landmarks.jsonl", "landmarks.partial.jsonl")
    memory = watched(
        command("wing-predict", f"--video={video}", f"--output={output}", "--threads=1"),
        size_of(*(output / name for name in names)),
        folder / "video.log",
    )
    with (output / "landmarks.jsonl").open() as lines:
        empty = total = 0
        for line in lines:
            total += 1
            empty += '"faces":[]' in line
    print(f"video: {total} frames, of which {empty} without a face", flush=True)
    return memory


def write_records(folder: pathlib.Path, num_train: int) -> pathlib.Path:
    """Writes records of few rendered faces, repeated to many."""
    records = folder / "records"
    arguments = [f"--num_train={NUM_RENDERED}", "--num_test=16", "--side=64", "--image_size=96"]
    write = command("wing-tfrecords", "write", "--source=synthetic", f"--output={records}")
    subprocess.run([*write, *arguments], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    (shard,) = records.glob("train-*")
    content = shard.read_bytes()
    kept = NUM_RENDERED * 8 // 10  # about a tenth is for validation
    with shard.open("ab") as file:
        for _ in range(1, -(-num_train // kept)):
            file.write(content)
    return records


def run_training(folder: pathlib.Path, steps: int) -> Memory:
    """Trains a small network."""
    per_epoch = min(100, steps // 6)
    records, run = write_records(folder, per_epoch * 16), folder / "run"
    return watched(
        command(
            "wing-train", f"--config={ROOT / 'configs' / 'smoke.py'}", f"--workdir={run}",
            f"--config.data.path={records}", "--config.data.cache=False", "--config.batch_size=16",
            f"--config.epochs={steps // per_epoch}",
        ),
        size_of(run / "metrics.csv"),
        folder / "training.log",
    )  # fmt: skip


def run_reading(folder: pathlib.Path, records: int) -> Memory:
    """Reads records in this process."""
    from wing_tf.data.read import read_faces
    from wing_tf.data.records import open_records

    path = write_records(folder, records)
    count = 0
    with Memory(os.getpid(), lambda: count) as memory:
        for _ in read_faces(open_records(path, split="train")):
            count += 1
    print(f"reading: {count} records", flush=True)
    return memory


def main():
    """Runs the parts, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    runs = {"video": run_video, "training": run_training, "reading": run_reading}
    parser.add_argument("--part", choices=runs, help="Defaults to all.")
    parser.add_argument("--quick", action="store_true", help="Runs of seconds.")
    parser.add_argument("--folder", help="For temporary files, up to 2 GB. Defaults to TMPDIR.")
    args = parser.parse_args()
    if args.part is None:
        command_line = [sys.executable, __file__, *sys.argv[1:]]
        codes = [subprocess.call([*command_line, f"--part={part}"]) for part in runs]
        raise SystemExit(max(codes))
    amounts = dict(zip(runs, (QUICK if args.quick else FULL).values(), strict=True))
    with tempfile.TemporaryDirectory(dir=args.folder, prefix="long_runs.") as folder:
        memory = runs[args.part](pathlib.Path(folder), amounts[args.part])
        amount = amounts[args.part]
        table_mib = MP4_BYTES_PER_FRAME * amount / 2**20 if args.part == "video" else 0.0
        flat = memory.report(f"{args.part}, {amount}", 0.5 if args.quick else 0.1, table_mib)
    if not flat:
        raise SystemExit(f"{args.part}: the memory grew by more than {MAX_GROWTH:.0%}.")


if __name__ == "__main__":
    main()
