"""Where annotated faces come from. A new source is one file and one line in `SOURCES`."""

from tfrecords_tools.sources.base import BadRecordError, Face, Item, Source
from tfrecords_tools.sources.csv_file import CsvSource
from tfrecords_tools.sources.ibug_300w import Ibug300WSource
from tfrecords_tools.sources.synthetic import SyntheticSource

SOURCES: dict[str, type[Source]] = {
    "ibug_300w": Ibug300WSource,
    "csv": CsvSource,
    "synthetic": SyntheticSource,
}

__all__ = [
    "SOURCES",
    "BadRecordError",
    "CsvSource",
    "Face",
    "Ibug300WSource",
    "Item",
    "Source",
    "SyntheticSource",
]
