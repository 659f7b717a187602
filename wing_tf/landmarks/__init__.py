"""Landmark schemes, the maps between them, and their JSON files."""

from wing_tf.landmarks.mapping import SCHEME_MAPS, SchemeMap, find_scheme_map, load_scheme_map
from wing_tf.landmarks.scheme import BOX_NORMALIZERS, LandmarkScheme
from wing_tf.landmarks.scheme_file import (
    custom_scheme_json,
    load_scheme,
    scheme_from_dict,
    scheme_from_json,
    scheme_to_dict,
)
from wing_tf.landmarks.schemes import SCHEMES, get_scheme, register_scheme
from wing_tf.landmarks.shared_points import shared_points

__all__ = [
    "BOX_NORMALIZERS",
    "SCHEMES",
    "SCHEME_MAPS",
    "LandmarkScheme",
    "SchemeMap",
    "custom_scheme_json",
    "find_scheme_map",
    "get_scheme",
    "load_scheme",
    "load_scheme_map",
    "register_scheme",
    "scheme_from_dict",
    "scheme_from_json",
    "scheme_to_dict",
    "shared_points",
]
