"""The commands that are killed; see killed.py.

Each function makes the input of a command, and returns a function that runs it, a function that
returns what its output holds, and for a chain of kills the part of the run that they lie in.
"""

import csv
import io
import json
import os
import sys
import traceback
import zipfile

STEP = "killed.step"


def files_of(output):
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
    return lambda output: write_records(dots.DotSource(16), output, **options), files_of, None


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

    return run, files_of, None


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

    return run, files_of, None


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
        files = files_of(output)
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


def _training(source):
    from experiments import smoke_config

    from wing_tf.training import callbacks
    from wing_tf.training.run import train

    callbacks.StopOnNaN.on_train_batch_end = _stepped(callbacks.StopOnNaN.on_train_batch_end)
    records = source / "records"
    _in_fork(_write_records, records)
    changes = {"deterministic": True, "epochs": 3, "batch_size": 32, "model.width": 0.1}
    config = smoke_config(records, **changes)
    return lambda output: train(config, output), _trained, 0.7


def _reproduce(source):
    from wing_tf.cli import reproduce
    from wing_tf.reproduction import cells  # noqa: F401
    from wing_tf.training import callbacks

    callbacks.StopOnNaN.on_train_batch_end = _stepped(callbacks.StopOnNaN.on_train_batch_end)
    records = source / "records"
    _in_fork(_write_records, records)

    def run(output):
        sys.argv = [
            "wing-reproduce", "--table=wing_pdb", "--epochs=1", f"--data={records}",
            f"--output={output}", "--cells=cnn6 l2 pdb,cnn6 wing pdb", "--normalizer=box",
            "--set=model.width=0.1", "--set=model.input_size=32", "--set=jit_compile=off",
            "--set=num_images=0", "--set=deterministic=True",
        ]  # fmt: skip
        reproduce.entry()

    def result(output):
        found = {name: bytes.fromhex(content) for name, content in files_of(output).items()}
        for name in found:
            if name.startswith("OUTPUT/cells/") and name.endswith(".json"):
                found[name] = json.loads(found[name])
                del found[name]["minutes_since_last_start"]
            if name.startswith("OUTPUT/runs/"):  # whose files have times
                found[name] = ""
        return found

    return run, result, 0.5


def _write_records(folder):
    from tfrecords_tools.sources import SyntheticSource
    from tfrecords_tools.square_crops import SquareFormat
    from tfrecords_tools.writer import write_records

    faces = SyntheticSource(num_train=80, num_test=8, seed=1)
    options = {"square_format": SquareFormat(side=64), "num_processes": 0, "progress": False}
    write_records(faces, folder, **options)


def _trained(run):
    """The weights, the log and the names of the files of a training."""
    found = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    with (run / "metrics.csv").open(newline="") as file:
        log = [[row["epoch"], row["loss"], row["val_nme"]] for row in csv.DictReader(file)]
    return {
        "files": sorted(name for name in found if not name.startswith("tensorboard")),
        "log": log,
        **{name: _weights(run / "checkpoints" / name) for name in ("best.keras", "last.keras")},
    }


def _weights(path):
    """The arrays of a `.keras` file, which has times."""
    import h5py

    arrays = {}
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as stream:
        with h5py.File(io.BytesIO(stream.read())) as file:
            file.visititems(
                lambda name, item: (
                    arrays.update({name: item[()].tobytes().hex()})
                    if isinstance(item, h5py.Dataset)
                    else None
                )
            )
    assert arrays
    return arrays


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


COMMANDS = {
    "writer": _writer, "folder": _folder, "video": _video, "export": _export,
    "training": _training, "reproduce": _reproduce,
}  # fmt: skip
