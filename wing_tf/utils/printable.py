"""Text from outside, such as file names, made safe for terminals, reports and spreadsheets."""

import csv
import io
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

# Control characters (C0, DEL, C1) move a terminal's cursor or run its commands; marks, embeddings
# and overrides of the direction reorder what is read; the separators end lines; and surrogates are
# bytes of file names that are not UTF-8.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4}))")
_MARKDOWN = re.compile(r"[\\`*\[\]<>|&~]")
# What makes spreadsheets compute a cell. Apostrophes before it are ours or are escaped by one more.
_FORMULA = re.compile(r"'*\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
# A spreadsheet that separates at semicolons would begin a cell here.
_INNER_FORMULA = re.compile(r";(?=['\s]*[=+\-@\uff1d\uff0b\uff0d\uff20])")


def printable(text: str, *, keep: str = "") -> str:
    r"""Returns text in which characters that control a terminal are visible escapes.

    Args:
        text: Any text.
        keep: Characters that are not escaped, such as ``"\n"`` for text of several lines.

    Examples:
        >>> printable("\x1b[31mface\n.jpg")
        '\\x1b[31mface\\x0a.jpg'
    """
    return _UNPRINTABLE.sub(lambda found: found[0] if found[0] in keep else _code(found[0]), text)


def _code(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def printable_lines(lines: Iterable[str]) -> str:
    """Returns lines as one text, in which no line holds characters that control a terminal."""
    return "\n".join(map(printable, lines))


def markdown(text: str) -> str:
    r"""Returns text that Markdown shows as it is, without formatting, links and HTML.

    Examples:
        >>> markdown("<b>face_68")
        '\\<b\\>face_68'
    """
    return _MARKDOWN.sub(r"\\\g<0>", printable(text))


def plot_text(text: str) -> str:
    """Returns text for Matplotlib, in which dollar signs do not begin a formula."""
    return printable(text).replace("$", r"\$")


def csv_cell(value: Any) -> Any:
    r"""Returns a value for a CSV file; text that a spreadsheet would run begins with an apostrophe.

    Control characters in text are escaped as by `printable`. Numbers and None stay as they are.
    `text_of_cell` gives the text back.

    Examples:
        >>> csv_cell("=1+1.jpg"), csv_cell(-1.5)
        ("'=1+1.jpg", -1.5)
    """
    if not isinstance(value, str):
        return value
    # A backslash before what looks like an escape is escaped itself, so that it can be read back.
    text = _ESCAPE.sub(lambda found: found[0].replace("\\", "\\x5c") if _meant(found) else found[0],
                       value)  # fmt: skip
    text = _INNER_FORMULA.sub(r"\\x3b", printable(text))
    return f"'{text}" if _FORMULA.match(text) else text


def text_of_cell(cell: str) -> str:
    """Returns the text of which `csv_cell` made a cell; other text as it is."""
    text = cell.removeprefix("'") if _FORMULA.match(cell) else cell
    return _ESCAPE.sub(lambda found: _meant(found) or found[0], text)


def path_of_cell(cell: str, *folders: str | os.PathLike) -> str:
    r"""Returns the path in a cell of a CSV file: the cell itself if there is such a file.

    A path of Windows such as a\x10.jpg looks like text with an escaped character.

    Args:
        cell: The cell.
        folders: Folders that the path may be relative to.
    """
    text = text_of_cell(cell)
    paths = (os.path.join(folder, cell.replace("\\", "/")) for folder in folders)
    return cell if text != cell and any(map(os.path.isfile, paths)) else text


def _meant(escape: re.Match[str]) -> str:
    """Returns the character of an escape that `csv_cell` writes; empty for any other."""
    character = chr(int(escape[1] or escape[2], 16))
    is_ours = character in "\\;" or _UNPRINTABLE.match(character)
    return character if is_ours and _code(character) == escape[0] else ""


def format_csv(rows: Iterable[Sequence[Any]]) -> str:
    """Returns rows as CSV text; see `csv_cell`."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(csv_cell, row) for row in rows)
    return text.getvalue()


class PrintableStream:
    """Text stream that writes to another one what `printable` returns.

    Line ends, tabs and the carriage returns of progress bars are kept.

    Args:
        stream: The other stream, whose other attributes are those of this one.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes text; returns its length."""
        self._stream.write(printable(text, keep="\n\t\r"))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
