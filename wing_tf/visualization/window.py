"""A window that shows images on the screen."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np

_MAX_SIDE_PX = 1280  # longer side of a window
_PROBE = "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1); cv2.destroyAllWindows()"


def why_no_window() -> str | None:
    """Returns the reason why no window can be opened. None if one can.

    Without a screen, OpenCV's window system ends the process, so it is tried in a child process
    first.
    """
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in screens):
        return "there is no screen (DISPLAY is not set)"
    try:
        done = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "the screen does not answer"
    if done.returncode:
        return "OpenCV can't open a window (no screen, or OpenCV was built without windows)"
    return None


class Window:
    """A window that shows images.

    Args:
        title: Title of the window.

    Raises:
        OSError: If no window can be opened; see `why_no_window`.
    """

    def __init__(self, title: str):
        if reason := why_no_window():
            raise OSError(f"No window: {reason}.")
        self._title = title
        cv2.namedWindow(title, cv2.WINDOW_AUTOSIZE)

    def show(self, image: np.ndarray, *, wait_ms: int = 1) -> bool:
        """Shows an image, scaled down to the screen if it is large.

        Args:
            image: uint8 RGB [H, W, 3].
            wait_ms: Time to wait for a key. 0 waits until one is pressed or the window is closed.

        Returns:
            False if q or Escape was pressed or the window was closed, else True.
        """
        scale = min(1.0, _MAX_SIDE_PX / max(image.shape[:2]))
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cv2.imshow(self._title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        key = cv2.waitKey(wait_ms or 50)
        while wait_ms == 0 and key < 0 and self._is_open():
            key = cv2.waitKey(50)
        return key & 0xFF not in (27, ord("q")) if key >= 0 else self._is_open()

    def close(self) -> None:
        """Closes the window."""
        cv2.destroyAllWindows()

    def _is_open(self) -> bool:
        return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1


@contextmanager
def open_window(title: str, *, wanted: bool = True) -> Iterator[Callable[..., bool] | None]:
    """Yields `Window.show` of a window; None if it is not wanted, or without a screen.

    A note on the standard error stream says why there is no window.
    """
    window = None
    try:
        window = Window(title) if wanted else None
    except OSError as error:
        print(f"note: {error}", file=sys.stderr)
    try:
        yield window.show if window else None
    finally:
        if window:
            window.close()
