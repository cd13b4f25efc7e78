import re
from datetime import UTC, datetime
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from forecasting import contract
from forecasting.as_of import to_instant
from forecasting.contract import SeriesForecast
from forecasting.errors import StoreError
from forecasting.models.baselines import EwmaWalk, RandomWalk
from forecasting.models.windows import build_windows
from forecasting.panel import Panel
from forecasting.parquet import table_to_bytes
from forecasting.prices.ingest import ingest
from forecasting.prices.snapshot import Snapshot, bars_behind, take_snapshot
from forecasting.publishing.address import FORECAST, ForecastAddress
from forecasting.publishing.decisions import Decision
from forecasting.publishing.forecast import Publisher, fit_walk
from forecasting.quantiles import LEVELS
from forecasting.reports.outlook import (
    OUTLOOK,
    Outlook,
    find_outlooks,
    make_outlook,
)
from forecasting.reports.past_widths import MAX_ORIGINS
from forecasting.shards import make_shards
from forecasting.storage import Storage
from tests.conftest import write_prices
from tests.published import write_forecast

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 10, 31, 12, tzinfo=UTC)


def decision(model: str) -> Decision:
    return Decision("2026-10-30", "", "", model, "", "s", "because", None)


def panel_of(path: Path, **forecast: object) -> Panel:
    panel = Panel.load(path)
    settings = type(panel.forecast).model_validate({"horizon": 5, **forecast})
    return panel.model_copy(update={"forecast": settings})


def ingested(panel: Panel, storage: Storage) -> Snapshot:
    ingest(panel, storage, to_instant(NOW))
    return take_snapshot(panel, storage, None, NOW)


def outlook_by(
    panel: Panel, storage: Storage, snapshot: Snapshot, who: Decision, forecast: pa.Table
) -> pa.Table:
    """The outlook of a forecast that a publisher made."""
    publisher = Publisher(panel, storage, who, fit_walk(panel, storage, snapshot))
    windows = build_windows(panel, bars_behind(panel, storage, snapshot, snapshot.ids), panel.calendar)
    return make_outlook(publisher, snapshot, windows, forecast, make_shards(snapshot.ids)[0])


def outlook_of(panel: Panel, storage: Storage, model: str) -> tuple[pa.Table, pa.Table]:
    """The forecast of a baseline, and its outlook."""
    snapshot, who = ingested(panel, storage), decision(model)
    address = write_forecast(panel, storage, snapshot, who)
    forecast = contract.from_bytes(storage.get(address.path(FORECAST)), FORECAST)
    return forecast, outlook_by(panel, storage, snapshot, who, forecast)


def normal_forecast(panel: Panel, snapshot: Snapshot, deviation: float, drift: float = 0) -> pa.Table:
    """Log-normal prices around 100 or, where the panel says `diff`, normal ones."""
    scores = np.array([NormalDist(drift, deviation).inv_cdf(level) for level in LEVELS])
    prices = 100 * np.exp(scores) if panel.forecast.transform == "log" else 100 + scores
    count = len(snapshot.ids)
    cutoff = np.full(count, np.datetime64("2026-10-30", "us"))
    made = SeriesForecast(
        ids=snapshot.ids,
        cutoff=cutoff,
        y_cutoff=np.full(count, 100.0),
        ds=cutoff[:, None] + np.arange(1, 6) * np.timedelta64(1, "D"),
        quantiles=np.broadcast_to(prices, (count, 5, 11)),
        model="ewma_walk",
        version="1",
    )
    return contract.to_table([made], "id")


