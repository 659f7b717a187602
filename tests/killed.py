"""Commands that are killed at chosen moments: python killed.py KIND FOLDER SEED.

Everything is imported once, without a thread; each run is a fork. A hook counts its events: each
file that is opened, renamed or removed in its output folder, and each step (a face, an image, a
frame or a batch). The run is killed by SIGKILL at one of them, or by the system in the middle of a
write, at a given number of bytes of a file (SIGXFSZ). Then the same run is started again, to its
end or, in a chain, until the next kill. Whole outputs must equal those of an uninterrupted run.
"""

import contextlib
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import sys
import traceback

from killed_commands import COMMANDS, STEP, files_of

NUM_KILLS, NUM_CUTS = 6, 2
_FILE_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}


def main():
    """Kills runs of a kind; prints the signals, and the numbers of events before them."""
    kind, folder, seed = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    source = folder / "source"
    source.mkdir()
    run, result, chain = COMMANDS[kind](source)
    assert len(os.listdir("/proc/self/task")) == 1  # or a fork would lack the others
    whole = folder / "whole"
    status, events = _fork(run, whole)
    assert not status
    expected = result(whole)
    largest = max(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    draw = random.Random(seed)
    places = [draw.uniform(i, i + 1) / NUM_KILLS for i in range(NUM_KILLS)]
    moments = [{"event": 1 + int(place * (chain or 1) * (events - 1))} for place in places]
    moments += [{"num_bytes": int(draw.uniform(1, 0.9 * largest))} for _ in range(NUM_CUTS)]
    draw.shuffle(moments)
    killed, num_outputs, output = [], 0, None
    while moments:
        if output is None:
            num_outputs += 1
            output = folder / f"output{num_outputs}"
        status, seen = _fork(run, output, **moments[-1])
        if os.WIFSIGNALED(status):
            killed.append([os.WTERMSIG(status), seen])
            moments.pop()
        elif status or chain is None or num_outputs > NUM_KILLS + NUM_CUTS:
            sys.exit(f"The run after kills at {killed} ended with status {status}.")
        if result is files_of:
            for name, content in files_of(output).items():
                if not expected.get(name, content).startswith(content):
                    sys.exit(f"A run that was killed at {killed[-1]} left another {name}.")
        if chain is None or not os.WIFSIGNALED(status):
            _complete(run, output, result, expected, killed)
            output = None
    if output is not None:
        _complete(run, output, result, expected, killed)
    print(json.dumps({"events": events, "killed": killed}))


def _complete(run, output, result, expected, killed):
    status, _ = _fork(run, output)
    if status:
        sys.exit(f"The run after kills at {killed} ended with status {status}.")
    found = result(output)
    if found != expected:
        names = sorted(k for k in {*found, *expected} if found.get(k) != expected.get(k))
        sys.exit(f"The run after kills at {killed} differs in {names}.")
    shutil.rmtree(output)


def _fork(run, output, event=None, num_bytes=None):
    """Runs in a fork; returns its status, as of `os.waitpid`, and the number of its events."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        with contextlib.suppress(BaseException):
            _run_and_exit(run, output, event, num_bytes, writer)
        os._exit(1)
    os.close(writer)
    with open(reader, "rb") as pipe:
        seen = pipe.read().count(b".")
    return os.waitpid(child, 0)[1], seen


def _run_and_exit(run, output, event, num_bytes, writer):
    count, inside = 0, str(output)

    def watch(name, arguments):
        nonlocal count
        if name == STEP or (
            name in _FILE_EVENTS
            and isinstance(arguments[0], (str, os.PathLike))
            and os.fspath(arguments[0]).startswith(inside)
        ):
            count += 1
            os.write(writer, b".")
            if count == event:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    if num_bytes is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))
    try:
        run(output)
        os._exit(0)
    except BaseException as error:
        if isinstance(error, SystemExit) and not error.code:
            os._exit(0)
        traceback.print_exc()
        os._exit(1)


if __name__ == "__main__":
    main()
