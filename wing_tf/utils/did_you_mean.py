"""Suggestions for misspelled names."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: object, known: Iterable[str], *, cutoff: float = 0.5) -> str:
    """Returns " Did you mean 'x'?" for the known name that is nearest, "" if none is near.

    Upper and lower case are the same.
    """
    folded = {other.casefold(): other for other in known}
    close = difflib.get_close_matches(str(name).casefold(), folded, n=1, cutoff=cutoff)
    return f" Did you mean {folded[close[0]]!r}?" if close else ""
