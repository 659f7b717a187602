"""Commands that are killed at chosen moments: python killed.py KIND FOLDER SEED.

Everything is imported once, without a thread; each run is a fork. A hook counts its events: each
file that is opened, renamed or removed in its output folder, and each step (a face, an image, a
frame or a batch). The run is killed by SIGKILL at one of them, or by the system in the middle of a
write, at a given number of bytes of a file (SIGXFSZ). Then the same run is started again, to its
end or, in a chain, until the next kill. Whole outputs must equal those of an uninterrupted run.
"""

import contextlib
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import sys
import traceback
import zipfile

NUM_KILLS, NUM_CUTS = 10, 3
STEP = "killed.step"
_FILE_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}


def main():
    """Kills runs of a kind; prints the signals, and the numbers of events before them."""
    kind, folder, seed = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    source = folder / "source"
    source.mkdir()
    run, result, chain = KINDS[kind](source)
    assert len(os.listdir("/proc/self/task")) == 1  # or a fork would lack the others
    whole = folder / "whole"
    status, events = _fork(run, whole)
    assert not status
    expected = result(whole)
    largest = max(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    draw = random.Random(seed)
    places = [draw.uniform(i, i + 1) / NUM_KILLS for i in range(NUM_KILLS)]
    moments = [{"event": 1 + int(place * (chain or 1) * (events - 1))} for place in places]
    moments += [{"num_bytes": int(draw.uniform(1, 0.9 * largest))} for _ in range(NUM_CUTS)]
    draw.shuffle(moments)
    killed, num_outputs, output = [], 0, None
    while moments:
        if output is None:
            num_outputs += 1
            output = folder / f"output{num_outputs}"
        status, seen = _fork(run, output, **moments[-1])
        if os.WIFSIGNALED(status):
            killed.append([os.WTERMSIG(status), seen])
            moments.pop()
        elif status or chain is None or num_outputs > NUM_KILLS + NUM_CUTS:
            sys.exit(f"The run after kills at {killed} ended with status {status}.")
        if result is _files:
            for name, content in _files(output).items():
                if not expected.get(name, content).startswith(content):
                    sys.exit(f"A run that was killed at {killed[-1]} left another {name}.")
        if chain is None or not os.WIFSIGNALED(status):
            _complete(run, output, result, expected, killed)
            output = None
    if output is not None:
        _complete(run, output, result, expected, killed)
    print(json.dumps({"events": events, "killed": killed}))


def _complete(run, output, result, expected, killed):
    status, _ = _fork(run, output)
    if status:
        sys.exit(f"The run after kills at {killed} ended with status {status}.")
    found = result(output)
    if found != expected:
        names = sorted(k for k in {*found, *expected} if found.get(k) != expected.get(k))
        sys.exit(f"The run after kills at {killed} differs in {names}.")
    shutil.rmtree(output)


def _fork(run, output, event=None, num_bytes=None):
    """Runs in a fork; returns its status, as of `os.waitpid`, and the number of its events."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        with contextlib.suppress(BaseException):
            _run_and_exit(run, output, event, num_bytes, writer)
        os._exit(1)
    os.close(writer)
    with open(reader, "rb") as pipe:
        seen = pipe.read().count(b".")
    return os.waitpid(child, 0)[1], seen


def _run_and_exit(run, output, event, num_bytes, writer):
    count, inside = 0, str(output)

    def watch(name, arguments):
        nonlocal count
        if name == STEP or (
            name in _FILE_EVENTS
            and isinstance(arguments[0], (str, os.PathLike))
            and os.fspath(arguments[0]).startswith(inside)
        ):
            count += 1
            os.write(writer, b".")
            if count == event:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    if num_bytes is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))
    try:
        run(output)
        os._exit(0)
    except BaseException as error:
        if isinstance(error, SystemExit) and not error.code:
            os._exit(0)
        traceback.print_exc()
        os._exit(1)


def _files(output):
    """All files of an output, and of its siblings with its name."""
    return {
        str(path.relative_to(output.parent)).replace(
            output.name, "OUTPUT", 1
        ): path.read_bytes().hex()
        for path in sorted(output.parent.glob(f"{output.name}*/**/*"))
        if path.is_file()
    }


def _stepped(function):
    def stepped(*arguments, **options):
        sys.audit(STEP)
        return function(*arguments, **options)

    return stepped


def _writer(source):
    import dots

    from tfrecords_tools.square_crops import SquareFormat
    from tfrecords_tools.writer import write_records

    dots.DotSource.load = _stepped(dots.DotSource.load)
    options = {
        "square_format": SquareFormat(side=32), "faces_per_shard": 5, "num_processes": 0,
        "progress": False,
    }  # fmt: skip
    return lambda output: write_records(dots.DotSource(16), output, **options), _files, None


def _folder(source):
    import cv2
    import numpy as np

    from wing_tf.inference import Landmarker, folder

    for index in range(14):
        path = source / f"{index % 3}" / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.full((40, 50, 3), 10 * index, np.uint8))
    (source / "0" / "broken.png").write_bytes(b"no image")
    folder.load_image = _stepped(folder.load_image)
    folder._MAX_BATCH_IMAGES = 3

    def run(output):
        folder.run_folder(
            Landmarker(detector="whole", min_score=0), source, output, format="pts", settings={},
            draw=lambda image, faces: image,
        )  # fmt: skip

    return run, _files, None


def _video(source):
    import numpy as np
    import video_files

    from wing_tf.inference import Face
    from wing_tf.inference.drawing import draw_faces
    from wing_tf.inference.video import open_video
    from wing_tf.inference.video_run import run_video
    from wing_tf.landmarks import get_scheme
    from wing_tf.landmarks.head import AVERAGE_HEAD_MM

    path, scheme = source / "video.mov", get_scheme("ibug_68")
    video_files.make(path, codec="mjpeg", pix_fmt="yuvj420p", audio="aac")

    @_stepped
    def track(image, time_s):
        landmarks = AVERAGE_HEAD_MM[:, :2] / 2 + [50 + 10 * time_s, 50]
        return [Face(landmarks, np.array([10.0, 10, 90, 90]), scheme=scheme, identity=0)]

    def run(output):
        run_video(
            open_video(path), track, output, name="video", scheme=scheme,
            draw=lambda image, faces: draw_faces(image, faces, scheme),
        )  # fmt: skip

    return run, _files, None


def _export(source):
    import keras  # noqa: F401
    from experiments import untrained_model

    from wing_tf.export import export_model as module

    model = source / "model.keras"
    _in_fork(untrained_model, model, 32)
    for name in ("load_network", "deployed_network", "write_litert", "measure_parity"):
        setattr(module, name, _stepped(getattr(module, name)))
    records = source / "records"
    _in_fork(_write_records, records)

    def run(output):
        module.export_model(model, output, faces=f"{records}/test-*")

    def result(output):
        files = _files(output)
        report = json.loads(bytes.fromhex(files.pop("OUTPUT/export.json")))
        del report["latency_ms"]
        files.pop("OUTPUT/model.tflite")
        model = output / "model.tflite"
        with zipfile.ZipFile(model) as archive:  # whose members have times
            members = archive.infolist()
            files |= {member.filename: archive.read(member).hex() for member in members}
            network = model.read_bytes()[: members[0].header_offset].hex()
        return {**files, **report, "network": network}

    return run, result, 1.0


def _write_records(folder):
    from tfrecords_tools.sources import SyntheticSource
    from tfrecords_tools.square_crops import SquareFormat
    from tfrecords_tools.writer import write_records

    faces = SyntheticSource(num_train=80, num_test=8, seed=1)
    options = {"square_format": SquareFormat(side=64), "num_processes": 0, "progress": False}
    write_records(faces, folder, **options)


def _in_fork(function, *arguments):
    """Calls a function that starts threads."""
    child = os.fork()
    if not child:
        try:
            function(*arguments)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert not os.waitpid(child, 0)[1]


KINDS = {"writer": _writer, "folder": _folder, "video": _video, "export": _export}

if __name__ == "__main__":
    main()
