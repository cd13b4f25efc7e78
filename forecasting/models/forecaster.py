"""What everything that forecasts has in common."""

from typing import Protocol

import numpy as np

from forecasting.models.windows import Windows


class Forecaster(Protocol):
    """A baseline or a network, ready to forecast."""

    name: str

    def predict(self, windows: Windows, origins: np.ndarray) -> np.ndarray:
        """(W, horizon, 11) quantiles of the change of level from each origin, non-decreasing along the last.

        A forecaster may look at bars up to each window's origin, and at nothing later.
        """
