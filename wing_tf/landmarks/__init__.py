"""Mark-ups of landmarks: what each index means. Pure data, so importing it costs nothing."""

import difflib

from wing_tf.landmarks.scheme import BOX_NORMALISERS, LandmarkScheme
from wing_tf.landmarks.schemes import (
    AFLW_19,
    CELEBA_5,
    COFW_29,
    IBUG_68,
    LAPA_106,
    LSP_14,
    WFLW_98,
)

__all__ = ["BOX_NORMALISERS", "SCHEMES", "LandmarkScheme", "get_scheme"]

SCHEMES: dict[str, LandmarkScheme] = {
    "ibug_68": IBUG_68,
    "wflw_98": WFLW_98,
    "cofw_29": COFW_29,
    "aflw_19": AFLW_19,
    "lapa_106": LAPA_106,
    "celeba_5": CELEBA_5,
    "lsp_14": LSP_14,
}


def get_scheme(name: str | LandmarkScheme) -> LandmarkScheme:
    """Returns a mark-up by name.

    Functions that take a scheme call this first, so that callers may pass `"wflw_98"` or an
    object of their own.

    Args:
        name: A key of `SCHEMES`, or a `LandmarkScheme`, which is returned as it is.

    Returns:
        The scheme.

    Raises:
        ValueError: When the name is unknown; the message lists the known ones.

    Example:
        >>> get_scheme("wflw_98").num_landmarks
        98
    """
    if isinstance(name, LandmarkScheme):
        return name
    if name in SCHEMES:
        return SCHEMES[name]
    close = difflib.get_close_matches(str(name), SCHEMES, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(
        f"`name` must be one of {', '.join(SCHEMES)} or a LandmarkScheme. "
        f"Received: name={name!r}.{hint}"
    )
