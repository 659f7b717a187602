"""Output folders of processes that are killed, that fail, and that run at the same time."""

import json
import os
import signal
import subprocess
import sys

import pytest

from wing_tf.utils.atomic import atomic_path
from wing_tf.utils.file_lock import LockedError
from wing_tf.utils.output_folder import check_free, locked_folder, new_files, shared_folder


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def _killed(statements, folder):
    """Runs statements with the name `out` in a process that is killed at their end."""
    script = (
        "import os, pathlib, sys\n"
        "from wing_tf.utils.atomic import atomic_path\n"
        "from wing_tf.utils.output_folder import locked_folder, new_files, shared_folder\n"
        f"out = pathlib.Path(sys.argv[1])\n{statements}\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", script, folder], env=environment)
    assert done.returncode == -signal.SIGKILL


_KILL = "os.kill(os.getpid(), 9)"
_HALF_MOVED = f"""
with new_files(out) as new:
    for name in ("a.txt", "b.txt"):
        (new / name).write_text(name)
    (new / "folder").mkdir()
    (new / "folder" / "c.txt").touch()
    replace = pathlib.Path.replace
    def replace_once(path, target):
        if path.name == "folder":
            {_KILL}
        replace(path, target)
    pathlib.Path.replace = replace_once
"""


def test_files_of_a_process_that_is_killed_between_two_of_them_are_removed(tmp_path):
    _killed(_HALF_MOVED, tmp_path)
    assert {"a.txt", "b.txt", ".lock"} < set(_names(tmp_path))
    (tmp_path / "later.txt").write_text("keep me")
    with pytest.raises(ValueError, match="must be a new or an empty folder"):
        check_free(tmp_path)
    check_free(tmp_path, ["a.txt"])
    with new_files(tmp_path, ["a.txt"]) as new:
        assert _names(tmp_path) == sorted([".lock", new.name, "later.txt"])
        (new / "a.txt").write_text("again")
    assert (tmp_path / "a.txt").read_text() == "again"
    assert _names(tmp_path) == ["a.txt", "later.txt"]


def test_temporary_files_of_a_killed_process_are_removed(tmp_path):
    _killed(
        f"""
with locked_folder(out), atomic_path(out / "a.json") as first:
    (out / "sub").mkdir()
    with atomic_path(out / "sub" / "b.keras") as second:
        first.touch(), second.touch()
        {_KILL}""",
        tmp_path,
    )
    with locked_folder(tmp_path):
        assert _names(tmp_path) == [".lock", "sub"]
        assert len(_names(tmp_path / "sub")) == 1
    with locked_folder(tmp_path, subfolders=True):
        assert _names(tmp_path / "sub") == []


@pytest.mark.parametrize(
    "text", ["", "{", "3", '["", 3]', '["../precious", "sub/precious", "..", ".", "", "\\u0000"]']
)
def test_a_lock_file_removes_only_what_is_in_its_folder(text, tmp_path):
    (tmp_path / "precious").touch()
    folder = tmp_path / "out"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "precious").touch()
    (folder / ".lock").write_text(text)
    with locked_folder(folder):
        assert _names(folder) == [".lock", "sub"]
    assert (tmp_path / "precious").exists()
    assert (folder / "sub" / "precious").exists()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("content")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".lock").symlink_to("../precious")
    with pytest.raises(OSError, match=r"out/\.lock"), locked_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "precious").read_text() == "content"


def test_failed_move_leaves_what_was_there(tmp_path):
    folder = tmp_path / "out"

    def write():
        with new_files(folder) as new:
            (new / "a.txt").touch()
            (new / "b.txt").touch()
            (folder / "b.txt").mkdir()  # meanwhile, by somebody else
            (folder / "b.txt" / "precious").touch()

    with pytest.raises(OSError, match=r"b\.txt"):
        write()
    assert _names(folder) == ["b.txt"]
    with pytest.raises(FloatingPointError), new_files(tmp_path / "new" / "er"):
        raise FloatingPointError
    assert _names(tmp_path / "new") == []


def test_second_process_is_refused_until_the_first_one_ends(tmp_path):
    with locked_folder(tmp_path):
        for other in (locked_folder(tmp_path), new_files(tmp_path)):
            with pytest.raises(LockedError, match="it holds .*lock. Wait until it ends"), other:
                pass
    assert _names(tmp_path) == []
    _killed(f"with locked_folder(out): {_KILL}", tmp_path)
    with locked_folder(tmp_path):
        pass
    assert _names(tmp_path) == []


def test_processes_that_share_a_folder_keep_the_files_of_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr("wing_tf.utils.file_lock._POLL_SECONDS", 0.0)
    cells = tmp_path / "cells"
    _killed(
        f"""
with shared_folder(out, subfolders=["cells"]):
    (out / "cells").mkdir()
    with atomic_path(out / "cells" / "x") as path:
        path.touch()
        {_KILL}""",
        tmp_path,
    )
    with shared_folder(tmp_path, subfolders=["cells"]):
        assert _names(cells) == []
        with atomic_path(cells / "a.json") as temporary:
            temporary.write_text(json.dumps("a"))
            with shared_folder(tmp_path, subfolders=["cells"]):
                assert _names(cells) == [temporary.name]
            assert _names(tmp_path) == [".lock", "cells"]
            with pytest.raises(LockedError), locked_folder(tmp_path):
                pass
    with locked_folder(tmp_path), pytest.raises(LockedError), shared_folder(tmp_path):
        pass
    assert _names(tmp_path) == ["cells"]
    assert _names(cells) == ["a.json"]
