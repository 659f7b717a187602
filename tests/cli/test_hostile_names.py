"""Names of files, faces and schemes that would control a terminal or run in a spreadsheet."""

import re

import cv2
import numpy as np
import pytest
from predict_command import predict, read_rows

from tfrecords_tools.inspection.report import format_report as format_inspection
from tfrecords_tools.summary import format_summary
from wing_tf.evaluation.comparison import compare_reports, read_face_scores
from wing_tf.export.model_card import Origin, model_card
from wing_tf.export.parity import Parity
from wing_tf.model_spec import ModelSpec
from wing_tf.utils.atomic import write_json, write_text
from wing_tf.utils.printable import format_csv, text_of_cell
from wing_tf.visualization import contact_sheet

HOSTILE = "\x1b]0;owned\x07\x9b2J\u202egnp\n=cmd|'/c calc'!A1"
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def _images(folder):
    """Images, files that are none, and their hostile names."""
    good = ["=1+1.png", "-a;=2.png", "@\x1b[31m.png", "+\u202egnp.png", "a\n=b.png"]
    bad = ["=\x1b[2J.png", "\r\tbad.png"]
    folder.mkdir()
    for number, name in enumerate([*good, *bad]):
        text = cv2.imencode(".png", np.full((40 + number, 50, 3), number, np.uint8))[1].tobytes()
        (folder / name).write_bytes(text if name in good else b"none")
    return good, bad


@pytest.mark.slow
def test_names_of_files_are_escaped_and_read_back(model, tmp_path):
    folder, out = tmp_path / "images", tmp_path / "out"
    good, bad = _images(folder)
    arguments = [f"--model={model}", f"--folder={folder}", f"--output={out}", "--format=csv",
                 "--detector=whole", "--min_score=1"]  # fmt: skip
    texts = []
    for _ in range(2):  # the second run resumes: it has nothing to do
        done = predict(*arguments)
        assert done.returncode == 0, done.stderr
        assert not _CONTROLS.search(done.stdout + done.stderr), done.stderr
        assert r"=\x1b[2J.png" in done.stderr
        texts.append([(out / name).read_text("utf-8") for name in ("landmarks.csv", "skipped.csv")])
    assert texts[0] == texts[1]
    for text, names, rows in zip(
        texts[0], (good, bad), map(read_rows, (out / "landmarks.csv", out / "skipped.csv")),
        strict=True,
    ):  # fmt: skip
        assert not _CONTROLS.search(text)
        assert {text_of_cell(row["image"]) for row in rows} == set(names)
        assert not any(row["image"][0] in "=+-@\t\r" for row in rows)


@pytest.mark.slow
def test_error_lines_are_escaped():
    done = predict("--image=\x1b[2J\u202e\nx.png")
    assert done.returncode == 1
    assert not _CONTROLS.search(done.stderr)
    assert r"\x1b[2J\u202e x.png" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_keys_of_faces_in_reports(tmp_path):
    folders = {}
    for number, name in enumerate(("plain", HOSTILE)):
        folders[name] = folder = tmp_path / str(number)
        folder.mkdir()
        rows = [[key, 0.05 + 0.01 * number, HOSTILE] for key in (HOSTILE, "-1", "b")]
        write_text(folder / "nme.csv", format_csv([["key", "nme", "groups"], *rows]))
        protocol = f"{HOSTILE} $\\frac$"
        facts = {"normalizer": "box", "scheme": HOSTILE, "protocol": protocol, "warnings": []}
        write_json(folder / "report.json", facts)
    assert set(read_face_scores(folders["plain"]).values) == {HOSTILE, "-1", "b"}
    compare_reports(folders, tmp_path)
    text = (tmp_path / "comparison.txt").read_text("utf-8")
    assert not _CONTROLS.search(text)
    assert not re.search("^=cmd", text, re.MULTILINE)


def test_texts_about_records_are_escaped():
    manifest = {
        "counts": {"train": 1}, "scheme": HOSTILE, "skipped": {HOSTILE: "a box is empty"},
        "warnings": [HOSTILE], "differences_from_official_counts": [],
    }  # fmt: skip
    inspection = {
        "splits": {HOSTILE: 1}, "faces": 1, "images": 1, "scheme": HOSTILE, "sources": {HOSTILE: 1},
        "crop_rules": [HOSTILE], "side": 96, "boxes": {}, "pose": {}, "visibility": {},
        "warnings": [{"kind": "swap", "count": 1, "fraction": None, "message": HOSTILE,
                      "examples": [HOSTILE]}],
    }  # fmt: skip
    for text in (format_summary(manifest, "records"), format_inspection(inspection)):
        assert not _CONTROLS.search(text)
        assert not re.search("^=cmd", text, re.MULTILINE)


def test_model_card_shows_names_as_text():
    name = f"<script>alert(1)</script>[a](javascript:b) `{HOSTILE}"
    spec = ModelSpec(scheme="ibug_68", input_size=64, margin=1.2, trained_on={name: 3})
    facts = {"format": "litert", "precision": "float32", "input": {"shape": [1, 64, 64, 3]},
             "outputs": {"landmarks": {"shape": [1, 68, 2]}}}  # fmt: skip
    parity = Parity(1, 0.0, 0.0, None, "box", None, None, None)
    card = model_card(spec, facts, Origin(name, None, None), parity, name)
    assert not _CONTROLS.search(card)
    assert not re.search(r"(?<!\\)<script|(?<!\\)\[a|^=cmd", card, re.MULTILINE)


def test_captions_are_drawn():
    images = [np.zeros((64, 64, 3), np.uint8)] * 2
    sheet = contact_sheet(images, captions=[HOSTILE, ""], columns=2)
    assert sheet[:, :64].max() > 200
