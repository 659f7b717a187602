"""Where annotated faces come from. A new source is one file and one line in `SOURCES`."""

from tfrecords_tools.sources.aflw import AflwSource
from tfrecords_tools.sources.base import BadRecordError, Face, Item, Source
from tfrecords_tools.sources.celeba import CelebASource
from tfrecords_tools.sources.coco import CocoSource
from tfrecords_tools.sources.cofw import CofwSource
from tfrecords_tools.sources.cofw68 import Cofw68Source
from tfrecords_tools.sources.csv_file import CsvSource
from tfrecords_tools.sources.ibug_300w import Ibug300WSource
from tfrecords_tools.sources.lapa import LapaSource
from tfrecords_tools.sources.lsp import LspSource
from tfrecords_tools.sources.lsp_extended import LspExtendedSource
from tfrecords_tools.sources.synthetic import SyntheticSource
from tfrecords_tools.sources.wflw import WflwSource

SOURCES: dict[str, type[Source]] = {
    "ibug_300w": Ibug300WSource,
    "wflw": WflwSource,
    "cofw": CofwSource,
    "cofw68": Cofw68Source,
    "aflw": AflwSource,
    "lapa": LapaSource,
    "celeba": CelebASource,
    "lsp": LspSource,
    "lsp_extended": LspExtendedSource,
    "csv": CsvSource,
    "coco": CocoSource,
    "synthetic": SyntheticSource,
}

__all__ = [
    "SOURCES",
    "AflwSource",
    "BadRecordError",
    "CelebASource",
    "CocoSource",
    "Cofw68Source",
    "CofwSource",
    "CsvSource",
    "Face",
    "Ibug300WSource",
    "Item",
    "LapaSource",
    "LspExtendedSource",
    "LspSource",
    "Source",
    "SyntheticSource",
    "WflwSource",
]
