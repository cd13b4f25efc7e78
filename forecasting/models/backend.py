"""TensorFlow and Keras, imported without their startup messages and configured to be deterministic.

Import both from here. The import takes several seconds: import this module only where a network is trained or
used.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# TensorFlow 2.21 logs these lines while its shared libraries load, whatever TF_CPP_MIN_LOG_LEVEL is.
_STARTUP_LINES = re.compile(rb"WARNING: All log messages before absl::InitializeLog|[IW]\d{4} ")
# Later lines obey this variable. Its "errors" say that there is no GPU; real errors are raised as exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


@contextmanager
def _without_startup_lines() -> Iterator[None]:
    """Capture standard error, and at the end write out every line that is not a startup message."""
    standard_error = 2
    saved = os.dup(standard_error)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), standard_error)
        try:
            yield
        finally:
            os.dup2(saved, standard_error)
            os.close(saved)
            held.seek(0)
            for line in held:
                if not _STARTUP_LINES.match(line):
                    os.write(standard_error, line)


with _without_startup_lines():
    import keras
    import tensorflow as tf

    # Equal inputs give equal bits on the same type of processor. The oneDNN kernels stay on: their order of
    # summation depends on the processor type, but not on its load or the number of free cores.
    tf.config.experimental.enable_op_determinism()

__all__ = ["keras", "tf"]
