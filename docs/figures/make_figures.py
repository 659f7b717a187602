"""The figures of the documentation, of rendered faces: all of them by one command.

python docs/figures/make_figures.py
"""

import argparse
import pathlib
from collections.abc import Callable

import coordinate_figures
import crop_figures
import heatmap_figures
import loss_figures
import model_figures
import pipeline_figure
import pose_figures
from figure_faces import reduce_colors

_IMAGES = pathlib.Path(__file__).parents[1] / "images"

FIGURES: dict[str, Callable[[pathlib.Path], None]] = {
    "pipeline.jpg": pipeline_figure.pipeline,
    "pixel_grid.jpg": coordinate_figures.pixel_grid,
    "frames.jpg": coordinate_figures.frames,
    "crop_rules.jpg": crop_figures.crop_rules,
    "normalizers.jpg": crop_figures.normalizers,
    "ced_by_normalizer.png": crop_figures.ced_by_normalizer,
    "augmentations.jpg": crop_figures.augmentations,
    "two_stage_crops.jpg": crop_figures.two_stage_crops,
    "heatmap_sigma.jpg": heatmap_figures.heatmap_sigma,
    "decoders.png": heatmap_figures.decoders,
    "boundary_maps.jpg": heatmap_figures.boundary_maps,
    "loss_weight_maps.jpg": heatmap_figures.loss_weight_maps,
    "coordinate_losses.png": loss_figures.coordinate_losses,
    "heatmap_losses.png": loss_figures.heatmap_losses,
    "cross_entropies.png": loss_figures.cross_entropies,
    "models.jpg": model_figures.models,
    "pose_extremes.jpg": pose_figures.pose_extremes,
    "pose_histogram.png": pose_figures.pose_histogram,
}
"""Functions that write a figure, by the name of its file."""


def main() -> None:
    """Writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default=_IMAGES, help="the folder")
    parser.add_argument("--only", nargs="*", choices=FIGURES, default=FIGURES, help="some of them")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in arguments.only:
        path = arguments.output / name
        FIGURES[name](path)
        if path.suffix == ".png":
            reduce_colors(path)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
