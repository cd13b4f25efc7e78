"""The columns of prices: as a source offers them, as the audit refuses them, and as they are stored."""

from typing import get_args

import pyarrow as pa

from forecasting.panel import PriceColumn

INSTANT = pa.timestamp("us", tz="UTC")
VALUES: tuple[str, ...] = get_args(PriceColumn)

_BAR = [("unique_id", pa.string()), ("ds", INSTANT), *((name, pa.float64()) for name in VALUES)]

# What a source offers. `raw` is the text of what could not be read in a row, and null where all could;
# a value that is absent or could not be read is null. `zoned` says whether an intraday time names its zone.
OFFERED = pa.schema([*_BAR, ("raw", pa.string()), ("zoned", pa.bool_())])
# The rows among them that the audit lets into the prices.
GOOD = pa.schema(_BAR)
# The other rows: why each was refused.
REFUSED = pa.schema([*_BAR, ("raw", pa.string()), ("code", pa.string()), ("detail", pa.string())])
# As stored: when the store learned the row.
PRICES = GOOD.append(pa.field("known_at", INSTANT))
# As read: each id is in memory once.
BARS = PRICES.set(0, pa.field("unique_id", pa.dictionary(pa.int32(), pa.string())))
QUARANTINE = REFUSED.append(pa.field("known_at", INSTANT))
