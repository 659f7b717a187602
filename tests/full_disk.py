"""Commands on a disk with little space, and a check that files are complete."""

import contextlib
import csv
import importlib
import json
import multiprocessing
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import zipfile

import av
import h5py
import numpy as np
import tensorflow as tf

from wing_tf.utils.image_files import load_image

_PAGE = 4096
_SIZE = 24 << 20
_REASONS = ("No space left on device", "File too large")


@contextlib.contextmanager
def limited_files(num_bytes):
    """Limits the size of files that this process writes, which fails as a full disk does.

    Only for a few lines: the files of pytest are limited, too.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class SmallDisk:
    """A file system in memory, or, without the right to mount one, a limit of the file size.

    Attributes:
        folder: Its folder.
        is_mounted: Whether it is a file system.
    """

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder)]
        self.is_mounted = shutil.which("mount") is not None and not (
            subprocess.run(mount, capture_output=True).returncode
        )

    def close(self):
        """Unmounts it."""
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)

    @contextlib.contextmanager
    def full(self, num_bytes):
        """Leaves some bytes of space; yields the limit of the file size of the command."""
        if not self.is_mounted:
            yield num_bytes
            return
        ballast = self.folder / "ballast"
        left = shutil.disk_usage(self.folder).free - num_bytes
        ballast.write_bytes(bytes(left // _PAGE * _PAGE))
        try:
            yield None
        finally:
            ballast.unlink()


def _run(module, arguments, limit, output):
    # In a process that forkserver forked: it has TensorFlow, but ran nothing.
    with output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    sys.stdout, sys.stderr = (open(fd, "w", buffering=1, closefd=False) for fd in (1, 2))
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.argv = [module, *map(str, arguments)]
    importlib.import_module(module).entry()


def run(module, arguments, *, limit=None):
    """Runs a command; returns its exit status and what it printed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tensorflow", "wing_tf.training.run", "wing_tf.inference"])
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(module, arguments, limit, writer))
    process.start()
    writer.close()
    with reader, open(reader.fileno(), errors="replace", closefd=False) as pipe:
        printed = pipe.read()
    process.join()
    return process.exitcode, printed


def fail(disk, module, arguments, *, num_bytes, output):
    """Runs a command that needs more space: it must end with one line about a file of `output`."""
    with disk.full(num_bytes) as limit:
        status, printed = run(module, arguments, limit=limit)
    assert status == 1, printed
    assert "Traceback" not in printed
    assert "Exception ignored" not in printed
    lines = printed.strip().splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:], printed
    line = lines[-1]
    name, said, reason = line.removeprefix("error: ").partition(" can't be written: ")
    assert said, line
    assert reason.startswith(_REASONS), line
    assert pathlib.Path(name).is_relative_to(output), line
    assert ".writing" not in line, line
    check_complete(output)


def check_complete(output):
    """Checks that there are no temporary files, and that all files can be read to their end."""
    for path in sorted(output.parent.rglob("*")):
        assert ".writing" not in path.name, path
        assert path.name != ".lock", path
        if path.is_file():
            _CHECKS.get(path.suffix, _is_text)(path)


def _is_text(path):
    if "tfevents" in path.name:
        _are_records(path)
        return
    if path.parent.name == "variables":
        return  # read with saved_model.pb
    text = path.read_text()
    assert not text or text.endswith("\n"), path


def _are_records(path):
    assert sum(1 for _ in tf.data.TFRecordDataset(str(path))), path


def _is_zip(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None, path


def _is_csv(path):
    _is_text(path)
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert {len(row) for row in rows} <= {len(header)}, path


def _is_json(path):
    json.loads(path.read_text())


def _are_json_lines(path):
    _is_text(path)
    for line in path.read_text().splitlines():
        json.loads(line)


def _is_hdf5(path):
    with h5py.File(path) as file:
        file.visititems(lambda _, item: item[()] if isinstance(item, h5py.Dataset) else None)


def _is_array(path):
    with np.load(path) as arrays:
        assert all(arrays[name].size for name in arrays.files), path


def _is_saved_model(path):
    if path.name == "saved_model.pb":
        tf.saved_model.load(str(path.parent))


def _is_video(path):
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == container.streams.video[0].frames, path


_CHECKS = {
    ".csv": _is_csv, ".h5": _is_hdf5, ".jpg": load_image, ".json": _is_json,
    ".jsonl": _are_json_lines, ".keras": _is_zip, ".mp4": _is_video, ".npz": _is_array,
    ".pb": _is_saved_model, ".png": load_image, ".tfrecord": _are_records, ".tflite": _is_zip,
}  # fmt: skip
