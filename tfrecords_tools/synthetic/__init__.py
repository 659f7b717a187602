"""Rendered faces with exact landmarks, reproducible from two integers."""

from tfrecords_tools.synthetic.face import SyntheticFace, render_face

__all__ = ["SyntheticFace", "render_face"]
