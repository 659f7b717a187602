"""Schemes of landmarks: what each index means, and which landmarks two of them share."""

from wing_tf.landmarks.mapping import MAPS, SchemeMap, find_map, load_map
from wing_tf.landmarks.scheme import BOX_NORMALIZERS, LandmarkScheme
from wing_tf.landmarks.scheme_file import (
    custom_json,
    load_scheme,
    scheme_from_dict,
    scheme_from_json,
    scheme_to_dict,
)
from wing_tf.landmarks.schemes import SCHEMES, get_scheme, register_scheme

__all__ = [
    "BOX_NORMALIZERS",
    "MAPS",
    "SCHEMES",
    "LandmarkScheme",
    "SchemeMap",
    "custom_json",
    "find_map",
    "get_scheme",
    "load_map",
    "load_scheme",
    "register_scheme",
    "scheme_from_dict",
    "scheme_from_json",
    "scheme_to_dict",
]
