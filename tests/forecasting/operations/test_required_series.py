"""Required series: what a night must forecast."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from forecasting.errors import RequiredSeriesError
from forecasting.night import run_night
from forecasting.operations.required_series import check_required_series
from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot, take_snapshot
from forecasting.publishing import reader
from forecasting.storage import Storage
from tests.conftest import TINY_PANEL, write_prices
from tests.published import add_prices, small_panel, walks


def panel_that_requires(*names: str) -> Panel:
    return small_panel(forecast={"horizon": 5, "required": names})


@pytest.fixture
def snapshot(local_storage: Storage) -> Snapshot:
    """Prices of AAA and B/B; DEAD has too few for a forecast."""
    panel = small_panel()
    add_prices(panel, local_storage, {**walks(60, ("AAA", "B/B")), **walks(10, ("DEAD",))})
    return take_snapshot(panel, local_storage, "2026-03-01", datetime(2026, 11, 20, 6, tzinfo=UTC))


@pytest.mark.parametrize("names", [(), ("AAA",), ("B/B", "AAA")])
def test_series_that_are_forecast_are_enough(snapshot: Snapshot, names: tuple[str, ...]) -> None:
    check_required_series(panel_that_requires(*names), snapshot)


def test_every_missing_series_is_named_with_its_reason(snapshot: Snapshot) -> None:
    with pytest.raises(RequiredSeriesError) as caught:
        check_required_series(panel_that_requires("AAA", "DEAD", "NEW"), snapshot)
    assert str(caught.value) == (
        "the forecast of small as of 2026-03-01 is published, but lacks 2 of its 3 required series: "
        f"DEAD ({snapshot.left_out['DEAD']}), NEW (the prices have no such series); "
        "correct the source, or [forecast].required in panel small"
    )


def test_a_night_publishes_before_it_fails(tmp_path: Path, local_storage: Storage) -> None:
    write_prices(tmp_path / "prices.csv", {"AAA": 80, "BBB": 80})
    path = tmp_path / "tiny.toml"
    path.write_text(TINY_PANEL.replace("horizon = 5", 'horizon = 5\nrequired = ["AAA", "CCC"]'))
    panel = Panel.load(path)
    for _ in range(2):  # the second night finds the first one's forecast
        with pytest.raises(RequiredSeriesError, match=r"lacks 1 of its 2 required series: CCC \(the prices"):
            run_night(panel, local_storage)
        assert set(reader.latest("tiny", local_storage.uri)["unique_id"]) == {"AAA", "BBB"}
