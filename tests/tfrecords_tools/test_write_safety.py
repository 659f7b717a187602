"""Killed, failed and simultaneous writing runs."""

import fcntl
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from deadly_faces import DeadlySource
from dots import DotSource
from waiting import is_running, wait_until

from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records


def _bytes(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_failed_run_leaves_no_files(tmp_path):
    with pytest.raises(ValueError, match="None of 2 faces is usable. dot/"):
        write_records(DotSource(2, bad=(0, 1)), tmp_path / "r", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_output_folder_with_files_is_refused(tmp_path):
    (tmp_path / "precious.txt").write_text("keep me")
    with pytest.raises(ValueError, match="must be a new or an empty folder"):
        write_records(DotSource(), tmp_path, progress=False)
    with pytest.raises(ValueError, match="must be a new or an empty folder"):
        write_records(DotSource(), tmp_path / "precious.txt", progress=False)
    assert (tmp_path / "precious.txt").read_text() == "keep me"


def test_output_may_be_a_link_to_a_folder_but_no_mount(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "r").symlink_to("disk")
    write_records(DotSource(2), tmp_path / "r", progress=False)
    assert "manifest.json" in _bytes(tmp_path / "disk")
    assert {path.name for path in tmp_path.iterdir()} == {"disk", "r"}
    with pytest.raises(ValueError, match="not be the root of a file system. .* as /records"):
        write_records(DotSource(2), "/", progress=False)
    with pytest.raises(ValueError, match=r"must be the name of a folder. Received: \.\."):
        write_records(DotSource(2), "..", progress=False)


def test_foreign_files_in_the_partial_folder_are_kept(tmp_path):
    precious = tmp_path / "r.partial" / "thesis.tex"
    precious.parent.mkdir()
    precious.write_text("keep me")
    with pytest.raises(ValueError, match="holds something other than records"):
        write_records(DotSource(2), tmp_path / "r", progress=False)
    assert precious.read_text() == "keep me"


SECOND = """
from dots import DotSource
from tfrecords_tools.writer import write_records
write_records(DotSource(3), {output!r}, num_processes=0, progress=False)
"""


def _second_process(output):
    """Writes to the same folder in a second process; returns the last line of its errors."""
    tests = pathlib.Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", SECOND.format(output=str(output))],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"},
    )
    assert done.returncode
    return done.stderr.strip().rpartition("\n")[2]


def test_second_run_to_one_folder_is_refused_and_the_first_completes(tmp_path):
    said = []

    class Watched(DotSource):
        def load(self, item):
            if not said:
                said.append(_second_process(tmp_path / "r"))
            return super().load(item)

    options = {"square_format": SquareFormat(side=64), "num_processes": 0, "progress": False}
    write_records(Watched(12), tmp_path / "r", **options)
    assert said == [
        "wing_tf.utils.file_lock.LockedError: Another process is writing to this folder: it holds "
        f"{tmp_path / 'r.lock'}. Wait until it ends, or name another folder."
    ]
    write_records(DotSource(12), tmp_path / "alone", **options)
    assert _bytes(tmp_path / "r") == _bytes(tmp_path / "alone")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "r"]
    # The lock file of a killed run does not lock.
    (tmp_path / "later.lock").touch()
    write_records(DotSource(2), tmp_path / "later", **options)


def test_lock_is_refused_if_its_file_was_replaced(tmp_path, monkeypatch):
    """Between opening and locking, the former holder may finish; others then lock a new file."""
    lock = fcntl.flock

    def late(file, how):
        (tmp_path / "r.lock").unlink()
        (tmp_path / "r.lock").touch()  # of another process
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(ValueError, match="Another process is writing"):
        write_records(DotSource(2), tmp_path / "r", num_processes=0, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["r.lock"]


def test_records_of_a_run_that_finished_meanwhile_are_kept(tmp_path):
    options = {"square_format": SquareFormat(side=64), "num_processes": 0, "progress": False}

    class Slow(DotSource):
        def items(self):  # after the output folder was checked, before it is locked
            write_records(DotSource(2), tmp_path / "r", **options)
            return super().items()

    with pytest.raises(ValueError, match="must be a new or an empty folder"):
        write_records(Slow(3), tmp_path / "r", **options)
    assert sum(json.loads((tmp_path / "r/manifest.json").read_text())["counts"].values()) == 2


def test_image_that_needs_too_much_memory_is_named(tmp_path):
    class Large(DotSource):
        def load(self, item):
            if item.source_data == 1:
                np.empty(2**60, np.uint8)
            return super().load(item)

    options = {"square_format": SquareFormat(side=32), "num_processes": 0, "progress": False}
    manifest = write_records(Large(3), tmp_path / "r", **options)
    assert manifest["skipped"] == {"dot/1": "dot/1 needs more memory than there is"}


def test_killed_workers_cost_no_face_but_the_one_that_kills_them(tmp_path):
    options = {"square_format": SquareFormat(side=32), "progress": False}
    once = {3: tmp_path / "first", 40: tmp_path / "second"}  # as for lack of memory
    source = DeadlySource(60, deadly=(50,), kills_once=once)
    manifest = write_records(source, tmp_path / "killed", num_processes=2, **options)
    assert all(path.exists() for path in once.values())
    assert list(manifest["skipped"]) == ["face/50"]
    reason = manifest["skipped"]["face/50"]
    assert reason.startswith("the process that read face/50 ended twice: a decoder crashed")
    calm = DeadlySource(60, bad=(50,))
    assert write_records(calm, tmp_path / "calm", num_processes=0, **options)["counts"]
    killed, calm = _bytes(tmp_path / "killed"), _bytes(tmp_path / "calm")
    del killed["manifest.json"], calm["manifest.json"]
    assert killed == calm


WRITE = """
import sys
from deadly_faces import DeadlySource
from tfrecords_tools.writer import write_records
if __name__ == "__main__":
    write_records(DeadlySource(100_000), sys.argv[1], num_processes=2, progress=False)
"""


def _children(pid: int) -> list[int]:
    path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()]


@pytest.mark.slow
def test_script_without_main_guard_ends_in_one_line(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import pathlib, sys\n"
        "from dots import DotSource\n"
        "from tfrecords_tools.writer import write_records\n"
        "write_records(DotSource(), pathlib.Path(sys.argv[1]), num_processes=2, progress=False)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "r")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("RuntimeError: The worker processes did not start.")
    assert 'if __name__ == "__main__":' in last
    assert not (tmp_path / "r").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks up processes in /proc")
def test_workers_end_when_the_writer_is_killed(tmp_path):
    (tmp_path / "write.py").write_text(WRITE)
    tests = pathlib.Path(__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, tmp_path / "write.py", tmp_path / "r"],
        env={**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"},
    )
    spool = tmp_path / "r.partial/faces.writing"
    wait_until(lambda: process.poll() is not None or spool.exists() and spool.stat().st_size)
    children = _children(process.pid)
    process.kill()
    process.wait()
    assert len(children) >= 2
    wait_until(lambda: not any(map(is_running, children)))
