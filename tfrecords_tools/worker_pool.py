"""Worker processes of the record writer, which outlive a face that crashes them."""

import collections
import concurrent.futures
import contextlib
import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool

import cv2

from tfrecords_tools.sources.base import Item
from tfrecords_tools.square_crops import CroppedFace
from wing_tf.utils.parent_watch import end_with_parent

CropItem = Callable[[Item], CroppedFace]

_CHUNK = 16  # faces that are sent to a process at once
_CRASHED = (
    "the process that read {} ended twice: a decoder crashed, or the system ended it for lack of "
    "memory"
)


@contextlib.contextmanager
def crop_ahead(
    crop_item: CropItem, items: list[Item], num_processes: int | None
) -> Iterator[Iterator[CroppedFace]]:
    """Yields an iterator over the cropped faces, in order, computed ahead by worker processes.

    If a process is killed, its faces are cropped again. A face whose process is killed twice when
    it crops this face alone is not usable. All processes end with this one, even if it is killed.

    Args:
        crop_item: Crops one face.
        items: The faces.
        num_processes: Number of processes; 0 for none. Defaults to one per core.

    Raises:
        RuntimeError: If the processes can't start.
    """
    if num_processes is None:
        num_processes = min(_num_cores(), 1 + len(items) // 64)
    if num_processes <= 1:
        yield map(crop_item, items)
        return
    # With one process per core, BLAS needs no threads of its own; it reads these variables when it
    # is loaded.
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    former = {name: os.environ.get(name) for name in single}
    os.environ.update(single)
    workers = _Workers(crop_item, num_processes)
    try:
        yield workers.crop_in_order(items, max_pending=max(16, 2 * num_processes))
    finally:
        workers.close()
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return multiprocessing.cpu_count()


class _Workers:
    """A pool of processes that is replaced when one of them is killed."""

    def __init__(self, crop_item: CropItem, num_processes: int):
        self._crop_item = crop_item
        self._num_processes = num_processes
        self._pool = self._new_pool()
        try:
            self._pool.submit(os.getpid).result()
        except BrokenProcessPool:
            self.close()
            raise RuntimeError(
                "The worker processes did not start. A script that writes records must do so under "
                '`if __name__ == "__main__":`, because they import it; or pass num_processes=0.'
            ) from None

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def crop_in_order(self, items: list[Item], *, max_pending: int) -> Iterator[CroppedFace]:
        """Keeps at most `max_pending` chunks in flight: memory does not grow with the data."""
        chunks = (items[i : i + _CHUNK] for i in range(0, len(items), _CHUNK))
        pending: collections.deque = collections.deque()
        while True:
            for chunk in itertools.islice(chunks, max_pending - len(pending)):
                pending.append((chunk, self._submit(chunk)))
            if not pending:
                return
            chunk, future = pending.popleft()
            try:
                faces = future.result()
            except BrokenProcessPool:
                # All chunks in flight are lost, and it is unknown which one was to blame.
                lost = [chunk, *(other for other, _ in pending)]
                pending.clear()
                self._restart()
                for chunk in lost:
                    yield from self._crop_alone(chunk)
            else:
                yield from faces

    def _crop_alone(self, chunk: list[Item]) -> list[CroppedFace]:
        """Crops a chunk with nothing else in flight, face by face if that fails."""
        for _ in range(2 if len(chunk) == 1 else 1):
            try:
                return self._submit(chunk).result()
            except BrokenProcessPool:
                self._restart()
        if len(chunk) == 1:
            return [CroppedFace(reason=_CRASHED.format(chunk[0].source_image))]
        return [face for item in chunk for face in self._crop_alone([item])]

    def _submit(self, chunk: list[Item]) -> concurrent.futures.Future:
        try:
            return self._pool.submit(_crop_chunk, self._crop_item, chunk)
        except BrokenProcessPool as error:
            future: concurrent.futures.Future = concurrent.futures.Future()
            future.set_exception(error)
            return future

    def _restart(self) -> None:
        self.close()
        self._pool = self._new_pool()

    def _new_pool(self) -> concurrent.futures.ProcessPoolExecutor:
        # Spawned, not forked: this process has TensorFlow's threads.
        return concurrent.futures.ProcessPoolExecutor(
            self._num_processes,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
        )


def _crop_chunk(crop_item: CropItem, items: list[Item]) -> list[CroppedFace]:
    return [crop_item(item) for item in items]


def _start_worker() -> None:
    end_with_parent()
    cv2.setNumThreads(1)
