"""A window that shows images on the screen."""

import collections
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from wing_tf.utils.printable import printable

_MAX_SIDE_PX = 1280  # longer side of a window
_MAX_TIMES = 30  # images of which the rate is the mean
_POLL_MS = 50
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
    """A window that shows images, and from the second image on how many it shows per second.

    Args:
        title: Title of the window.

    Raises:
        OSError: If no window can be opened; see `why_no_window`.
    """

    def __init__(self, title: str):
        if reason := why_no_window():
            raise OSError(f"No window: {reason}. Leave out --show.")
        self._title = printable(title)
        self._times_s: collections.deque[float] = collections.deque(maxlen=_MAX_TIMES)
        # Without the tools of OpenCV's own windows.
        cv2.namedWindow(self._title, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)

    def show(self, image: np.ndarray | None, *, wait_ms: int = 1) -> bool:
        """Shows an image, scaled down to the screen if it is large.

        The space key pauses until the next key.

        Args:
            image: uint8 RGB [H, W, 3]. None to handle keys only, while there is no new image.
            wait_ms: Time to wait for a key. 0 waits until one is pressed or the window is closed.

        Returns:
            False if q or Escape was pressed or the window was closed, else True.
        """
        if image is not None:
            scale = min(1.0, _MAX_SIDE_PX / max(image.shape[:2]))
            if scale < 1:
                image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
            self._times_s.append(time.monotonic())
            if len(self._times_s) > 1:
                draw_rate(image, (len(self._times_s) - 1) / np.ptp(self._times_s))
            cv2.imshow(self._title, image)
        key = cv2.waitKey(wait_ms) if wait_ms else self._wait_for_key()
        if key & 0xFF == ord(" ") and wait_ms:
            key = self._wait_for_key()
            self._times_s.clear()
        return key & 0xFF not in (27, ord("q")) if key >= 0 else self._is_open()

    def close(self) -> None:
        """Closes the window."""
        cv2.destroyAllWindows()

    def _wait_for_key(self) -> int:
        """Returns the next key; -1 if the window was closed."""
        while (key := cv2.waitKey(_POLL_MS)) < 0 and self._is_open():
            pass
        return key

    def _is_open(self) -> bool:
        return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1


def draw_rate(image: np.ndarray, images_per_s: float) -> None:
    """Writes the rate into the upper left corner of an image [H, W, 3]."""
    text, origin, font = f"{images_per_s:.0f} frames/s", (8, 20), cv2.FONT_HERSHEY_SIMPLEX
    for thickness, color in ((3, (0, 0, 0)), (1, (255, 255, 255))):
        cv2.putText(image, text, origin, font, 0.5, color, thickness, cv2.LINE_AA)


@contextmanager
def open_window(title: str, *, wanted: bool = True) -> Iterator[Callable[..., bool] | None]:
    """Yields `Window.show` of a window; None if it is not wanted.

    Raises:
        OSError: If no window can be opened.
    """
    if not wanted:
        yield None
        return
    window = Window(title)
    try:
        yield window.show
    finally:
        window.close()
