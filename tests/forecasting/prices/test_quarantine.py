import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deltalake
import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.panel import Panel
from forecasting.prices.ingest import ingest
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
    assert Quarantine(storage, "tiny").add(refused(NAN, another, SPOILED), NOON) == 1
    assert Quarantine(storage, "tiny").rows().num_rows == 3


def test_rows_that_say_the_same_at_once_are_kept_each_and_once(storage: Storage) -> None:
    add = Quarantine(storage, "tiny").add
    assert [add(refused(NAN, SPOILED, NAN), NOON) for _ in range(2)] == [3, 0]
    assert add(refused(NAN, NAN, NAN), NOON) == 1
    assert Quarantine(storage, "tiny").rows().num_rows == 4


def test_a_row_refused_for_another_reason_is_another_one(storage: Storage) -> None:
    quarantine = Quarantine(storage, "tiny")
    assert [quarantine.add(refused(NAN | {"code": code}), NOON) for code in ("P005", "P009")] == [1, 1]


# Without one good row the ingest stops.
GOOD = "good,2019-01-01,1"
BATCH = st.lists(
    st.tuples(
        st.sampled_from("AB"),
        st.sampled_from(["2020-03-02", "2020-03-03", "2020-03-10", "soon"]),
        st.sampled_from(["1.0", "2.0", "-1", "x"]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=15)
@given(batch=BATCH)
def test_each_row_offered_is_in_one_of_the_tables_or_counted(
    batch: list[tuple[str, ...]], make_panel: Callable[..., Panel]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        panel, storage = make_panel({"uri": f"{folder}/prices.csv"}), Storage(f"{folder}/store")
        Path(folder, "prices.csv").write_text(
            "\n".join(["unique_id,ds,close", GOOD, *map(",".join, batch)]) + "\n"
        )
        for _ in range(2):
            report = ingest(panel, storage, NOON)
            stored = deltalake.DeltaTable(storage.table_uri("prices/tiny")).count()
            refused_rows = Quarantine(storage, "tiny").rows().num_rows
            assert stored + refused_rows + report.repaired + report.pending == len(batch) + 1
