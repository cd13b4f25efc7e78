"""Schemas of price rows: as a source offers them, as the audit refuses them, and as they are stored."""

from typing import get_args

import pyarrow as pa

from forecasting.panel_settings import PriceColumn

INSTANT = pa.timestamp("us", tz="UTC")
VALUES: tuple[str, ...] = get_args(PriceColumn)

_BAR = [("unique_id", pa.string()), ("ds", INSTANT), *((name, pa.float64()) for name in VALUES)]

_ID = pa.field("unique_id", pa.dictionary(pa.int32(), pa.string()))

# Rows that a source offers. A value that is absent or unreadable is null; `raw` is the text of the unreadable
# parts of a row, and null if the row was read. `zoned` says whether an intraday time names its zone, `note`
# how
# times were read that are not as they are written. `remark` says where an unread row is, or which value
# beside
# the target was dropped and where.
OFFERED = pa.schema(
    [
        _ID,
        *_BAR[1:],
        ("raw", pa.string()),
        ("zoned", pa.bool_()),
        ("note", pa.dictionary(pa.int8(), pa.string())),
        ("remark", pa.string()),
    ]
)
# Offered rows that the audit accepts.
GOOD = pa.schema(_BAR)
# Offered rows that the audit refuses, with the reason.
REFUSED = pa.schema([*_BAR, ("raw", pa.string()), ("code", pa.string()), ("detail", pa.string())])
# Stored rows; `known_at` is when the store learned the row.
PRICES = GOOD.append(pa.field("known_at", INSTANT))
# Rows as read from the store: ids are dictionary-encoded.
BARS = PRICES.set(0, _ID)
QUARANTINE = REFUSED.append(pa.field("known_at", INSTANT))
