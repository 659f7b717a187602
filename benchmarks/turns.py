"""Alternating time measurements, so that a drift of the machine's speed affects all alike."""

import itertools
import time

import numpy as np


def take_turns(
    steps: dict, batch_size: int, repeats: int, seconds: float = 1.5, clock=time.perf_counter
) -> dict:
    """Measures functions alternately.

    Args:
        steps: Functions by name; each processes one batch.
        batch_size: Number of faces per batch.
        repeats: Number of measurements of each function.
        seconds: Approximate duration of one measurement.
        clock: Function that returns seconds. On a machine that other processes use, too,
            `time.process_time`, the time of all threads of this process.

    Returns:
        Faces per second [repeats] by name.
    """
    counts = {}
    for name, step in steps.items():
        for _ in range(5 if seconds >= 1 else 1):
            step()
        started = clock()
        step()
        counts[name] = max(1, round(seconds / (clock() - started)))
    rates = {name: [] for name in steps}
    for turn in range(repeats):
        for name, step in reversed(steps.items()) if turn % 2 else steps.items():
            time.sleep(0.2)  # until idle threads of the other function sleep
            step()
            started = clock()
            for _ in range(counts[name]):
                step()
            rates[name].append(batch_size * counts[name] / (clock() - started))
    return {name: np.array(values) for name, values in rates.items()}


def rate(step, faces: int, seconds: float = 3.0, clock=time.perf_counter) -> float:
    """Returns the faces per second of a function that processes ``faces`` of them per call.

    Args:
        step: Processes ``faces`` faces per call.
        faces: Their number.
        seconds: Duration of the measurement.
        clock: See `take_turns`.
    """
    for _ in range(10):
        step()
    started = clock()
    for count in itertools.count(1):
        step()
        if clock() - started > seconds:
            return count * faces / (clock() - started)


def processor_ms(step, faces: int, seconds: float = 3.0) -> float:
    """Returns the milliseconds of processor time per face, of all threads; see `rate`."""
    return 1e3 / rate(step, faces, seconds, time.process_time)
