"""The lines that `wing-tfrecords write` ends with."""

from altered_faces import AlteredSource, key_of, write

from tfrecords_tools.sources.base import BadRecordError
from tfrecords_tools.summary import format_summary
from wing_tf.utils.text_files import read_json


def test_summary_is_three_lines_of_counts_reasons_and_the_next_command(tmp_path):
    def change(item, face):
        if item.source_data == 20:
            raise BadRecordError("the image is not readable")
        if item.source_data in (3, 4, 30):
            raise BadRecordError(f"the box is {item.source_data}.5 px wide")
        return face

    folder = write(tmp_path / "r", AlteredSource(change))
    manifest = read_json(folder / "manifest.json")
    counts = manifest["counts"]
    first = min(key_of(number) for number in (3, 4, 30))
    assert format_summary(manifest, folder).splitlines() == [
        f"36 faces of ibug_68 in {folder}: test 10, train {counts['train']}, "
        f"validation {counts['validation']}",
        f"4 skipped: 3 because the box is 3.5 px wide ({first}); 1 because the image is not "
        f"readable ({key_of(20)}). All are in {folder}/manifest.json",
        f"Next: wing-tfrecords inspect --data={folder}",
    ]


def test_summary_counts_what_is_skipped_by_kind(tmp_path):
    manifest = read_json(write(tmp_path / "r", AlteredSource()) / "manifest.json")
    manifest["skipped"] = {"a.jpg#1": "no image", "crowds": "20 of them"}
    line = format_summary(manifest, tmp_path).splitlines()[-2]
    assert line.startswith("21 skipped: 20 crowds; 1 because no image (a.jpg#1). All are in ")


def test_reasons_that_name_the_image_count_as_one(tmp_path):
    manifest = read_json(write(tmp_path / "r", AlteredSource()) / "manifest.json")
    names = ("anna.jpg", "bob.jpg", "carl.jpg")
    manifest["skipped"] = {f"{n}#{i}": f"f/{n} is rotated" for i, n in enumerate(names)}
    line = format_summary(manifest, tmp_path).splitlines()[-2]
    assert line.startswith("3 skipped: 3 because f/anna.jpg is rotated (anna.jpg#0). All are in ")


def test_next_command_can_be_pasted(tmp_path):
    manifest = read_json(write(tmp_path / "r", AlteredSource()) / "manifest.json")
    line = format_summary(manifest, "my faces/r").splitlines()[-1]
    assert line == "Next: wing-tfrecords inspect --data='my faces/r'"


def test_summary_begins_with_the_warnings(tmp_path):
    folder = write(tmp_path / "r", AlteredSource(num_train=2), validation_fraction=0.001)
    lines = format_summary(read_json(folder / "manifest.json"), folder).splitlines()
    assert lines[0].startswith("WARNING: the split validation is empty")
    assert lines[-2:] == ["No face skipped.", f"Next: wing-tfrecords inspect --data={folder}"]


def test_summary_lists_the_most_frequent_reasons_only(tmp_path):
    def change(item, face):
        kind = item.source_data % 6
        if kind:
            raise BadRecordError("x" * kind)
        return face

    folder = write(tmp_path / "r", AlteredSource(change))
    skipped = format_summary(read_json(folder / "manifest.json"), folder).splitlines()[-2]
    assert skipped.startswith("33 skipped: 7 because ")
    assert skipped.count(" because ") == 3
    assert "; 12 for other reasons. All are in " in skipped
