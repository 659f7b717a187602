"""Text files to which complete lines are appended, also by resumed runs."""

import contextlib
import os
import pathlib

from wing_tf.utils.atomic import WriteError
from wing_tf.utils.text_files import encode_text


class AppendedFile:
    """Text file to which text is appended, all of it or nothing.

    Args:
        path: The file; created if it does not exist.
        length: Number of bytes to keep of its content. Defaults to its complete lines.
        header: Text of a new file.
        durable: Whether the text is on the disk when `append` returns.

    Raises:
        WriteError: If it can't be written.
    """

    def __init__(
        self,
        path: pathlib.Path,
        *,
        length: int | None = None,
        header: str = "",
        durable: bool = True,
    ):
        self.path, self._durable = path, durable
        is_new = not path.exists()
        self._length = len(encode_text(complete_lines(path))) if length is None else length
        try:
            self._file = path.open("ab", buffering=0)
            self._file.truncate(self._length)
        except OSError as error:
            raise WriteError(error.errno, error.strerror, str(path)) from error
        if not self._length:
            try:
                self.append(header)
            except OSError:
                self.close()
                if is_new:
                    path.unlink(missing_ok=True)
                raise

    def append(self, text: str) -> None:
        """Appends a text.

        Raises:
            WriteError: If it can't be written, such as on a full disk, or is no longer there; then
                the file is as before.
        """
        data = memoryview(encode_text(text))
        try:
            left = data
            while left:
                left = left[self._file.write(left) :]
            self.path.stat()  # else its folder was moved or removed
            if self._durable:
                os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(self._length)
            raise WriteError(error.errno, error.strerror, str(self.path)) from error
        self._length += len(data)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def complete_lines(path: pathlib.Path) -> str:
    """Returns the text of a file up to its last line end; empty if there is no file."""
    data = path.read_bytes() if path.exists() else b""
    return data[: data.rfind(b"\n") + 1].decode(errors="surrogateescape")
