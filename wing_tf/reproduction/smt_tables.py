"""The tables of the SMT-Net paper and their published scores.

The published scores are inter-ocular NME x 1e-2 on the challenging subset of 300-W, of two
hourglasses at 256 px. Sigmas are in pixels of heatmaps of 64 px, as in the paper, and are scaled to
those of the network. Cells that do not compare sigmas have the recipe's: 2 if it is tuned, the
paper's 4 if not.
"""

from typing import Any

from wing_tf.reproduction.table import Cell, Table

_PAPER_SIGMA = 4.0
_AS = {"challenge": "300-W challenge, inter-ocular"}


def _cell(**options: Any) -> Cell:
    return Cell(task="smt", **options)


def _sigma() -> Table:
    first = {"heatmap.sigma": _PAPER_SIGMA}

    def temporal(step: float) -> dict[str, Any]:
        return first | {
            "sigma_schedule.temporal_step": step,
            "sigma_schedule.final_sigma": 1.0,
        }

    def spatial(step: float) -> dict[str, Any]:
        return first | {"sigma_schedule.spatial_step": step}

    def cell(name: str, overrides: dict[str, Any], score: float | None = None) -> Cell:
        published = {} if score is None else {"challenge": score}
        return _cell(name=name, overrides=overrides, published=published)

    return Table(
        title="The kernel sigma: fixed, by hourglass, and by epoch",
        source="SMT-Net, Table 1",
        cells=(
            cell("sigma 4", first, 6.23),
            cell("sigma 2", {"heatmap.sigma": 2.0}),
            cell("sigma 1", {"heatmap.sigma": 1.0}),
            cell("spatial .5", spatial(0.5), 6.15),
            cell("spatial 1", spatial(1.0), 6.31),
            cell("temporal .5", temporal(0.5), 6.17),
            cell("temporal 1", temporal(1.0), 6.12),
        ),
        baseline="sigma 4",
        published_as=_AS,
        notes=(
            "Names contain sigmas in pixels of heatmaps of 64 px. A temporal schedule ends at "
            "sigma 1; every sigma has the same number of epochs, the last one also the remainder. "
            "The paper continues with each sigma as long as the validation improves.",
        ),
    )


def _residual() -> Table:
    def cell(name: str, decoder: str, theta: float | None, score: float | None = None) -> Cell:
        overrides: dict[str, Any] = {"heatmap.decoder": decoder}
        if theta is not None:
            overrides |= {"model.residuals": True, "residual.theta": theta}
        published = {} if score is None else {"challenge": score}
        baseline = decoder if theta is not None else None
        return _cell(name=name, overrides=overrides, published=published, baseline=baseline)

    return Table(
        title="Heatmaps alone, and with hinged residuals",
        source="SMT-Net, Table 2",
        cells=(
            cell("argmax", "argmax", None, 6.22),
            cell("argmax theta 5", "argmax", 5.0, 6.33),
            cell("argmax theta .5", "argmax", 0.5, 6.16),
            cell("dark", "dark", None),
            cell("dark theta .5", "dark", 0.5),
        ),
        baseline="argmax",
        published_as=_AS,
        notes=(
            "With theta: the residual is added to the decoder's result, which in the paper is the "
            "maximum pixel.",
        ),
    )


def _losses() -> Table:
    return Table(
        title="Heatmap losses",
        source="SMT-Net, section 4 (BICE and UCE; its margins are of two pixels)",
        cells=(
            _cell(name="bice", overrides={}),
            _cell(name="bice sigmoid", overrides={"loss.activation": "sigmoid"}),
            _cell(name="uce", overrides={"loss.name": "uce"}),
            _cell(name="mse", overrides={"loss.name": "heatmap_mse"}),
            _cell(name="awing", overrides={"loss.name": "adaptive_wing"}),
        ),
        baseline="bice",
        published_as=_AS,
        notes=(
            "The losses are compared without the weighted loss map.",
            "With a softmax over a whole map BICE and UCE are nearly one loss.",
        ),
    )


def _medians() -> Table:
    keys = ("challenge", "challenge inner", "common", "common inner")
    full = {
        "heatmap.sigma": _PAPER_SIGMA,
        "heatmap.decoder": "argmax",
        "model.residuals": True,
        "sigma_schedule.temporal_step": 1.0,
        "sigma_schedule.final_sigma": 1.0,
    }
    return Table(
        title="Median errors with and without the face's outline",
        source="SMT-Net, Table 3",
        cells=(
            _cell(
                name="smt-net",
                overrides=full,
                published=dict(zip(keys, (5.41, 4.34, 3.35, 2.87), strict=True)),
            ),
        ),
        baseline="smt-net",
        published_as={
            key: f"NMDE, 300-W {key.removesuffix(' inner')}, inter-ocular"
            f"{', 49 points' if key.endswith('inner') else ''}"
            for key in keys
        },
        medians=True,
        notes=("The network with all of the paper's parts: sigma in time, BICE, residuals.",),
    )


SMT_TABLES = {
    "smt_radius": _sigma(),
    "smt_residual": _residual(),
    "smt_losses": _losses(),
    "smt_medians": _medians(),
}
