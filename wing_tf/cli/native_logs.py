"""Filter of the log lines that TensorFlow, XLA and LiteRT write to standard error."""

import io
import os
import pathlib
import re
import signal
import sys
from typing import BinaryIO

from wing_tf.utils.printable import printable

# The C++ libraries write to file descriptor 2 by themselves. TF_CPP_MIN_LOG_LEVEL has no effect
# before TensorFlow 2.21 is imported completely, and none on LiteRT.
_NOISE = re.compile(
    rb"[IW]0000 00:00:|\d{4}-\d\d-\d\d \S+ [IW] "  # levels INFO and WARNING, new and old format
    rb"|WARNING: All log messages before absl::InitializeLog"
    rb"|To enable the following instructions: "  # the second line of cpu_feature_guard's
    rb"|fully_quantize: "  # the settings of LiteRT's quantizer
    rb"|INFO: (Created|Initialized) TensorFlow Lite"
    # LiteRT's converter reads graphs of a newer format than its own.
    rb"|E0000 .*node_def_util\.cc:\d+\] NodeDef mentions attribute"
)
_NO_GPU = re.compile(rb"failed call to cuInit|Unable to register cu\w+ factory")
_NVIDIA_DRIVER = pathlib.Path("/proc/driver/nvidia/version")


def filter_native_logs() -> None:
    """Drops native log lines below the level ERROR from now on; all other lines still show.

    File descriptor 2 is read by a forked process, which also shows what a crash writes last.
    ``sys.stderr`` writes to the original stream directly. Call this before TensorFlow is imported.
    Does nothing on systems without ``fork``, or if TF_CPP_MIN_LOG_LEVEL is 0 or 1, which asks for
    the log.
    """
    level = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if not hasattr(os, "fork") or level in ("0", "1"):
        return
    sys.stderr.flush()
    original = os.dup(2)
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(writer)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # ends when the last writer has ended
        _copy(os.fdopen(reader, "rb"), original)
        os._exit(0)
    os.close(reader)
    os.dup2(writer, 2)
    os.close(writer)
    sys.stderr = io.TextIOWrapper(
        os.fdopen(original, "wb", buffering=0), errors="backslashreplace", write_through=True
    )


def is_noise(line: bytes) -> bool:
    """Returns whether a line of a native log is of no use to a user."""
    if _NO_GPU.search(line):
        return not _NVIDIA_DRIVER.exists()
    return _NOISE.match(line) is not None


def _copy(lines: BinaryIO, target: int) -> None:
    for line in lines:
        if not is_noise(line):
            text = printable(line.decode(errors="surrogateescape"), keep="\n\r\t")
            os.write(target, text.encode())
