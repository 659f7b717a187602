import pytest

from wing_tf.reproduction.figures import FIGURES, draw_figure
from wing_tf.reproduction.table import FIGURE_NAMES


def test_figure_names_are_those_that_can_be_drawn(tmp_path):
    assert tuple(FIGURES) == FIGURE_NAMES
    assert draw_figure("smt_kernels", tmp_path / "new").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURE_NAMES[:5])
def test_figures_of_the_packages_own_functions_are_drawn(name, tmp_path):
    assert draw_figure(name, tmp_path).stat().st_size > 1000
