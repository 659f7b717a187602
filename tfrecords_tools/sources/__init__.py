"""Annotated data sets. A new source is one file and one line in `SOURCES`."""

from tfrecords_tools.sources.aflw import AflwSource
from tfrecords_tools.sources.base import BadRecordError as BadRecordError
from tfrecords_tools.sources.base import Face as Face
from tfrecords_tools.sources.base import Item as Item
from tfrecords_tools.sources.base import Source as Source
from tfrecords_tools.sources.celeba import CelebASource
from tfrecords_tools.sources.coco import CocoSource
from tfrecords_tools.sources.cofw import CofwSource
from tfrecords_tools.sources.cofw68 import Cofw68Source
from tfrecords_tools.sources.csv_file import CsvSource
from tfrecords_tools.sources.cvat import CvatSource
from tfrecords_tools.sources.ibug_300w import Ibug300WSource
from tfrecords_tools.sources.imglab import ImglabSource
from tfrecords_tools.sources.label_studio import LabelStudioSource
from tfrecords_tools.sources.labelme import LabelmeSource
from tfrecords_tools.sources.lapa import LapaSource
from tfrecords_tools.sources.lsp import LspExtendedSource, LspSource
from tfrecords_tools.sources.pts_folder import PtsSource
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
    "labelme": LabelmeSource,
    "cvat": CvatSource,
    "labelstudio": LabelStudioSource,
    "imglab": ImglabSource,
    "pts": PtsSource,
    "synthetic": SyntheticSource,
}
"""Sources by name; the choices of ``wing-tfrecords write --source``."""
