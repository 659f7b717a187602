"""The tables of the Wing paper and their published scores.

The published scores are mean NME x 1e-2, normalized by the face box on AFLW and by the inter-pupil
distance on 300-W.
"""

from typing import Any

from wing_tf.reproduction.table import Cell, Table

_AS = {"aflw": "AFLW-Full, box"} | {
    key: f"300-W {key}, inter-pupil" for key in ("common", "challenge", "full")
}
LOSSES = ("l2", "l1", "smooth_l1", "wing")
_SECOND = {
    "model.name": "cnn7",
    "model.input_size": 128,
    "augment.rotation_deg": 10.0,
}
# The paper is silent: w and epsilon are the same fraction of the image as for CNN-7.
_RESNET = {"model.name": "resnet50", "model.input_size": 224}
_RESNET_WING = {"loss.width": 26.0, "loss.curvature": 5.0}
_SECOND_WING = {"loss.width": 15.0, "loss.curvature": 3.0}


def _loss(name: str) -> dict[str, Any]:
    return {"loss.name": name}


def _single(loss: str, *, balanced: bool = False, **published: float) -> Cell:
    name = f"cnn6 {loss}"
    return Cell(
        name=f"{name} pdb" if balanced else name,
        overrides=_loss(loss),
        balanced=balanced,
        baseline=name if balanced else None,
        published=published,
    )


def _two_stage(loss: str, *, balanced: bool = False, **published: float) -> Cell:
    ending = f"{loss}{' pdb' if balanced else ''}"
    return Cell(
        name=f"cnn6/7 {ending}",
        overrides=_loss(loss) | _SECOND | (_SECOND_WING if loss == "wing" else {}),
        first_stage=f"cnn6 {ending}",
        balanced=balanced,
        baseline=f"cnn6/7 {loss}" if balanced else f"cnn6 {loss}",
        published=published,
    )


def _wing_losses() -> Table:
    scores = dict(zip(LOSSES, (2.41, 2.00, 2.02, 1.88), strict=True))
    return Table(
        title="CNN-6 by loss",
        source="Wing Loss, first version (2017), Table 1",
        cells=tuple(_single(loss, aflw=scores[loss]) for loss in LOSSES),
        baseline="cnn6 wing",
        published_as=_AS,
    )


def _wing_parameters() -> Table:
    widths = (4, 6, 8, 10, 12, 14)
    scores = {
        0.5: (1.95, 1.92, 1.92, 1.94, 1.97, 1.94),
        1: (1.95, 1.91, 1.91, 1.90, 1.90, 1.95),
        2: (1.98, 1.92, 1.91, 1.88, 1.90, 1.98),
        3: (2.02, 1.96, 1.93, 1.91, 1.89, 2.02),
    }
    return Table(
        title="Wing loss by width w and curvature epsilon",
        source="Wing Loss, first version (2017), Table 2",
        cells=tuple(
            Cell(
                name=f"w {width} eps {curvature:g}",
                overrides={"loss.width": float(width), "loss.curvature": float(curvature)},
                published={"aflw": value},
            )
            for curvature, row in scores.items()
            for width, value in zip(widths, row, strict=True)
        ),
        baseline="w 10 eps 2",
        published_as=_AS,
    )


def _wing_pdb() -> Table:
    scores = {
        "cnn6": ((2.41, 2.00, 2.02, 1.88), (2.23, 1.89, 1.91, 1.83)),
        "cnn6/7": ((2.06, 1.82, 1.84, 1.71), (1.94, 1.73, 1.76, 1.65)),
    }
    makers = {"cnn6": _single, "cnn6/7": _two_stage}
    return Table(
        title="Pose-based data balancing and the second stage, by loss",
        source="Wing Loss, CVPR 2018, Table 3 (first version: Table 3, HSM)",
        cells=tuple(
            makers[network](loss, balanced=balanced, aflw=values[balanced][i])
            for network, values in scores.items()
            for balanced in (False, True)
            for i, loss in enumerate(LOSSES)
        ),
        baseline="cnn6 wing",
        published_as=_AS,
        pose_thirds=True,
    )


def _wing_300w() -> Table:
    scores = {
        "l2": (4.18, 8.19, 4.97),
        "l1": (3.58, 7.02, 4.26),
        "smooth_l1": (3.57, 7.08, 4.26),
        "wing": (3.27, 7.18, 4.04),
    }
    names = ("common", "challenge", "full")
    return Table(
        title="CNN-6/7 with balancing on 300-W, by loss",
        source="Wing Loss, CVPR 2018, Table 4",
        cells=(
            *(_single(loss, balanced=True) for loss in LOSSES),
            *(
                _two_stage(loss, balanced=True, **dict(zip(names, scores[loss], strict=True)))
                for loss in LOSSES
            ),
        ),
        baseline="cnn6/7 wing pdb",
        published_as=_AS,
        notes=(
            "The paper divides by the inter-pupil distance (--normalizer=inter_pupil) and trains "
            "on 3148 faces; its test sets are --test=common='RECORDS/test_helen-*,"
            "RECORDS/test_lfpw-*', --test=challenge='RECORDS/test_ibug-*', and both as full.",
        ),
    )


_RESNET_NOTES = (
    "The paper's ResNet-50 starts from ImageNet weights; without --resnet_weights it starts from "
    "random ones.",
    "The paper is silent on ResNet-50's w, epsilon and rates.",
)


def _resnet(loss: str, **published: float) -> Cell:
    return Cell(
        name=f"resnet50 {loss} pdb",
        overrides=_RESNET | _loss(loss) | (_RESNET_WING if loss == "wing" else {}),
        balanced=True,
        published=published,
    )


def _wing_architectures() -> Table:
    return Table(
        title="Networks, with Wing loss and balancing",
        source="Wing Loss, CVPR 2018, Table 5",
        cells=(
            _single("wing", balanced=True, aflw=1.83),
            _two_stage("wing", balanced=True, aflw=1.65, common=3.27, challenge=7.18, full=4.04),
            _resnet("wing", aflw=1.47, common=3.01, challenge=6.01, full=3.60),
        ),
        baseline="cnn6/7 wing pdb",
        published_as=_AS,
        notes=_RESNET_NOTES,
    )


def _wing_resnet() -> Table:
    return Table(
        title="ResNet-50 with balancing, by loss",
        source="Wing Loss, CVPR 2018, Table 6",
        cells=tuple(_resnet(loss, **({"aflw": 1.47} if loss == "wing" else {})) for loss in LOSSES),
        baseline="resnet50 wing pdb",
        published_as=_AS,
        notes=(
            *_RESNET_NOTES,
            "Table 6 has AFLW alone. Its scores of the other losses are not listed here: only that "
            "of Wing was available, from Table 5.",
        ),
    )


WING_TABLES = {
    "wing_losses": _wing_losses(),
    "wing_parameters": _wing_parameters(),
    "wing_pdb": _wing_pdb(),
    "wing_300w": _wing_300w(),
    "wing_architectures": _wing_architectures(),
    "wing_resnet": _wing_resnet(),
}

PUBLISHED_SPEED = {
    # parameters, file, GPU and CPU frames a second
    "cnn6": ("3.8 M", "14 MB", "350 to 400", "100"),
    "cnn6/7": ("12.3 M", "46 MB", "150 to 170", "15"),
    "resnet50": ("25 M", "99 MB", "25", "5"),
}
