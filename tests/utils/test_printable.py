"""Names from outside on terminals, in reports, in plots and in CSV files."""

import csv
import io
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from wing_tf.utils.printable import (
    PrintableStream,
    csv_cell,
    format_csv,
    markdown,
    plot_text,
    printable,
    printable_lines,
    text_of_cell,
)

# Names of which most have something that matters.
NAMES = st.text(
    st.one_of(st.characters(), st.sampled_from("\\x5cu20ab'=+-@;,\"\t\r\n\x1b\x9b\u202e$"))
)
HOSTILE = "\x1b[2J\x9b31m\x07\u202egpj.exe\u2066\r\nerror: done"


def _controls(text):
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")
            or unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI",
                                                "FSI", "PDI")]  # fmt: skip


@given(NAMES)
@example(HOSTILE)
def test_printable_text_has_no_control_characters(text):
    shown = printable(text)
    assert not _controls(shown)
    assert printable(shown) == shown
    if not _controls(text) and not set(text) & set("\u061c\u200e\u200f"):
        assert shown == text


def test_printable_shows_the_code_of_a_character():
    assert printable("a\x1b\u202eb\n") == r"a\x1b\u202eb\x0a"
    assert printable("a\x1b\n", keep="\n") == "a\\x1b\n"
    assert printable("ä 漢字 👩‍👩‍👧.jpg") == "ä 漢字 👩‍👩‍👧.jpg"
    assert printable_lines(["a\nb", "c"]) == "a\\x0ab\nc"


@given(NAMES)
@example("'=1")
@example(r"a\x1b\x5c;=1")
def test_csv_cells_give_the_text_back_and_are_no_formula(text):
    cell = csv_cell(text)
    assert text_of_cell(cell) == text
    assert not _controls(cell)
    for separator in ",;":  # the first column, whatever the spreadsheet separates at
        ((first, *_),) = csv.reader([format_csv([[text, 1]])], delimiter=separator)
        assert not first.lstrip().startswith(tuple("=+-@"))
    assert next(csv.reader([format_csv([[1, text]])])) == ["1", cell]


def test_csv_keeps_numbers():
    rows = [["-1.jpg", -1.5, None, 3], ["=HYPERLINK(1)", float("nan"), -2, 0]]
    assert format_csv(rows) == "'-1.jpg,-1.5,,3\n'=HYPERLINK(1),nan,-2,0\n"


@pytest.mark.parametrize("name", ["plain.jpg", r"faces\x41.jpg", "'s.jpg", "a=b", "'", "-"])
def test_names_of_files_by_others_are_read_as_they_are(name):
    assert text_of_cell(name) == name


def test_markdown_shows_names_as_they_are():
    assert markdown("a|b\n<img src=x>[c](d) `e` *f* ibug_68") == (
        r"a\|b\\x0a\<img src=x\>\[c\](d) \`e\` \*f\* ibug_68"
    )


def test_dollars_do_not_begin_a_formula_in_plots(tmp_path):
    figure = Figure()
    figure.add_subplot().set_title(plot_text("$\\frac{$ \x1b$"))
    figure.savefig(tmp_path / "plot.png")


def test_stream_escapes_what_is_printed():
    target = io.StringIO()
    stream = PrintableStream(target)
    print(HOSTILE, "\t1 %\r", file=stream, flush=True)
    stream.writelines(["\x1b[A", "ä\n"])
    assert target.getvalue() == (
        "\\x1b[2J\\x9b31m\\x07\\u202egpj.exe\\u2066\r\nerror: done \t1 %\r\n\\x1b[Aä\n"
    )
    assert not stream.isatty()
