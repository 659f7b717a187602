"""Addresses of live sources, and connections to them by PyAV."""

import errno
import re
import socket
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wing_tf.inference.video_file import limit_pixels
from wing_tf.utils.image_size import MAX_PIXELS
from wing_tf.utils.pyav import require_pyav

if TYPE_CHECKING:
    import av
else:
    av = require_pyav()

SCHEMES = ("http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "tcp", "udp")
# A playlist of a server must not make FFmpeg open files of this machine.
_PROTOCOLS = "crypto,data,hls,http,https,httpproxy,rtmp,rtmps,rtp,rtsp,rtsps,srtp,tcp,tls,udp"
_SECRETS = (
    "pass|password|passwd|pwd|token|access_token|auth|key|apikey|api_key|secret|sig|signature"
)


def without_password(url: str) -> str:
    """Returns a URL whose password, and values of queries that are named like one, are ``***``.

    Examples:
        >>> without_password("rtsp://user:1234@camera:554/live?channel=1&token=ab")
        'rtsp://user:***@camera:554/live?channel=1&token=***'
    """
    scheme, user, address = _parts(url)
    user = re.sub(":.*@", ":***@", user, flags=re.S)
    address = re.sub(rf"([?&;](?:{_SECRETS})=)[^&;#]*", r"\1***", address, flags=re.I)
    return scheme + user + address


def source_name(source: str | int) -> str:
    """Returns a name for files: of a camera its number, of a URL its host and path.

    Examples:
        >>> source_name("rtsp://user:1234@camera:554/live/main?token=ab")
        'camera_554_live_main'
        >>> source_name(0)
        'camera_0'
    """
    if isinstance(source, int):
        return f"camera_{source}"
    address = _parts(source)[2].partition("?")[0]
    return re.sub(r"[^A-Za-z0-9.-]+", "_", address).strip("_.") or "live"


def shown_source(source: str | int) -> str:
    """Returns the name of a source in messages."""
    return f"Camera {source}" if isinstance(source, int) else without_password(source)


def connect(
    source: str | int,
    *,
    open_timeout_s: float,
    read_timeout_s: float,
    options: Mapping[str, str] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> "av.container.InputContainer":
    """Opens a live source.

    Args:
        source: URL, or number of a camera.
        open_timeout_s: Maximum time until the format is known.
        read_timeout_s: Maximum time of each later read.
        options: Options of FFmpeg's protocol, device or demuxer.
        max_pixels: Maximum number of pixels of a frame; FFmpeg decodes no larger ones.

    Returns:
        The container; it has a video stream.

    Raises:
        ValueError: If the source can't be opened or has no video.
    """
    file, format, defaults = str(source), None, {"protocol_whitelist": _PROTOCOLS}
    if isinstance(source, int):
        if sys.platform == "darwin":
            format, defaults = "avfoundation", {"framerate": "30"}
        else:
            file, format, defaults = f"/dev/video{source}", "v4l2", {}
    elif _scheme_of(source).startswith("rtsp"):
        defaults["rtsp_flags"] = "prefer_tcp"  # UDP loses packets
    elif _scheme_of(source) in ("http", "https"):
        # Of recordings: FFmpeg asks for the rest.
        defaults |= {"reconnect": "1", "reconnect_delay_max": "8"}
    elif _scheme_of(source) not in SCHEMES:
        raise ValueError(
            f"The URL of a video must start with one of {', '.join(f'{s}://' for s in SCHEMES)}. "
            f"Received: {without_password(source)}."
        )
    try:
        container = av.open(
            file,
            format=format,
            options={**defaults, **(options or {}), "max_pixels": str(max_pixels)},
            timeout=(open_timeout_s, read_timeout_s),
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ValueError(f"{shown_source(source)}: {reason_of(error, source)}.") from None
    if not container.streams.video:
        container.close()
        raise ValueError(f"{shown_source(source)}: it has no video stream.")
    if (decoder := container.streams.video[0].codec_context) is not None:
        limit_pixels(shown_source(source), decoder, max_pixels)
    return container


def _parts(url: str) -> tuple[str, str, str]:
    """Returns a URL's scheme with ``://``, user and password with ``@``, and the rest."""
    start = url.find("://") + 3
    host = re.compile("[^/?#]*").match(url, start)
    end = host[0].rfind("@") + start if host and "@" in host[0] else -1
    if end < 0 and host and re.search(r":(?!\d*$)", host[0]):
        end = url.rfind("@")  # a password with "/" in it, which is not valid
    return url[:start], url[start : end + 1], url[max(start, end + 1) :]


def _scheme_of(url: str) -> str:
    """Returns the scheme of a URL, in lower case."""
    return url.partition("://")[0].lower()


def reason_of(error: Exception, source: str | int) -> str:
    """Returns what an error of FFmpeg means, without the address, which may hold a password."""
    code = getattr(error, "errno", None)
    if isinstance(source, int):
        device = "" if sys.platform == "darwin" else f" (/dev/video{source})"
        if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            return f"there is no such camera{device}"
        if code == errno.EBUSY:
            return f"it is in use by another program{device}"
        if code in (errno.EACCES, errno.EPERM):
            return f"there is no permission to read it{device}"
        return f"it can't be opened as a camera{device}: {getattr(error, 'strerror', error)}"
    if isinstance(error, av.error.ExitError | TimeoutError):
        return "there was no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused. Check the port, and that the server runs"
    if code == errno.EIO:
        return "the connection failed" if _is_known_host(source) else "its host is not known"
    if isinstance(error, av.error.InvalidDataError):
        return "it is not a video that can be read"
    if isinstance(error, av.error.EOFError):
        return "it ended without a video"
    return getattr(error, "strerror", None) or "it can't be opened"


def _is_known_host(url: str) -> bool:
    try:
        socket.getaddrinfo(urlsplit(url).hostname or "", None)
    except (OSError, ValueError):
        return False
    return True
