"""Rendered faces with exact landmarks, reproducible from two integers."""

from tfrecords_tools.synthetic.face import SyntheticFace, check_yaw_distribution, render_face

__all__ = ["SyntheticFace", "check_yaw_distribution", "render_face"]
