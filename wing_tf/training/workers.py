"""Workers: the processes that train one network together, on one machine or many."""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from wing_tf.training.watchdog import Watchdog

# What TensorFlow raises where another worker has ended, is stopped or can't be reached.
_LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.UnavailableError,
)


class Workers:
    """This process and the others that train the same network with it.

    All of them run the same program. Its methods are collective: each waits until all workers have
    called it, unless it says otherwise. The first worker is the chief, which validates, logs and
    writes.

    Args:
        strategy: The strategy over the devices of all workers; None for one device.
        index: The index of this worker.
        count: The number of workers.
        watchdog: Ends this process when a worker hangs.

    Attributes:
        strategy, index, count: The arguments.
        is_chief: Whether this is the first worker.
        num_replicas: The number of devices of all workers.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy | None = None,
        *,
        index: int = 0,
        count: int = 1,
        watchdog: Watchdog | None = None,
    ):
        self.strategy, self.index, self.count = strategy, index, count
        self.is_chief = index == 0
        self.num_replicas = strategy.num_replicas_in_sync if strategy else 1
        self._watchdog = watchdog

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        """Ends the watchdog; names the reason of errors that other workers cause.

        Raises:
            ConnectionError: If a worker has ended or can't be reached.
        """
        if self._watchdog is not None:
            self._watchdog.close()
        if self.count > 1 and isinstance(error, _LOST):
            raise ConnectionError(
                f"Worker {self.index} of {self.count} has lost another one, which has ended, is "
                "stopped or can't be reached. Start all workers again to resume."
            ) from error

    def scope(self) -> contextlib.AbstractContextManager:
        """Returns the context in which variables are created. Not collective."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def report_progress(self) -> None:
        """Tells the watchdog that this worker does not hang. Not collective."""
        if self._watchdog is not None:
            self._watchdog.report_progress()

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Returns callbacks for `fit` that report progress. Not collective."""
        if self._watchdog is None:
            return []
        return [
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: self.report_progress(),
                on_train_batch_end=lambda batch, logs: self.report_progress(),
            )
        ]

    def share(self, values: float | Sequence[float] | np.ndarray) -> np.ndarray:
        """Returns the chief's numbers on all workers.

        Args:
            values: Numbers of any shape; only the shape counts on workers that are not the chief.

        Returns:
            float64, of the same shape.
        """
        own = np.asarray(values, np.float64)
        return self._sum(own if self.is_chief else np.zeros_like(own))

    def run_on_chief(self, function: Callable[[], float | None]) -> float:
        """Calls a function on the chief; returns its number, or 0, on all workers.

        Raises:
            ValueError: On the others, if the function raises an error on the chief.
        """
        if self.count == 1:
            return float(function() or 0)
        error, value = None, 0.0
        if self.is_chief:
            try:
                value = float(function() or 0)
            except Exception as raised:
                error = raised
        failed, value = self.share([float(error is not None), value])
        if error is not None:
            raise error
        if failed:
            raise ValueError("The first worker has ended with an error, which its output has.")
        return float(value)

    def share_variables(self, variables: Iterable[keras.Variable]) -> None:
        """Assigns the chief's values to variables."""
        if self.count == 1:
            return
        variables = list(variables)
        arrays = [keras.ops.convert_to_numpy(variable) for variable in variables]
        # float64 holds all values of float32, and integers up to 2^53.
        flat = self.share(np.concatenate([np.ravel(array) for array in arrays]))
        ends = np.cumsum([array.size for array in arrays])
        for variable, array, part in zip(variables, arrays, np.split(flat, ends[:-1]), strict=True):
            variable.assign(part.reshape(array.shape).astype(array.dtype))

    def check_same(self, facts: Mapping[str, object]) -> None:
        """Checks that facts are the same on all workers.

        Args:
            facts: Values that `repr` tells apart, by what they are called.

        Raises:
            ValueError: On all workers, if one has other values than the chief.
        """
        digests = [hashlib.sha256(repr(value).encode()).digest() for value in facts.values()]
        own = np.array([int.from_bytes(digest[:6], "big") for digest in digests], np.float64)
        differing = self._sum((own != self.share(own)).astype(np.float64))
        names = [name for name, count in zip(facts, differing, strict=True) if count]
        if names:
            raise ValueError(
                f"All workers must have the same {' and '.join(names)}. "
                f"{int(differing.max())} of {self.count} differ from the first worker."
            )

    def distribute(self, make_batches: Callable[[int, int], tf.data.Dataset]):
        """Returns what `fit` takes. Not collective.

        Args:
            make_batches: Function of the index and the number of the workers to an endless dataset
                of a worker's equal slice of each batch.
        """
        if self.count == 1 or self.strategy is None:
            return make_batches(0, 1)
        num_devices = self.num_replicas // self.count

        def slices(context):
            batches = make_batches(self.index, self.count)
            if num_devices > 1:
                size = tf.nest.flatten(batches.element_spec)[0].shape[0]
                batches = batches.rebatch(size // num_devices)
            # Otherwise, the workers would ask each other before each step whether there is data.
            endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
            return batches.apply(endless)

        return self.strategy.distribute_datasets_from_function(slices)

    def _sum(self, values: np.ndarray) -> np.ndarray:
        """Returns the sum over the workers."""
        if self.count == 1 or self.strategy is None:
            return values
        self.report_progress()
        num_devices = self.num_replicas // self.count

        def of_device(context):
            is_first = context.replica_id_in_sync_group % num_devices == 0
            return tf.constant(values if is_first else np.zeros_like(values))

        parts = self.strategy.experimental_distribute_values_from_function(of_device)
        total = self.strategy.reduce(tf.distribute.ReduceOp.SUM, parts, axis=None).numpy()
        self.report_progress()
        return total
