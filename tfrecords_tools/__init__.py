"""Annotated pictures to TFRecords: sources, the writer and the ``wing-tfrecords`` command."""
