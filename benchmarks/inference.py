"""File size, cold start, latency and memory of exported models, compared with other engines.

    pip install -e '.[bench,onnx]' dlib-bin face_recognition_models
    python benchmarks/inference.py --models=cnn6 --quick
    python benchmarks/inference.py --output=inference.json

Each combination of engine, file and number of threads runs in its own process. The processes of
one model are measured alternately for several rounds, so that a drift of the machine's speed
affects all of them; a ratio is the median of the ratios of the rounds. The batch size is 1, from
uint8 to landmarks.

* cold start: from starting the process to its first landmarks, with the file in the system's cache.
* load + first: the part of the cold start that is imports, loading and the first run.
* peak: maximum resident memory of the process.
* --facemesh: the network of MediaPipe's FaceMesh (192 px), a file of the wheel mediapipe 0.10.21:
  mediapipe/modules/face_landmark/face_landmark.tflite.
* dlib: the 68-point predictor does the same task with regression trees, in one thread.
* overhead: fraction of a call of `wing_tf.inference.Landmarker` that is not the network (crop and
  mapping to the image), for one face of 320 px in a frame of 1280 x 720.

A file whose landmarks differ from those of its network (by more than .01 px for float32) is an
error. Engines that are not installed are listed and skipped.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

from wing_tf.utils.atomic import write_json

HERE = pathlib.Path(__file__).parent
MODELS = ("cnn6", "cnn7", "two_stage", "mobilenet", "resnet50", "hourglass", "mobile_unet",
          "smt_net")  # fmt: skip
PRECISIONS = ("float32", "float16", "dynamic", "int8")
PEERS = {
    "onnx": ("tf2onnx", "onnxruntime"),
    "torch": ("torch",),
    "tf_function": ("keras",),
    "keras_predict": ("keras",),
    "dlib": ("dlib", "face_recognition_models"),
}
PAUSE_S = 0.05  # between two measurements, so that idle threads of the last one go to sleep


class Process:
    """Running process of an engine; see `inference_process.py`."""

    def __init__(self, name: str, precision: str, threads: int, task: dict):
        self.name, self.precision, self.threads = name, precision, threads
        self.bytes = os.path.getsize(task["path"])
        self.rounds: list[list[float]] = []
        self.network_ms: list[float] = []
        limits = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "MKL", "OPENBLAS")}
        limits |= {"TF_NUM_INTRAOP_THREADS": str(threads), "TF_NUM_INTEROP_THREADS": "1"}
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
        command = [sys.executable, HERE / "inference_process.py"]
        self._log = tempfile.TemporaryFile("w+")
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [*command, json.dumps(task | {"threads": threads})],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
            env=environment | os.environ | limits,
        )  # fmt: skip
        self.start = self._answer()
        self.cold_start_ms = 1e3 * (time.perf_counter() - started)
        self.peak_mb = self.start["peak_mb"]
        difference = self.start["difference_px"]
        if precision == "float32" and difference is not None and not difference < 0.01:
            raise SystemExit(f"{name} differs from the network by {difference:.4f} px.")

    def measure(self, seconds: float) -> None:
        """Measures one round."""
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        answer = self._answer()
        self.rounds.append(answer["ms"])
        self.network_ms += answer["network_ms"] or []
        self.peak_mb = answer["peak_mb"]

    def end(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()

    @property
    def medians(self) -> np.ndarray:
        """Median time of each round in ms."""
        return np.array([np.median(times) for times in self.rounds])

    def results(self) -> dict:
        """Returns the measured values."""
        times = np.concatenate(self.rounds)
        results = {
            "engine": self.name,
            "precision": self.precision,
            "threads": self.threads,
            "bytes": self.bytes,
            "cold_start_ms": self.cold_start_ms,
            "load_and_first_ms": self.start["load_and_first_ms"],
            "difference_px": self.start["difference_px"],
            "median_ms": float(np.median(times)),
            "p95_ms": float(np.percentile(times, 95)),
            "round_medians_ms": self.medians.tolist(),
            "peak_mb": self.peak_mb,
        }
        if self.network_ms:
            network_ms = float(np.median(self.network_ms))
            results["overhead_fraction"] = 1 - network_ms / results["median_ms"]
        return results

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            errors = self._log.read().strip().splitlines()
            raise SystemExit(f"{self.name} ended: {errors[-1] if errors else 'no message'}")
        return json.loads(line)


def main():
    """Exports the models, measures them and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--models", default=",".join(MODELS), help="also .keras files or run folders"
    )
    parser.add_argument("--precisions", default=",".join(PRECISIONS))
    parser.add_argument("--peers", default=",".join(PEERS), help="an empty string for none")
    parser.add_argument("--facemesh", help="file of MediaPipe's FaceMesh network")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="seconds of one measurement")
    parser.add_argument("--quick", action="store_true", help="3 short rounds with two threads")
    parser.add_argument(
        "--folder", help="folder of the exported files; existing ones are used again"
    )
    parser.add_argument("--output", help="a JSON file")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.threads = 3, 0.2, "2"

    peers = [name for name in _split(options.peers, PEERS, "peers") if _installed(name)]
    precisions = _split(options.precisions, PRECISIONS, "precisions")
    report = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(options.folder or temporary)
        for model in options.models.split(","):
            files = _write(model, folder / model.strip("/").replace("/", "_"), precisions, peers)
            processes = []
            try:
                for threads in map(int, options.threads.split(",")):
                    with_dlib = "dlib" in peers and not report and not processes
                    _start(
                        processes, files, precisions, peers, threads,
                        facemesh=options.facemesh, with_dlib=with_dlib,
                    )  # fmt: skip
                for number in range(options.rounds):
                    for process in processes[:: -1 if number % 2 else 1]:
                        time.sleep(PAUSE_S)
                        process.measure(options.seconds)
            finally:
                for process in processes:
                    process.end()
            report[model] = [process.results() for process in processes]
            print(_table(model, report[model]), _ratios(processes), sep="\n", flush=True)
            if options.output:
                write_json(options.output, report)


