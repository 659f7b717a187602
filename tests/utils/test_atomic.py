"""Writes that fail: on a full disk, in a folder that vanished, or by an error of the caller."""

import errno
import os
import shutil

import pytest
import tensorflow as tf
from full_disk import limited_files

from wing_tf.utils import atomic
from wing_tf.utils.appended_file import AppendedFile, complete_lines

TOO_LARGE = os.strerror(errno.EFBIG)


def write_records(path):
    with atomic.atomic_path(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
        for _ in range(100):
            writer.write(bytes(1000))


def write_saved_model(path):
    module = tf.Module()
    module.weights = tf.Variable(tf.zeros(5000))
    with atomic.atomic_path(path) as temporary:
        tf.saved_model.save(module, str(temporary))


WRITERS = {
    "bytes": lambda path: atomic.write_bytes(path, bytes(5000)),
    "text": lambda path: atomic.write_text(path, 5000 * "é"),
    "json": lambda path: atomic.write_json(path, list(range(5000))),
    "records": write_records,
    "saved_model": write_saved_model,
}


@pytest.mark.parametrize("name", WRITERS)
def test_full_disk_names_the_final_file_and_keeps_the_previous_one(tmp_path, name):
    path = tmp_path / "file.out"
    path.write_text("previous")
    with pytest.raises(atomic.WriteError) as caught, limited_files(4096):
        WRITERS[name](path)
    assert str(caught.value) == f"{path} can't be written: {TOO_LARGE}."
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "previous"


@pytest.mark.parametrize("name", ["bytes", "records"])
def test_absent_folder_names_the_final_file(tmp_path, name):
    path = tmp_path / "absent/file.out"
    with pytest.raises(atomic.WriteError, match=r"absent/file\.out can't be written: \w+"):
        WRITERS[name](path)


def test_folder_that_vanishes_names_the_final_file(tmp_path):
    path = tmp_path / "out/file.txt"
    path.parent.mkdir()

    def write():
        with atomic.atomic_path(path) as temporary:
            temporary.write_text("text")
            shutil.rmtree(path.parent)

    with pytest.raises(atomic.WriteError, match=r"out/file\.txt can't be written: No such file"):
        write()


@pytest.mark.parametrize(
    "error", [ValueError("wrong"), FileNotFoundError(2, "absent", "input.png"), OSError("odd")]
)
def test_other_errors_stay_as_they_are(tmp_path, error):
    path = tmp_path / "file.txt"

    def write():
        with atomic.atomic_path(path) as temporary:
            temporary.write_text("text")
            raise error

    with pytest.raises(type(error)) as caught:
        write()
    assert caught.value is error
    assert list(tmp_path.iterdir()) == []


def test_errors_in_a_temporary_folder_name_the_files_of_the_final_one(tmp_path):
    final, temporary = tmp_path / "out", tmp_path / "out.partial"
    temporary.mkdir()
    for name, named in (("a.json", final / "a.json"), ("faces.writing", final), ("", final)):
        error = (
            OSError(errno.ENOSPC, "full", str(temporary / name)) if name else OSError(28, "full")
        )
        with (
            pytest.raises(atomic.WriteError) as caught,
            atomic.final_names(temporary, final, of_files=True),
        ):
            raise error
        assert str(caught.value) == f"{named} can't be written: full."


def test_errors_in_a_folder_of_intermediate_files_name_the_file(tmp_path):
    path = tmp_path / "model.tflite"

    def write():
        with atomic.temporary_folder(path) as folder:
            (folder / "graph.pb").write_bytes(bytes(5000))

    with pytest.raises(atomic.WriteError) as caught, limited_files(4096):
        write()
    assert str(caught.value) == f"{path} can't be written: {TOO_LARGE}."
    assert list(tmp_path.iterdir()) == []


def test_unfinished_files_and_folders_are_removed(tmp_path):
    for parent in (tmp_path, tmp_path / "below"):
        parent.mkdir(exist_ok=True)
        (parent / atomic.temporary_name(".png")).write_text("left")
        (parent / atomic.temporary_name()).mkdir()
        (parent / "kept.writing").write_text("")
    atomic.remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["below", "kept.writing"]
    assert len(list((tmp_path / "below").iterdir())) == 3
    atomic.remove_unfinished(tmp_path, subfolders=True)
    assert [path.name for path in (tmp_path / "below").iterdir()] == ["kept.writing"]


def test_appended_file_holds_complete_lines_only(tmp_path):
    path = tmp_path / "log.csv"
    with AppendedFile(path, header="a,b\n") as file:
        file.append("1,2\n")
        with pytest.raises(atomic.WriteError, match="log.csv can't be written"), limited_files(99):
            file.append(1000 * "3,4,5\n")
        file.append("6,7\n")
    assert path.read_text() == "a,b\n1,2\n6,7\n"
    path.write_text("a,b\n1,2\n3,")  # as a killed process leaves it
    assert complete_lines(path) == "a,b\n1,2\n"
    with AppendedFile(path, header="a,b\n") as file:
        file.append("8,9\n")
    assert path.read_text() == "a,b\n1,2\n8,9\n"
    with pytest.raises(atomic.WriteError, match="File too large"), limited_files(4096):
        AppendedFile(tmp_path / "new.csv", header=5000 * "a")
    assert list(tmp_path.iterdir()) == [path]
    with AppendedFile(path) as file:
        moved = path.rename(tmp_path / "moved.csv")
        with pytest.raises(atomic.WriteError, match=r"log\.csv can't be written: No such file"):
            file.append("9,9\n")
    assert moved.read_text() == "a,b\n1,2\n8,9\n"
