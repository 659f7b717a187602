"""Damaged versions of valid files, the same for one seed."""

import re

_WORDS = [
    b"null", b"1e999", b"-1", b'"', b"{}", b"[]", b"NaN", b"\x00", b"9" * 400, b'"nose"', b"1e308",
    b"1e18", b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b",", b"0", b"-1e-320", b"\\", b"../a.png",
]  # fmt: skip
_VALUE = re.compile(rb"[-\d.]+|\"[^\"]*\"|'[^']*'")


def fuzzed_text(data, generator):
    """Returns data with one value exchanged, or with bytes changed, cut out or doubled."""
    word = _WORDS[generator.integers(0, len(_WORDS))]
    if generator.integers(0, 2):
        values = list(_VALUE.finditer(data))
        start, end = values[generator.integers(0, len(values))].span()
        return data[:start] + word + data[end:]
    return fuzzed_bytes(data, generator, word)


def fuzzed_bytes(data, generator, word=b"\xff\xff\xff\xff"):
    """Returns data with some bytes changed, cut out or doubled, or with their end cut off."""
    start, length = int(generator.integers(0, len(data))), int(generator.integers(1, 30))
    kind = generator.integers(0, 6)
    if kind == 4:
        return data[:start]
    if kind == 5:
        changed = bytearray(data)
        for _ in range(generator.integers(1, 4)):
            changed[generator.integers(0, len(data))] = generator.integers(0, 256)
        return bytes(changed)
    part = data[start : start + length]
    other = [generator.bytes(length), b"", part + part, word][kind]
    return data[:start] + other + data[start + length :]
