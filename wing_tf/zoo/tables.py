"""Tables of the zoo's models, for the commands' help and for the documentation."""

from collections.abc import Iterable

from wing_tf.zoo.zoo_model import Score, ZooModel


def help_table(models: Iterable[ZooModel]) -> str:
    """Returns a few lines for each model."""
    lines = []
    for model in models:
        latency = f", {model.latency_ms:g} ms per face" if model.latency_ms else ""
        lines.append(
            f"  {model.name}: {model.scheme}, {model.input_size} px{latency}; "
            f"trained on {model.trained_on}; {model.license}"
        )
        lines += [
            f"    {score.data}, {score.boxes} boxes: {_score(score)}" for score in model.scores
        ]
        if model.notice:
            lines.append(f"    {model.notice}")
    return "\n".join(lines)


def markdown_table(models: Iterable[ZooModel]) -> str:
    """Returns the models as tables in Markdown: their properties, and their scores."""
    lines = [
        "| name | scheme | input | trained on | ms per face | license |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    scores = [
        "| model | data | face boxes | NME in % | FR8 in % |",
        "| --- | --- | --- | --- | --- |",
    ]
    for model in models:
        lines.append(
            f"| `{model.name}` | `{model.scheme}` | {model.input_size} px | {model.trained_on} | "
            f"{f'{model.latency_ms:g}' if model.latency_ms else ''} | {model.license} |"
        )
        for score in model.scores:
            fr8 = "" if score.fr8 is None else f"{score.fr8:.1f}"
            scores.append(
                f"| `{model.name}` | {score.data} | {score.boxes} | {score.nme:.2f} | {fr8} |"
            )
    return "\n".join([*lines, "", *scores])


def _score(score: Score) -> str:
    fr8 = "" if score.fr8 is None else f", FR8 {score.fr8:.1f} %"
    return f"NME {score.nme:.2f} %{fr8}"
