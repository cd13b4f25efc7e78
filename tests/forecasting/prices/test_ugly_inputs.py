"""Defective files with one defect each, and their findings. `docs/audit.md` shows the same list."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.audit.rows import audit_rows
from forecasting.prices.sources import read_source

UGLY = Path(__file__).parent / "ugly"
NOW = np.datetime64("2020-03-10T12:00", "us")
HOURLY = {"freq": "1h"}
NEW_YORK = {"time_zone": "America/New_York"}

# file -> its finding codes and number of good rows; daily on a 24/7 calendar.
FOUND: dict[str, tuple[list[str], int]] = {
    "text_in_number.csv": (["P001"], 4),
    "no_time.csv": (["P001"], 3),
    "no_id.csv": (["P001"], 3),
    "ragged_line.csv": (["P001"], 3),
    "byte_order_mark.csv": ([], 3),
    "utf16.csv": ([], 3),
    "latin1.csv": (["P012"], 3),
    "decimal_comma.csv": ([], 3),
    "trailing_commas.csv": ([], 3),
    "duplicates.csv": (["P003"], 3),
    "conflicts.csv": (["P004"], 2),
    "unsorted.csv": (["P002"], 3),
    "newest_first.csv": ([], 3),
    "nan_and_infinity.csv": (["P005"], 3),
    "negative_oil.csv": (["P006"], 2),
    "high_below_low.csv": (["P007"], 2),
    "outside_low_to_high.csv": (["P008"], 2),
    "negative_volume.csv": (["P011"], 2),
    "future_bar.csv": (["P010"], 3),
    "weekend.csv": (["P009"], 3),
    "unsafe_ids.csv": (["P012"], 4),
    "mixed_zones.csv": (["P015"], 3),
    "no_zone.csv": (["P014"], 3),
    "spreadsheet.csv": ([], 3),
    "clocks_set_back.csv": (["P013"], 2),
    "clocks_set_forward.csv": (["P013"], 2),
}
OTHER_PANELS: dict[str, dict[str, Any]] = {
    "weekend.csv": {"bars": {"calendar": "ECB"}},
    "mixed_zones.csv": {"bars": HOURLY},
    "no_zone.csv": {"bars": HOURLY},
    "clocks_set_back.csv": {"bars": HOURLY, "source": NEW_YORK},
    "clocks_set_forward.csv": {"bars": HOURLY, "source": NEW_YORK},
}
# file -> the error that stops the ingest.
STOPPED = {
    "empty.csv": "is empty",
    "header_only.csv": "has no rows",
    "web_page.csv": "is a web page",
    "wrong_column.csv": "no column 'close'",
    "truncated.zip": "cut short",
    "truncated.parquet": "cut short",
}


@pytest.fixture
def read(make_panel: Callable[..., Panel]) -> Callable[[str], tuple[Panel, pa.Table]]:
    def of(name: str) -> tuple[Panel, pa.Table]:
        sections = OTHER_PANELS.get(name, {})
        source = {"uri": str(UGLY / name), **sections.get("source", {})}
        panel = make_panel(source, bars=sections.get("bars", {}))
        return panel, pa.concat_tables(read_source(panel))

    return of


@pytest.mark.parametrize(("name", "codes", "good"), [(name, *found) for name, found in FOUND.items()])
def test_what_an_ugly_file_gets(
    read: Callable[[str], tuple[Panel, pa.Table]], name: str, codes: list[str], good: int
) -> None:
    panel, offered = read(name)
    audited = audit_rows(offered, panel, panel.calendar, NOW)
    assert ([finding.code for finding in audited.findings], audited.good.num_rows) == (codes, good)


@pytest.mark.parametrize(("name", "reason"), STOPPED.items())
def test_an_ugly_file_without_any_prices_is_refused_in_one_line(
    read: Callable[[str], tuple[Panel, pa.Table]], name: str, reason: str
) -> None:
    with pytest.raises(SourceError) as raised:
        read(name)
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


def test_every_ugly_file_is_tried() -> None:
    assert {path.name for path in UGLY.iterdir()} == {*FOUND, *STOPPED}
