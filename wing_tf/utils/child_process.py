"""Calls in a child process, for native parsers that damaged files can crash.

A crash in C or C++ code ends the process, and no ``except`` sees it. Files from outside are
therefore opened in a child process first. It starts at the first call (Python alone, about 50 ms,
plus what the function imports), serves all calls of its process, and ends after some idle time and
with its parent. Scripts need no ``if __name__ == "__main__":`` for it.
"""

import atexit
import hashlib
import os
import pickle
import queue
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

_IDLE_S = 10.0
_LIMIT_S = 600.0  # of a call: a damaged file may let a parser run forever
# "" is the current folder, which `-c` adds: modules of that name there must not run.
_START = (
    "import sys; sys.path[:] = filter(None, sys.path); "
    "import pickle; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from wing_tf.utils.child_process import serve; serve()"
)
_KINDS = (ImportError, OSError, MemoryError)  # other errors are ValueErrors in the parent

_lock = threading.Lock()
_child: "_Child | None" = None
_inherited: list[Any] = []  # children of the parent of a forked process, which are left alone
_trusted: set[tuple[str, str]] = set()


def trust(sha256: str) -> None:
    """Marks a content as one that `try_in_child` need not try, as it is a known file."""
    _trusted.add(("", sha256))


def try_in_child(
    function: Callable[[bytes, Any], None], content: bytes, path: Any, *, reader: str
) -> None:
    """Opens a file in a child process, unless it is trusted or this process did so before.

    Args:
        function: Function, of a module that can be imported, of `content` and `path`, which tries
            the content and returns None. It raises an error whose message names the path.
        content: The content of the file.
        path: The path, for messages.
        reader: The library that reads the file, for messages.

    Raises:
        ValueError, ImportError, OSError, MemoryError: If the function raises an error of the kind,
            or if it crashes or runs for ten minutes.
    """
    digest = hashlib.sha256(content).hexdigest()
    key = (f"{function.__module__}.{function.__qualname__}", digest)
    if not _trusted & {key, ("", digest)}:
        call_in_child(function, content, path, path=path, reader=reader)
        _trusted.add(key)


def call_in_child(function: Callable[..., Any], *arguments: Any, path: Any, reader: str) -> Any:
    """Returns the value of a function that was called in a child process.

    Args:
        function: Function of a module that can be imported. It must not change global state.
        *arguments: Its arguments, which are pickled. Paths must be absolute.
        path: The file that it reads, for messages.
        reader: The library that reads the file, for messages.

    Raises:
        ValueError, ImportError, OSError, MemoryError: If the function raises an error of the kind,
            or if it crashes or runs for ten minutes.
    """
    global _child
    request = pickle.dumps(pickle.dumps((function, arguments)))
    with _lock:
        is_new = False
        while True:
            if _child is None:
                _child, is_new = _Child(), True
            try:
                error, value = _child.ask(request, limit_s=_LIMIT_S)
                break
            except (EOFError, OSError, pickle.UnpicklingError):
                _child.close()
                _child = None
                if is_new:  # else it may have ended since it was idle
                    raise ValueError(
                        f"{path} is damaged: it crashes {reader}, or takes more memory than there "
                        f"is or more than {_LIMIT_S:g} seconds. Copy or download it again."
                    ) from None
            except BaseException:  # Ctrl-C: the answer would be taken for that of the next call
                _child.close()
                _child = None
                raise
    if error is not None:
        raise error(value)
    return value


class _Child:
    """A process that runs `serve`. Raises OSError if it does not start."""

    def __init__(self) -> None:
        import subprocess
        from multiprocessing.spawn import get_executable

        python = os.fsdecode(get_executable() or "")
        failure = OSError(
            f"{python or 'This program'} can't run Python code, which is needed to open files in a "
            "child process. Name a Python by multiprocessing.set_executable."
        )
        # A program that PyInstaller made would run itself, and that itself, and so on.
        if not python or (getattr(sys, "frozen", False) and python == sys.executable):
            raise failure
        self.process = subprocess.Popen(
            [python, "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            self.ask(pickle.dumps(sys.path))
        except Exception:  # other programs, and a sitecustomize, may print anything
            self.close()
            raise failure from None

    def ask(self, request: bytes, limit_s: float | None = None) -> Any:
        """Sends a pickle and returns the answer. Raises EOFError or OSError if there is none."""
        requests, answers = self.process.stdin, self.process.stdout
        if requests is None or answers is None:
            raise EOFError
        limit = threading.Timer(limit_s or 0.0, self.process.kill)
        limit.daemon = True
        if limit_s is not None:
            limit.start()
        try:
            requests.write(request)
            requests.flush()
            return pickle.load(answers)
        finally:
            limit.cancel()

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.communicate()


def serve() -> None:
    """Answers requests from stdin until there are none for some time, or the parent ends."""
    answers = os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "wb") as nothing:  # what libraries print is no answer
        os.dup2(nothing.fileno(), 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    _write_no_core_files()
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    answer = pickle.dumps((None, None))
    while True:
        answers.write(answer)
        answers.flush()
        try:
            request = requests.get(timeout=_IDLE_S)
        except queue.Empty:
            os._exit(0)
        try:
            function, arguments = pickle.loads(request)
            answer = pickle.dumps((None, function(*arguments)))
        except Exception as error:
            kind = next((k for k in _KINDS if isinstance(error, k)), ValueError)
            text = " ".join(str(error).split()) or type(error).__name__
            answer = pickle.dumps((kind, text))


def _read_requests(requests: "queue.SimpleQueue[bytes]") -> None:
    try:
        while True:
            requests.put(pickle.load(sys.stdin.buffer))
    except BaseException:  # the parent has ended
        os._exit(0)


def _write_no_core_files() -> None:
    try:
        import resource
    except ModuleNotFoundError:  # on Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _close() -> None:
    if _child is not None:
        _child.close()


def _after_fork() -> None:
    global _child, _lock
    _inherited.append(_child)
    _child, _lock = None, threading.Lock()


atexit.register(_close)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
