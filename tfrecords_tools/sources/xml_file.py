"""Reading of XML files whose origin is not known."""

import pathlib
import xml.etree.ElementTree as ET
from typing import NoReturn
from xml.parsers import expat

from wing_tf.utils.text_files import MAX_ANNOTATION_BYTES, read_limited


def read_xml(path: pathlib.Path, root_tag: str, kind: str) -> ET.Element:
    """Returns the root of an XML file.

    A file that is valid UTF-8 is read as such: dlib declares ISO-8859-1 whatever it writes. A file
    that declares entities is refused, since they may expand without bounds.

    Args:
        path: The file.
        root_tag: Expected tag of the root.
        kind: Name of the format, for error messages.

    Raises:
        ValueError: If the file can't be read or is not such a file; the message names the line.
    """

    def refuse(*_: object) -> NoReturn:
        raise ValueError("it declares entities")

    try:
        data = read_limited(path, MAX_ANNOTATION_BYTES)
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror}.") from None
    try:
        data.decode("utf-8")
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = None  # that of its declaration
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate(encoding)
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
        root = builder.close()
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise ValueError(f"{path} is not a valid XML file: {error}.") from None
    if root.tag != root_tag:
        raise ValueError(f"{path} is not {kind}: its root is <{root.tag}>, not <{root_tag}>.")
    return root
