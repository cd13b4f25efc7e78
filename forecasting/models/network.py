"""The default network's forward pass in numpy: a stored `.keras` file forecasts without TensorFlow.

Stacked LSTM layers read the context in patches of five bars. Their last state, joined with the inputs at the
origin, goes through two dense layers, whose outputs are the parameters of a fan of quantiles. A test checks
that the outputs equal those of Keras.
"""

import io
import zipfile
from dataclasses import dataclass
from typing import Self

import numpy as np

from forecasting.digests import digest_arrays
from forecasting.errors import ModelError

_WEIGHTS = "model.weights.h5"
_UNREADABLE = (OSError, KeyError, ValueError, zipfile.BadZipFile)
# Windows computed at once: enough for fast matrix products, few enough for the processor's cache.
_BATCH = 1024


@dataclass(frozen=True)
class Network:
    """The weights of the default network.

    Attributes:
        lstm: of each LSTM layer, the kernel (inputs, 4 units), the recurrent kernel (units, 4 units) and the
            bias (4 units,); gates in the order of Keras: input, forget, cell, output.
        hidden: kernel and bias of the dense layer after them.
        out: kernel and bias of the last layer.
    """

    lstm: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]
    hidden: tuple[np.ndarray, np.ndarray]
    out: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, weights: list[np.ndarray]) -> Self:
        """From the list that `get_weights` of the Keras model returns."""
        *lstm, hidden, hidden_bias, out, out_bias = weights
        layers = tuple((lstm[i], lstm[i + 1], lstm[i + 2]) for i in range(0, len(lstm), 3))
        return cls(layers, (hidden, hidden_bias), (out, out_bias))

    @classmethod
    def read(cls, model_bytes: bytes) -> Self:
        """Read the weights of a `.keras` file.

        Raises:
            ModelError: the bytes are not such a network.
        """
        import h5py  # noqa: PLC0415 - takes a tenth of a second to import

        try:
            with zipfile.ZipFile(io.BytesIO(model_bytes)) as archive:
                weights = archive.read(_WEIGHTS)
            with h5py.File(io.BytesIO(weights)) as file:
                layers = file["layers"]
                cells = [
                    layers[name]["cell"]["vars"] for name in sorted(layers, key=_place) if "lstm" in name
                ]
                dense = [layers[name]["vars"] for name in ("dense", "dense_1")]
                arrays = [group[str(i)][()] for group in cells for i in range(3)]
                return cls.of(arrays + [group[str(i)][()] for group in dense for i in range(2)])
        except _UNREADABLE as error:
            raise ModelError(f"the stored network is damaged ({type(error).__name__}: {error})") from error

    @property
    def inputs_at_origin(self) -> int:
        """Number of inputs at the origin."""
        return len(self.hidden[0]) - len(self.lstm[-1][1])

    @property
    def digest(self) -> str:
        """A digest of the weights."""
        return digest_arrays(*(array for layer in self.lstm for array in layer), *self.hidden, *self.out)

    def __call__(self, contexts: np.ndarray, at_origin: np.ndarray) -> np.ndarray:
        """(B, 28) float32 outputs, from contexts (B, steps, inputs) and inputs at the origin (B, F)."""
        parts = [np.empty((0, len(self.out[1])), np.float32)]
        for start in range(0, len(at_origin), _BATCH):
            batch = slice(start, start + _BATCH)
            state = np.ascontiguousarray(contexts[batch].transpose(1, 0, 2))
            for layer in self.lstm:
                state = _lstm(state, *layer)
            joined = np.concatenate([*state[-1:], at_origin[batch]], axis=1)
            parts.append(np.tanh(joined @ self.hidden[0] + self.hidden[1]) @ self.out[0] + self.out[1])
        return np.concatenate(parts)


def _place(name: str) -> tuple[int, str]:
    """Sort `lstm`, `lstm_1`, ..., `lstm_10` by number."""
    return len(name), name


def _lstm(inputs: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(steps, B, units) states of an LSTM layer, from (steps, B, inputs)."""
    units = len(recurrent)
    states = np.zeros((len(inputs), inputs.shape[1], units), np.float32)
    state, cell = states[0], states[0]
    for step, gates in enumerate(inputs @ kernel + bias):
        gates += state @ recurrent  # noqa: PLW2901 - adds to the array in place
        # One call for all gates: a sigmoid is half of 1 + tanh of half its argument.
        gates[:, : 2 * units] *= 0.5
        gates[:, 3 * units :] *= 0.5
        np.tanh(gates, out=gates)
        enter, forget, new, out = (gates[:, units * i : units * (i + 1)] for i in range(4))
        cell = (forget + 1) * 0.5 * cell + (enter + 1) * 0.5 * new
        state = (out + 1) * 0.5 * np.tanh(cell)
        states[step] = state
    return states