def _split(value: str, known, flag: str) -> list[str]:
    names = [name for name in value.split(",") if name]
    if unknown := set(names) - set(known):
        raise SystemExit(f"--{flag} takes {', '.join(known)}. Received: {', '.join(unknown)}.")
    return names


def _installed(peer: str) -> bool:
    missing = [name for name in PEERS[peer] if importlib.util.find_spec(name) is None]
    if missing:
        print(f"{peer} is skipped: {', '.join(missing)} is not installed.")
    return not missing


def _write(model: str, folder: pathlib.Path, precisions: list[str], peers: list[str]):
    """Writes the files that do not exist yet; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [f"{precision}.tflite" for precision in precisions]
    if "onnx" in peers:
        wanted += [f"{name}.onnx" for name in ("float32", "int8") if name in precisions]
    if {"tf_function", "keras_predict"} & set(peers):
        wanted.append("network.keras")
    if "torch" in peers and model in ("cnn6", "cnn7"):
        wanted.append("torch.pt")
    wanted = [name for name in wanted if not (folder / name).exists()]
    if wanted:
        task = {"model": model, "folder": str(folder), "wanted": wanted}
        command = [sys.executable, HERE / "inference_networks.py", json.dumps(task)]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{model} can't be written:\n{done.stderr[-2000:]}")
    return folder


def _start(processes, folder, precisions, peers, threads, *, facemesh, with_dlib):
    """Starts one process after the other, so that the starts do not affect each other."""

    def start(name, precision, engine, file):
        if (folder / file).exists():
            task = {"engine": engine, "path": str(folder / file)}
            task["expected"] = str(folder / "expected.npz")
            processes.append(Process(name, precision, threads, task))

    for precision in precisions:
        start("LiteRT", precision, "litert", f"{precision}.tflite")
        if precision in ("float32", "int8"):
            start("Landmarker on a frame", precision, "landmarker", f"{precision}.tflite")
    if "onnx" in peers:
        for precision in ("float32", "int8"):
            start("ONNX Runtime", precision, "onnx", f"{precision}.onnx")
    if "torch" in peers:
        start("PyTorch", "float32", "torch", "torch.pt")
    if "tf_function" in peers:
        start("tf.function", "float32", "tf_function", "network.keras")
    if "keras_predict" in peers:
        start("Keras predict", "float32", "keras_predict", "network.keras")
    if facemesh:
        start("FaceMesh", "float16", "facemesh", pathlib.Path(facemesh).absolute())
    if with_dlib:
        (place,) = importlib.util.find_spec("face_recognition_models").submodule_search_locations
        file = pathlib.Path(place) / "models" / "shape_predictor_68_face_landmarks.dat"
        start("dlib, 68 points", "float32", "dlib", file)


def _table(model: str, results: list[dict]) -> str:
    """Returns a Markdown table with one row per file and engine."""
    counts = sorted({one["threads"] for one in results})
    heads = ["engine", "precision", "MB", "cold start, ms", "load + first, ms"]
    heads += [f"{count} thread{'s' * (count > 1)}: median (p95), ms" for count in counts]
    rows = {}
    for one in results:
        rows.setdefault((one["engine"], one["precision"]), {})[one["threads"]] = one
    lines = [f"\n### {model}\n", *_lines([[*heads, "peak, MB"]])]
    lines.append("| --- " * (len(heads) + 1) + "|")
    for (engine, precision), by_threads in rows.items():
        one = by_threads[max(by_threads)]
        cells = [engine, precision, f"{one['bytes'] / 1e6:.2f}", f"{one['cold_start_ms']:.0f}"]
        cells.append(f"{one['load_and_first_ms']:.0f}")
        for count in counts:
            got = by_threads.get(count)
            cells.append(f"{got['median_ms']:.2f} ({got['p95_ms']:.2f})" if got else "")
        lines += _lines([[*cells, f"{one['peak_mb']:.0f}"]])
    return "\n".join(lines)


def _lines(rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in rows]


def _ratios(processes: list[Process]) -> str:
    """Returns the times relative to LiteRT float32, and the overhead of the Landmarker."""
    lines = [""]
    for threads in sorted({process.threads for process in processes}):
        same = [process for process in processes if process.threads == threads]
        base = [one for one in same if (one.name, one.precision) == ("LiteRT", "float32")]
        for one in same:
            results = one.results()
            who = f"{one.name} {one.precision}, {threads} thread{'s' * (threads > 1)}"
            if "overhead_fraction" in results:
                lines.append(f"- overhead of {who}: {100 * results['overhead_fraction']:.1f} %")
            elif base and one is not base[0]:
                ratio = np.median(one.medians / base[0].medians)
                size = f", {100 * one.bytes / base[0].bytes:.1f} % of the size"
                lines.append(f"- {who}: {ratio:.2f} times the time of LiteRT float32{size}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
