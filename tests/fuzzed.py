"""Damaged versions of valid files, and the check that a reader refuses or reads each of them."""

import copy
import faulthandler
import io
import json
import zipfile

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NUM_INPUTS = 300
_MAX_SECONDS = 3600  # of all inputs of a reader that hangs, on a machine that is busy

_BYTES = [
    b"null", b"1e999", b"-1", b'"', b"{}", b"[]", b"NaN", b"\x00", b"9" * 400, b'"nose"', b"1e308",
    b"1e18", b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b",", b"0", b"-1e-320", b"\\", b"../a.png",
    b"\xff\xff\xff\xff",
]  # fmt: skip
_VALUES = [
    None, True, False, 0, -1, 2, 0.5, 1e308, -1e308, 10**30, "", "1", "nose", "\x1b[2J", "a\nb",
    "../../etc/passwd", [], {}, [[]], [1, 2], [None], {"": 0}, [[1, 2], [3]], [1e308] * 4,
]  # fmt: skip
_TEXTS = [
    "NaN",
    "-Infinity",
    "1e999",
    "9" * 400,
    "[" * 3000 + "]" * 3000,
    '{"a":' * 150 + "1" + "}" * 150,
]
_MARK = '"\u2603"'


def damaged_bytes(data):
    """A strategy for data with one to three parts changed, removed, doubled or cut off."""
    at = st.integers(0, len(data) - 1)
    edits = st.tuples(
        st.sampled_from(["change", "remove", "double", "insert", "cut"]),
        at,
        st.integers(1, 30),
        st.binary(min_size=1, max_size=4) | st.sampled_from(_BYTES),
    )

    def apply(edits):
        damaged = data
        for kind, start, length, word in edits:
            part = damaged[start : start + length]
            new = {
                "change": word + part[len(word) :],
                "remove": b"",
                "double": part + part,
                "insert": word + part,
                "cut": b"",
            }[kind]
            rest = b"" if kind == "cut" else damaged[start + length :]
            damaged = damaged[:start] + new + rest
        return damaged

    return st.lists(edits, min_size=1, max_size=3).map(apply)


def damaged_json(values):
    """A strategy for JSON texts of which one value is exchanged, removed or doubled, or the bytes
    are damaged."""
    places = [()]
    for place in places:  # grows meanwhile
        value = _at(values, place)
        if isinstance(value, dict | list):
            keys = value if isinstance(value, dict) else range(len(value))
            places += [(*place, key) for key in keys]
    changes = st.tuples(
        st.sampled_from(places),
        st.sampled_from(["value", "text", "remove", "double", "rename"]),
        st.sampled_from(_VALUES) | st.integers() | st.floats() | st.text(max_size=5),
        st.sampled_from(_TEXTS),
    )

    def apply(change):
        place, kind, value, text = change
        if not place:
            return (text if kind == "text" else json.dumps(value)).encode("utf-8", "replace")
        changed = copy.deepcopy(values)
        parent, key = _at(changed, place[:-1]), place[-1]
        if kind in ("value", "text"):
            parent[key] = value if kind == "value" else json.loads(_MARK)
        elif kind == "remove":
            del parent[key]
        elif isinstance(parent, list):
            parent.insert(key, parent[key])
        elif kind == "rename":
            parent[f"{key}_"] = parent.pop(key)
        else:  # the key is there twice
            written = json.dumps(changed, ensure_ascii=False)
            pair = json.dumps({key: parent[key]}, ensure_ascii=False)[1:-1]
            return written.replace(pair, f"{pair}, {pair}", 1).encode()
        written = json.dumps(changed, ensure_ascii=False)
        return written.replace(_MARK, text).encode("utf-8", "replace")

    return st.one_of(st.builds(apply, changes), damaged_bytes(json.dumps(values).encode()))


def _at(values, place):
    for key in place:
        values = values[key]
    return values


def damaged_archive(data, members):
    """A strategy for zip archives with damaged bytes, or whole ones with damaged members.

    Args:
        data: Content of a valid archive.
        members: Strategies for the content of members, by name.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        valid = {name: archive.read(name) for name in archive.namelist()}
        start = min(info.header_offset for info in archive.infolist())

    def apply(changed):
        name, content, method = changed
        file = io.BytesIO(data[:start])
        with zipfile.ZipFile(file, "a", method) as archive:
            for other, old in valid.items():
                archive.writestr(other, content if other == name else old)
        return file.getvalue()

    methods = [zipfile.ZIP_STORED] * 4 + [zipfile.ZIP_DEFLATED] * 4 + [zipfile.ZIP_LZMA]
    changed = st.one_of(
        [st.tuples(st.just(n), s, st.sampled_from(methods)) for n, s in members.items()]
    )
    # The directory at the end is where most of what zipfile reads is.
    end = damaged_bytes(data[-600:]).map(lambda part: data[:-600] + part)
    return st.one_of(damaged_bytes(data), end, st.builds(apply, changed))


def check_reader(path, valid, read, damaged, *, min_refused=20, num_inputs=NUM_INPUTS):
    """Gives a valid file, and then damaged ones, to a reader.

    Each must be refused by a ValueError of one line that names the file, or be read. Whatever else
    it raises fails the test, and so does what the reader accepts without sense.

    Args:
        path: The file, which is replaced.
        valid: Content that is read.
        read: Reads the file and asserts that what it has read makes sense.
        damaged: Strategy for the content of the file.
        min_refused: Minimum number of inputs that must be refused, so that the test is one.
        num_inputs: Number of inputs.
    """
    path.write_bytes(valid)
    read()
    counts = {"inputs": 0, "refused": 0}

    @settings(
        max_examples=num_inputs,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged)
    def give(content):
        path.write_bytes(content)
        counts["inputs"] += 1
        try:
            read()
        except ValueError as error:
            counts["refused"] += 1
            text = str(error)
            assert "\n" not in text, text  # noqa: PT017
            assert len(text) < 2000  # noqa: PT017
            named = (path.name, *map(str, path.parents[:3]))  # a data set may be a folder
            assert any(name in text for name in named), text  # noqa: PT017

    faulthandler.dump_traceback_later(_MAX_SECONDS, exit=True)
    try:
        give()
    finally:
        faulthandler.cancel_dump_traceback_later()
    accepted = counts["inputs"] - counts["refused"]
    print(f"{path.name}: {counts['inputs']} inputs, {counts['refused']} refused, {accepted} read")
    assert counts["inputs"] >= num_inputs
    assert counts["refused"] >= min_refused
