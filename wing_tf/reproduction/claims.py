"""Verdicts on the papers' claims from the cells of a table."""

from collections.abc import Sequence
from typing import Any

from wing_tf.metrics import format_difference, paired_bootstrap
from wing_tf.reproduction.face_errors import FaceErrors
from wing_tf.reproduction.table import Cell, Table

UNKNOWN = "can't be told"
_VERDICTS = {True: ("reproduces", "does not reproduce"), False: ("holds", "does not hold")}
_MIN_SEEDS = 3


def check_claims(table: Table, order: Sequence[Cell], errors: FaceErrors) -> list[dict[str, Any]]:
    """Returns the claims of a table whose cells are finished, each with a verdict.

    A paper's claim reproduces if the whole interval of the paired difference is below 0, and does
    not if it is above; else it can't be told at this size of network, training and test set. Claims
    that are not in a paper hold or do not. The interval is over faces and seeds. From fewer than
    three seeds nothing is told.

    Args:
        table: The table.
        order: Its finished cells.
        errors: Their errors.
    """
    cells = {cell.name: cell for cell in order}
    results = []
    for claim in table.claims:
        if not {claim.cell, claim.baseline} <= cells.keys():
            continue
        pair = errors.pair(claim.cell, claim.baseline)
        if pair is None:
            continue
        mean, low, high = paired_bootstrap(*pair)
        yes, no = _VERDICTS[claim.in_paper]
        verdict = yes if high < 0 else no if low > 0 else UNKNOWN
        if len(pair[0]) < _MIN_SEEDS:
            verdict = UNKNOWN
        own, other = (cells[name].published for name in (claim.cell, claim.baseline))
        results.append(
            {
                "claim": claim.text if claim.in_paper else f"Not in the paper: {claim.text}",
                "cell": claim.cell,
                "baseline": claim.baseline,
                "verdict": verdict,
                "difference": [mean, low, high],
                "seeds": len(pair[0]),
                "published": {
                    table.published_as.get(key, key): round(own[key] - other[key], 2)
                    for key in own
                    if key in other
                },
            }
        )
    return results


def format_claim(result: dict[str, Any]) -> str:
    """Returns a claim and its verdict as one sentence."""
    published = "".join(f"; the paper: {v:+.2f} ({k})" for k, v in result["published"].items())
    seeds = f"{result['seeds']} seed{'s' if result['seeds'] > 1 else ''}"
    verdict, difference = result["verdict"], format_difference(result["difference"])
    if result["seeds"] < _MIN_SEEDS:
        return f"{result['claim']}: **{verdict} from {seeds}**, {difference}{published}."
    if verdict == UNKNOWN:
        verdict += " at this size"
    return f"{result['claim']}: **{verdict}**, {difference}, {seeds}{published}."
