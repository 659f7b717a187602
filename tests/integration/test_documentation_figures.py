"""The figures of docs/: small, used by a page, and made by docs/figures/make_figures.py."""

import os
import pathlib
import subprocess
import sys

import pytest

from wing_tf.utils.image_files import load_image

ROOT = pathlib.Path(__file__).parents[2]
IMAGES = {path.name: path for path in (ROOT / "docs" / "images").iterdir()}
# By wing-demo and benchmarks/few_images.py.
MADE_ELSEWHERE = {"demo_images.jpg", "demo_worst.jpg", "few_images.png"}


def test_each_image_is_small_and_used_by_a_page():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    assert not [name for name in IMAGES if f"images/{name})" not in text]
    sizes = {name: path.stat().st_size for name, path in IMAGES.items()}
    assert max(sizes.values()) < 151_000, sizes
    assert sum(sizes.values()) < 1_100_000, sizes


@pytest.mark.slow
def test_one_command_draws_all_figures(tmp_path):
    subprocess.run(
        [sys.executable, "docs/figures/make_figures.py", f"--output={tmp_path}"],
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    drawn = {path.name: path for path in tmp_path.iterdir()}
    assert set(drawn) == set(IMAGES) - MADE_ELSEWHERE
    for name, path in drawn.items():
        image = load_image(path)
        assert image.shape == load_image(IMAGES[name]).shape, name
        assert image.std() > 10, name
