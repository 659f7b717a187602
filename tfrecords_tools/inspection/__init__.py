"""What a record folder holds, and what looks wrong in it."""

from tfrecords_tools.inspection.report import inspect_records

__all__ = ["inspect_records"]
