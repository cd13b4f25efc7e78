"""The bundled panel and its bars, for benchmarks."""

import pyarrow as pa

from forecasting.panel import Panel
from forecasting.prices.bars import Bars
from forecasting.prices.sources import read_source

HISTORY, STEP, HORIZON = 720, 6, 72
BATCH = 256


def ecb_panel(**model: object) -> Panel:
    """Load the bundled panel with changed model settings."""
    panel = Panel.load("ecb_fx")
    return Panel.model_validate(panel.model_dump(exclude={"model"}) | {"model": model})


def ecb_bars(panel: Panel) -> Bars:
    """Read all bars of the bundled file."""
    return Bars.from_table(pa.concat_tables(read_source(panel)), "close")
