"""Annotated images to TFRecords: sources, the writer and the ``wing-tfrecords`` command."""
