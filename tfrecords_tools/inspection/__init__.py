"""Inspection of record folders: images, statistics and warnings about likely errors."""

from tfrecords_tools.inspection.report import inspect_records

__all__ = ["inspect_records"]
