import math
from typing import Any

import numpy as np
import pyarrow as pa

from forecasting.prices.quarantine import Quarantine
from forecasting.prices.schema import QUARANTINE, REFUSED
from forecasting.storage import Storage

NOON = np.datetime64("2020-03-10T12:00", "us")


def refused(*rows: dict[str, Any]) -> pa.Table:
    return pa.table({name: [row.get(name) for row in rows] for name in REFUSED.names}, schema=REFUSED)


SPOILED = {"raw": "A,2020-0", "code": "P001", "detail": "cannot be read"}
NAN = {"unique_id": "A", "close": math.nan, "code": "P005", "detail": "NaN"}


def test_a_quarantine_is_empty_before_there_is_one(storage: Storage) -> None:
    assert Quarantine(storage, "tiny").rows() == QUARANTINE.empty_table()
    assert Quarantine(storage, "tiny").add(refused(), NOON) == 0


def test_refused_rows_are_kept_whole_with_the_time_they_came(storage: Storage) -> None:
    assert Quarantine(storage, "tiny").add(refused(SPOILED, NAN), NOON) == 2
    rows = Quarantine(storage, "tiny").rows()
    assert rows.select(REFUSED.names).sort_by("code").to_pylist()[0] == dict.fromkeys(REFUSED.names) | SPOILED
    assert set(rows["known_at"].to_numpy()) == {NOON}


def test_the_same_row_is_not_kept_twice(storage: Storage) -> None:
    Quarantine(storage, "tiny").add(refused(SPOILED, NAN), NOON)
    another = NAN | {"close": -1.0, "code": "P006"}
    assert Quarantine(storage, "tiny").add(refused(NAN, another, SPOILED, another), NOON) == 1
    assert Quarantine(storage, "tiny").rows().num_rows == 3


def test_a_row_refused_for_another_reason_is_another_one(storage: Storage) -> None:
    quarantine = Quarantine(storage, "tiny")
    assert [quarantine.add(refused(NAN | {"code": code}), NOON) for code in ("P005", "P009")] == [1, 1]