def test_the_percentile_is_that_of_the_volatility_which_sets_an_ewma_walks_width(
    tiny_panel: Path, local_storage: Storage
) -> None:
    _, outlook = outlook_of(panel_of(tiny_panel), local_storage, EwmaWalk.name)
    prices = pd.read_csv(tiny_panel.parent / "prices.csv").pivot_table("close", "ds", "unique_id")
    # The same volatility by pandas, whose weights are defined in the same way.
    squares = np.log(prices).diff().iloc[1:] ** 2
    volatility = np.sqrt(squares.ewm(halflife=20).mean())
    past = volatility.iloc[149:395:5]  # of a bar's number in `prices`, less the first
    assert len(past) == MAX_ORIGINS
    expected = 100 * (past < volatility.iloc[-1]).mean()
    assert outlook["unique_id"].to_pylist() == list(expected.index)
    np.testing.assert_allclose(outlook["width_percentile"], expected)
    moods = ["calm" if p <= 20 else "nervous" if p >= 80 else "usual" for p in expected]
    assert outlook["mood"].to_pylist() == moods


def test_nervous_and_calm_series_are_told_apart(tiny_panel: Path, local_storage: Storage) -> None:
    steps = np.random.default_rng(0).normal(0, 0.01, (400, 3))
    steps[-20:] *= [5, 0.2, 1]
    prices = 100 * np.exp(steps.cumsum(axis=0))
    days = pd.date_range(end="2026-10-30", periods=400)
    wide = pd.DataFrame(prices, index=days, columns=["WILD", "MILD", "SAME"]).rename_axis("ds")
    long = wide.melt(var_name="unique_id", value_name="close", ignore_index=False)
    long.to_csv(tiny_panel.parent / "prices.csv")
    _, outlook = outlook_of(panel_of(tiny_panel), local_storage, EwmaWalk.name)
    found = dict(zip(outlook["unique_id"].to_pylist(), outlook["mood"].to_pylist(), strict=True))
    assert (found["WILD"], found["MILD"]) == ("nervous", "calm")


@pytest.mark.parametrize("transform", ["log", "diff"])
def test_the_width_is_that_of_the_published_range_at_the_horizon(
    transform: str, tiny_panel: Path, local_storage: Storage
) -> None:
    panel = panel_of(tiny_panel, transform=transform)
    forecast, outlook = outlook_of(panel, local_storage, EwmaWalk.name)
    last = forecast.to_pandas().query("h == 5")
    width = last["q90"] - last["q10"]
    expected = width / last["y_cutoff"] if transform == "log" else width
    np.testing.assert_allclose(outlook["width"], expected)


@pytest.mark.parametrize(("bars", "is_known"), [(100, False), (101, True)])
def test_a_percentile_needs_twenty_earlier_widths(
    bars: int, is_known: bool, tiny_panel: Path, local_storage: Storage
) -> None:
    # The twentieth origin is 100 bars before the last one; it needs a change before it.
    write_prices(tiny_panel.parent / "prices.csv", {"AAA": bars + 1, "BBB": 400})
    _, outlook = outlook_of(panel_of(tiny_panel), local_storage, EwmaWalk.name)
    first = outlook.to_pylist()[0]
    assert (first["width_percentile"] is not None, first["mood"] is not None) == (is_known, is_known)
    assert first["width"] > 0


def test_a_random_walk_that_publishes_has_no_mood_but_the_stand_in_of_short_series_has(
    trained_panel: Path, local_storage: Storage
) -> None:
    trained_panel.write_text(trained_panel.read_text().replace("context = 20", "context = 200"))
    write_prices(trained_panel.parent / "prices.csv", {"LONG": 400, "SHORT": 150})
    _, outlook = outlook_of(panel_of(trained_panel), local_storage, RandomWalk.name)
    found = dict(zip(outlook["unique_id"].to_pylist(), outlook["mood"].to_pylist(), strict=True))
    assert found["LONG"] is None
    assert found["SHORT"] in {"calm", "usual", "nervous"}


