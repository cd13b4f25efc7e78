"""What the benchmarks share: the bundled panel and its bars, and the lecture's numbers."""

import pyarrow as pa

from forecasting.panel import Panel
from forecasting.prices.bars import Bars
from forecasting.prices.sources import read_source

HISTORY, STEP, HORIZON = 720, 6, 72
BATCH = 256


def ecb_panel(**model: object) -> Panel:
    """The bundled panel, with these settings of its model."""
    panel = Panel.load("ecb_fx")
    return Panel.model_validate(panel.model_dump(exclude={"model"}) | {"model": model})


def ecb_bars(panel: Panel) -> Bars:
    """The bars of the bundled file, as it is."""
    return Bars.from_table(pa.concat_tables(read_source(panel)), "close")
