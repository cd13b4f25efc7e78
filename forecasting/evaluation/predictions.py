"""The predictions of a backtest: one row per candidate, common cutoff, series and step, in that order."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecasting import contract
from forecasting.evaluation import metrics
from forecasting.evaluation.scores import score_windows
from forecasting.quantiles import COLUMNS

KEY = ("candidate", "as_of", "unique_id", "h")
SCHEMA = pa.schema(
    [
        ("candidate", pa.string()),
        ("as_of", pa.timestamp("us", tz="UTC")),
        *contract.SCHEMA,
        ("y", pa.float64()),
        ("in_sample_change", pa.float64()),
    ]
)

_WINDOW_COLUMNS = [*KEY[:3], "cutoff", "y_cutoff", "model", "in_sample_change"]


@dataclass(frozen=True)
class ScoredWindows:
    """Predictions of W windows and H steps. A window is one candidate's forecast of one series.

    Attributes:
        keys: W rows; the columns of the predictions that are equal at every step of a window.
        ds: (W, H) datetime64[us]; the target bars.
        y: (W, H) float64; the actual prices.
        y_hat: (W, H) float64; the point forecast.
        quantiles: (W, H, 11) float64; the forecast quantiles, at `forecasting.quantiles.LEVELS`.
    """

    keys: pd.DataFrame
    ds: np.ndarray
    y: np.ndarray
    y_hat: np.ndarray
    quantiles: np.ndarray

    @classmethod
    def from_table(cls, predictions: pa.Table) -> Self:
        """Create the windows from the predictions of a backtest, or from its file."""
        horizon = int(pc.max(predictions["h"]).as_py())

        def steps(name: str) -> np.ndarray:
            column: np.ndarray = predictions[name].to_numpy().reshape(-1, horizon)
            return column

        firsts = predictions.filter(pc.equal(predictions["h"], 1)).select(_WINDOW_COLUMNS)
        quantiles = np.stack([steps(name) for name in COLUMNS], axis=-1)
        return cls(firsts.to_pandas(), steps("ds"), steps("y"), steps("y_hat"), quantiles)

    @cached_property
    def change(self) -> np.ndarray:
        """(W,) in-sample change, by which the losses are divided."""
        return self.keys["in_sample_change"].to_numpy()

    @cached_property
    def losses(self) -> pd.DataFrame:
        """The losses of each candidate on each window, as described in `scores`."""
        losses = score_windows(self.y, self.y_hat, self.quantiles, self.change)
        return losses.assign(**{name: self.keys[name] for name in KEY[:3]})

    @cached_property
    def step_losses(self) -> np.ndarray:
        """(W, H) scaled quantile loss at each step."""
        y, quantiles = self.y[..., None], self.quantiles[:, :, None]
        return metrics.scaled_quantile_loss(y, quantiles, self.change[:, None])

    def inside(self, percent: int) -> np.ndarray:
        """(W, H) 1 if the price is in the central interval, else 0."""
        return metrics.coverage(self.y[..., None], self.quantiles[:, :, None], percent)
