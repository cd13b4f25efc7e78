"""TensorFlow and Keras, imported without their chatter and set up to give the same answer every time.

Import them from here, and this module only where a network is trained or used: it takes some seconds.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# TensorFlow 2.21 logs this from its shared libraries as they load, whatever TF_CPP_MIN_LOG_LEVEL says.
_CHATTER = re.compile(rb"WARNING: All log messages before absl::InitializeLog|[IW]\d{4} ")
# After that it heeds this. Its "errors" are a missing GPU; real ones are raised.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Hold back what is written to standard error, and let through at the end what is not chatter."""
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
                if not _CHATTER.match(line):
                    os.write(standard_error, line)


with _without_chatter():
    import keras
    import tensorflow as tf

    # The same bits for the same input on the same kind of processor. Its oneDNN kernels stay on: they choose
    # the order of summation by the processor, but not by its load or how many cores are free.
    tf.config.experimental.enable_op_determinism()

__all__ = ["keras", "tf"]
