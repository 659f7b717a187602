"""What all commands share: errors as one line, and a Keras backend that fits."""

import os
import sys
from collections.abc import Callable

from absl import app


def run(main: Callable[[], None]) -> None:
    """Runs a command: flags are parsed before ``main`` may import TensorFlow.

    A bad input (ValueError, OSError, FloatingPointError) ends it with one line and status 1.
    """
    # The training and data parts are TensorFlow's, whatever backend Keras is set to.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

    def guarded(argv):
        if len(argv) > 1:
            raise app.UsageError(f"Unexpected argument: {argv[1]}")
        try:
            main()
        except (ValueError, OSError, FloatingPointError) as error:
            sys.exit(f"error: {error}")

    app.run(guarded)