def test_odds_are_those_of_the_published_distribution(tiny_panel: Path, local_storage: Storage) -> None:
    panel = panel_of(tiny_panel, odds=[0.01, 0.03, 0.05])
    snapshot = ingested(panel, local_storage)
    forecast = normal_forecast(panel, snapshot, deviation=0.05, drift=0.01)
    outlook = outlook_by(panel, local_storage, snapshot, decision(EwmaWalk.name), forecast)
    price = NormalDist(0.01, 0.05)
    expected = {
        **{f"below_{size}pct": price.cdf(np.log(1 - size / 100)) for size in (5, 3, 1)},
        **{f"above_{size}pct": 1 - price.cdf(np.log(1 + size / 100)) for size in (1, 3, 5)},
    }
    for row in outlook.to_pylist():
        assert {name: row[name] for name in expected} == pytest.approx(expected)
    assert outlook.column_names[-6:] == list(expected)


def test_odds_in_price_units_at_levels_of_the_panel(tiny_panel: Path, local_storage: Storage) -> None:
    panel = panel_of(tiny_panel, transform="diff", odds=[0.5, 100])
    snapshot = ingested(panel, local_storage)
    forecast = normal_forecast(panel, snapshot, deviation=75)
    row = outlook_by(panel, local_storage, snapshot, decision(EwmaWalk.name), forecast).to_pylist()[0]
    price = NormalDist(0, 75)
    assert {name: odds for name, odds in row.items() if "_" in name and name[:5] in {"below", "above"}} == (
        pytest.approx(
            {
                "below_100": price.cdf(-100),
                "below_0_5": price.cdf(-0.5),
                "above_0_5": price.cdf(-0.5),
                "above_100": price.cdf(-100),
            }
        )
    )


def test_the_forecast_is_the_same_whatever_the_odds_levels(tiny_panel: Path, local_storage: Storage) -> None:
    snapshot = ingested(panel_of(tiny_panel), local_storage)
    addresses = []
    for odds in ([0.01], [0.02, 0.5]):
        panel = panel_of(tiny_panel, odds=odds)
        addresses.append(write_forecast(panel, local_storage, snapshot, decision(EwmaWalk.name)))
    assert addresses[0] == addresses[1]


def test_what_is_written_is_read_again(local_storage: Storage) -> None:
    address = ForecastAddress("tiny", "2026-10-30", "id")
    assert find_outlooks(local_storage, address) == {}
    rows = [
        {"unique_id": "A", "width": 0.1, "width_percentile": 93.0, "mood": "nervous", "below_5pct": 0.2},
        {"unique_id": "B", "width": 0.1, "width_percentile": None, "mood": None, "below_5pct": 0.3},
    ]
    local_storage.put(address.path(OUTLOOK), table_to_bytes(pa.Table.from_pylist(rows)))
    assert find_outlooks(local_storage, address) == {
        "A": Outlook(93.0, "nervous", {"below_5pct": 0.2}),
        "B": Outlook(None, None, {"below_5pct": 0.3}),
    }


def test_a_damaged_file_says_what_to_do(local_storage: Storage) -> None:
    address = ForecastAddress("tiny", "2026-10-30", "id")
    local_storage.put(address.path(OUTLOOK), b"half a file")
    with pytest.raises(
        StoreError, match=r"_outlook\.parquet is damaged .*; delete .* and run: nightcast run"
    ):
        find_outlooks(local_storage, address)


def test_the_documented_columns_are_those_of_the_file(tiny_panel: Path, local_storage: Storage) -> None:
    page = (ROOT / "docs/contract.md").read_text(encoding="utf-8")
    section = page.partition("## The outlook\n")[2].partition("\n## ")[0]
    names = [name for line in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in line.split()]
    types = re.findall(r"^\| `.*? \| (\w+) \|", section, re.MULTILINE)
    _, outlook = outlook_of(panel_of(tiny_panel), local_storage, EwmaWalk.name)
    assert [name.strip("`") for name in names] == outlook.column_names
    assert types == [str(outlook.schema.field(name).type) for name in ("unique_id", "width")] + [
        *("double", "string", "double")
    ]
