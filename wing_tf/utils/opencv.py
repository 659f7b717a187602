"""Import of OpenCV where it is optional."""

from types import ModuleType


def require_opencv() -> ModuleType:
    """Returns the module ``cv2``.

    Raises:
        ImportError: If OpenCV is not installed; it says how to install it.
    """
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise ImportError(
            "OpenCV is needed for image files and for the detectors 'haar' and 'yunet': "
            "pip install opencv-python."
        ) from error
    return cv2
