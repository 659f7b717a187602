import numpy as np
import pytest

from wing_tf.detection.windows import search_windows


@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("size_hw", [(300, 400), (400, 300), (90, 90), (700, 5000), (31, 17)])
def test_windows_show_the_image_where_they_say(size_hw, levels):
    """The image is its coordinates: red is x, green is y, of the longer side."""
    height, width = size_hw
    ramp = np.arange(max(size_hw)) * (200.0 / max(size_hw)) + 25
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0], image[..., 1] = ramp[:width].round(), ramp[:height, None].round()
    covered = np.zeros((height, width), int)
    grid = np.arange(16) + 0.5
    windows = list(search_windows(image, side=16, levels=levels))
    assert windows[0].scale >= windows[-1].scale
    for window in windows:
        assert window.pixels.shape == (16, 16, 3)
        xs, ys = window.corner_xy[:, None] + grid * window.scale
        reach = window.scale / 2  # pixels that are not at the edge, which is mixed with black
        inside_x = (xs > reach) & (xs < width - 1 - reach)
        inside_y = (ys > reach) & (ys < height - 1 - reach)
        shown = window.pixels[inside_y][:, inside_x]
        per_px = 200.0 / max(size_hw)
        tolerance = 1.5 + per_px  # roundings, and the pixels that are left out of large images
        np.testing.assert_allclose(
            shown[..., 0], np.broadcast_to(xs[inside_x] * per_px + 25, shown.shape[:2]),
            atol=tolerance,
        )  # fmt: skip
        np.testing.assert_allclose(
            shown[..., 1].T, np.broadcast_to(ys[inside_y] * per_px + 25, shown.shape[1::-1]),
            atol=tolerance,
        )  # fmt: skip
        if window.scale == windows[-1].scale:
            # To a pixel of the window, because windows start at whole pixels.
            low = np.maximum(window.corner_xy - window.scale, 0).astype(int)
            high = np.maximum(window.corner_xy + 17 * window.scale, 0).astype(int)
            covered[low[1] : high[1], low[0] : high[0]] = 1
    assert covered.all()
