"""The interface of all forecasters."""

from typing import Protocol

import numpy as np

from forecasting.models.windows import Windows


class Forecaster(Protocol):
    """A fitted baseline or network."""

    name: str

    def predict(self, windows: Windows, origins: np.ndarray) -> np.ndarray:
        """(W, horizon, 11) quantiles of the change of level from each origin.

        They never decrease along the last axis. A forecaster must not use bars after a window's origin.
        """
