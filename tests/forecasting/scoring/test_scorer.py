import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import deltalake
import duckdb
import numpy as np
import pandas as pd
import pytest

from forecasting.panel import Panel
from forecasting.prices.compaction import compact
from forecasting.publishing import reader
from forecasting.publishing.address import FORECAST, MANIFEST, WALKS
from forecasting.quantiles import COLUMNS, LEVELS
from forecasting.scoring import scorer
from forecasting.scoring.score_table import ScoreTable
from forecasting.scoring.scorer import ScoreReport, score_forecasts
from forecasting.scoring.track_record import read_tally
from forecasting.storage import Storage
from tests.published import DAY, FIRST_DAY, NOW, add_prices, publish_by_hand, publish_walk, small_panel, walks

with warnings.catch_warnings():
    # The package's docstrings contain invalid escapes, and compiling them gives a warning.
    warnings.simplefilter("ignore")
    from utilsforecast import losses

AS_OF = "2026-04-10"  # the hundredth day
BARS = 100


@pytest.fixture
def panel() -> Panel:
    return small_panel()


def score(panel: Panel, storage: Storage) -> ScoreReport:
    return score_forecasts(panel, storage, NOW)


def scores(storage: Storage) -> pd.DataFrame:
    table = deltalake.DeltaTable(storage.table_uri("scores/small"), storage_options=storage.table_options)
    frame: pd.DataFrame = table.to_pyarrow_dataset().to_table().to_pandas()
    return frame.sort_values(["as_of", "forecast_id", "unique_id", "h"], ignore_index=True)


def without_clock(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=["scored_at", "published_at", "known_at"])


def test_a_score_by_hand(panel: Panel, local_storage: Storage) -> None:
    up_and_down = 100.0 + np.arange(BARS + 1) % 2  # 100, 101, ..., and after the cutoff's 101 again 100
    up_and_down[-1] = 104.0
    add_prices(panel, local_storage, {"A": up_and_down})
    quantiles = np.arange(91.0, 113.0, 2)  # 91, 93, ..., 101, ..., 111
    publish_by_hand(panel, local_storage, AS_OF, {"A": quantiles}, y_cutoff=101.0)
    assert score(panel, local_storage).scored == 1
    row = scores(local_storage).iloc[0]
    assert (row["unique_id"], row["h"], row["y"], row["y_cutoff"], row["error"]) == ("A", 1, 104, 101, 3)
    assert (row["origin"], row["model"], row["model_version"]) == ("live", "stacked_lstm", "v1")
    assert (row["in_sample_change"], row["inside_80"], row["inside_90"]) == (1, True, True)
    # 13, 11, 9, 7, 5, 3 and 1 above the quantile at 5, 10, 20, 30, 40, 50 and 60%; 1, 3, 5 and 7 below
    # those at 70, 80, 90 and 95%.
    pinball = [0.65, 1.1, 1.8, 2.1, 2.0, 1.5, 0.6, 0.3, 0.6, 0.5, 0.35]
    np.testing.assert_allclose(
        row[[f"pinball_{column}" for column in COLUMNS]].to_numpy(float), pinball, 1e-6
    )
    assert row["loss"] == pytest.approx(2 * sum(pinball) / 11)


def test_walk_quantiles_match_past_changes_by_hand(panel: Panel, local_storage: Storage) -> None:
    up_and_down = np.append(100.0 * 1.01 ** (np.arange(BARS) % 2), [103.0, 101.0])
    add_prices(panel, local_storage, {"A": up_and_down})
    publish_by_hand(panel, local_storage, AS_OF, {"A": np.full(11, 101.0)}, y_cutoff=101.0)
    score(panel, local_storage)
    first, second = scores(local_storage)["random_walk_loss"]
    # Of 99 one-bar changes 50 are up by 1%, and 49 down: the price is 100 below the median, and then 102.01.
    said = np.where(LEVELS < 0.5, 100.0, 102.01)
    off = 103.0 - said
    assert first == pytest.approx(2 * np.mean(np.maximum(LEVELS * off, (LEVELS - 1) * off)), rel=1e-5)
    assert second == pytest.approx(0, abs=1e-5)  # no two-bar change was anything but 0


def test_all_scores_agree_with_utilsforecast(panel: Panel, local_storage: Storage) -> None:
    add_prices(panel, local_storage, walks(BARS + 5))
    publish_walk(panel, local_storage, AS_OF)
    assert score(panel, local_storage).scored == 3 * 5
    forecast = reader.as_of("small", AS_OF, local_storage.uri)
    prices = walks(BARS + 5)
    forecast["y"] = np.concatenate([prices[name][BARS:] for name in sorted(prices)])
    got = scores(local_storage)
    assert set(got["origin"]) == {"backfill"}
    np.testing.assert_allclose(got["y"], forecast["y"])
    for level, column in zip(LEVELS, COLUMNS, strict=True):
        theirs = losses.quantile_loss(forecast, models={"m": column}, q=level).set_index("unique_id")["m"]
        ours = got.groupby("unique_id")[f"pinball_{column}"].mean()
        np.testing.assert_allclose(ours, theirs.loc[ours.index], rtol=1e-5)
    # The EWMA walk published, so the skill against the EWMA walk is zero.
    np.testing.assert_allclose(got["loss"], got["ewma_walk_loss"], rtol=1e-4)


def test_night_by_night_gives_what_scoring_at_the_end_gives(
    panel: Panel, local_storage: Storage, tmp_path: Path
) -> None:
    add_prices(panel, local_storage, walks(BARS))
    added = []
    for night in range(8):
        if night:
            fresh = {name: values[-1:] for name, values in walks(BARS + night).items()}
            add_prices(panel, local_storage, fresh, FIRST_DAY + (BARS + night - 1) * DAY)
        added.append(score(panel, local_storage).scored)
        publish_walk(panel, local_storage, str(FIRST_DAY + (BARS + night - 1) * DAY)[:10])
    assert added == [0, 3, 6, 9, 12, 15, 15, 15]
    at_the_end = Storage(str(tmp_path / "at_the_end"))
    shutil.copytree(f"{local_storage.uri}/forecasts", f"{at_the_end.uri}/forecasts")
    shutil.copytree(f"{local_storage.uri}/prices", f"{at_the_end.uri}/prices")
    assert score(panel, at_the_end).scored == sum(added)
    pd.testing.assert_frame_equal(
        without_clock(scores(local_storage)), without_clock(scores(at_the_end)), check_exact=True
    )


@pytest.mark.parametrize(
    ("transform", "restated"), [("log", lambda y: y / 2), ("diff", lambda y: y + 7)], ids=["log", "diff"]
)
def test_a_past_that_was_restated_in_between_gives_the_same_scores(
    transform: str, restated: Any, local_storage: Storage, tmp_path: Path
) -> None:
    panel = small_panel(forecast={"horizon": 5, "transform": transform})
    plain = Storage(str(tmp_path / "plain"))
    for storage in (local_storage, plain):
        add_prices(panel, storage, walks(BARS))
        publish_walk(panel, storage, AS_OF)
    add_prices(panel, plain, walks(BARS + 5))
    add_prices(panel, local_storage, {name: restated(y) for name, y in walks(BARS + 5).items()})
    assert score(panel, local_storage).scored == score(panel, plain).scored == 15
    got, expected = (without_clock(scores(storage)) for storage in (local_storage, plain))
    pd.testing.assert_frame_equal(got, expected, rtol=1e-4, atol=1e-7)


def test_walks_do_not_depend_on_later_prices(panel: Panel, local_storage: Storage, tmp_path: Path) -> None:
    late = Storage(str(tmp_path / "late"))
    for storage, after in ((local_storage, 1.0), (late, 3.0)):
        add_prices(panel, storage, walks(BARS))
        address = publish_walk(panel, storage, AS_OF)
        (Path(storage.uri) / address.path(WALKS)).unlink()  # it is made again, later
        prices = {name: np.append(y[:-4], after * y[-4:]) for name, y in walks(BARS + 5).items()}
        add_prices(panel, storage, prices)
        score(panel, storage)
    first, second = (scores(storage).query("h == 1") for storage in (local_storage, late))
    pd.testing.assert_frame_equal(without_clock(first), without_clock(second), check_exact=True)


@pytest.mark.parametrize("damage", ["missing", "junk", "another forecast's"])
def test_missing_or_damaged_walks_are_made_again(damage: str, panel: Panel, local_storage: Storage) -> None:
    add_prices(panel, local_storage, walks(BARS + 3))
    address = publish_walk(panel, local_storage, AS_OF)
    kept = local_storage.get(address.path(WALKS))
    score(panel, local_storage)
    expected = scores(local_storage)
    shutil.rmtree(f"{local_storage.uri}/scores")
    other = small_panel(name="other", forecast={"horizon": 2})
    add_prices(other, local_storage, walks(BARS))
    others = local_storage.get(publish_walk(other, local_storage, AS_OF).path(WALKS))
    path = Path(local_storage.uri) / address.path(WALKS)
    path.unlink()
    if damage != "missing":
        path.write_bytes({"junk": kept[:100], "another forecast's": others}[damage])
    assert score(panel, local_storage).skipped == ()
    pd.testing.assert_frame_equal(
        scores(local_storage).drop(columns="scored_at"), expected.drop(columns="scored_at"), check_exact=True
    )


def test_two_scorers_at_once_score_everything_once(
    panel: Panel, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_prices(panel, storage, walks(BARS + 5))
    publish_walk(panel, storage, AS_OF)
    publish_walk(panel, storage, "2026-04-12")
    append, others = ScoreTable.append, []

    def after_another(self: ScoreTable, *words: Any) -> None:
        """Let another scorer score everything while this one holds its rows."""
        if not others:
            others.append(None)
            others[0] = score(panel, storage)
        append(self, *words)

    monkeypatch.setattr(ScoreTable, "append", after_another)
    assert score(panel, storage).scored == 0
    assert others[0].scored == 15 + 9
    found = scores(storage)
    assert len(found) == len(found.drop_duplicates(["forecast_id", "unique_id", "h"])) == 24


def test_scoring_killed_between_commits_continues_from_there(
    panel: Panel, local_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_prices(panel, local_storage, walks(BARS + 5))
    for as_of in (AS_OF, "2026-04-11", "2026-04-12"):
        publish_walk(panel, local_storage, as_of)
    monkeypatch.setattr(scorer, "_COMMIT_ROWS", 1)
    append, done = ScoreTable.append, []

    def killed(self: ScoreTable, *words: Any) -> None:
        if done:
            raise KeyboardInterrupt
        append(self, *words)
        done.append(1)

    with monkeypatch.context() as patch:
        patch.setattr(ScoreTable, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            score(panel, local_storage)
    assert len(scores(local_storage)) == 15
    assert score(panel, local_storage).scored == 12 + 9
    assert score(panel, local_storage).scored == 0


def test_a_forecast_whose_bar_never_arrives_is_settled_in_the_end(
    panel: Panel, local_storage: Storage
) -> None:
    prices = walks(BARS + 20)
    add_prices(panel, local_storage, {**prices, "CCC": prices["CCC"][: BARS + 2]})
    address = publish_walk(panel, local_storage, AS_OF)
    assert score(panel, local_storage).scored == 5 + 5 + 2
    assert score(panel, local_storage) == ScoreReport("small", 1, 0, 0, ())  # settled for good
    local_storage.put(address.path(FORECAST), b"junk")
    assert score(panel, local_storage).skipped == ()  # and not read again


def test_a_bar_that_comes_late_is_scored(panel: Panel, local_storage: Storage) -> None:
    prices = walks(BARS + 5)
    add_prices(panel, local_storage, {**prices, "CCC": prices["CCC"][: BARS + 2]})
    publish_walk(panel, local_storage, AS_OF)
    assert score(panel, local_storage).scored == 12
    add_prices(panel, local_storage, {"CCC": prices["CCC"][-1:]}, FIRST_DAY + (BARS + 4) * DAY)
    assert score(panel, local_storage).scored == 1
    assert scores(local_storage).query("unique_id == 'CCC'")["h"].tolist() == [1, 2, 5]


@pytest.mark.parametrize("calendar", ["XBOM", "XSES"])
def test_a_forecast_is_scored_where_the_calendar_ends_before_two_horizons(
    calendar: str, local_storage: Storage
) -> None:
    panel = small_panel(bars={"calendar": calendar})
    end = panel.calendar.end.astype("datetime64[us]")
    bars = panel.calendar.bars(end - 40 * DAY, end)
    cutoff, ds = bars[-9], bars[-8:-3]  # 8 bars follow the cutoff; two horizons would be 10
    prices = np.linspace(90, 100, 61)
    days = int((ds[2] - cutoff) / DAY)
    add_prices(panel, local_storage, {"AAA": np.append(prices, [100.0] * days)}, cutoff - 60 * DAY)
    publish_by_hand(panel, local_storage, panel.label(cutoff), {"AAA": np.linspace(90, 110, 11)}, ds=ds)
    assert score(panel, local_storage) == ScoreReport("small", 1, 1, 3, ())
    assert scores(local_storage)["h"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (FORECAST, b"junk", "digest differs from the one in its manifest"),
        (FORECAST, None, "no object"),
        (MANIFEST, b"{", "_manifest.json is damaged"),
        (MANIFEST, b"[1]", "is damaged (no Published: "),
        (MANIFEST, b"1", "_manifest.json is damaged"),
        (MANIFEST, b'{"as_of": "soon"}', "is damaged (no Published: "),
    ],
)
def test_a_damaged_forecast_is_named_and_the_others_are_scored(
    name: str, content: bytes | None, said: str, panel: Panel, local_storage: Storage
) -> None:
    add_prices(panel, local_storage, walks(BARS + 5))
    damaged = publish_walk(panel, local_storage, AS_OF)
    publish_walk(panel, local_storage, "2026-04-12")
    path = Path(local_storage.uri) / damaged.path(name)
    if content == b'{"as_of": "soon"}':
        content = json.dumps({**json.loads(path.read_bytes()), "as_of": "soon"}).encode()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    report = score(panel, local_storage)
    assert (report.forecasts, report.scored) == (2, 9)
    (reason,) = report.skipped
    assert said in reason


def test_a_folder_without_a_manifest_is_no_forecast(panel: Panel, local_storage: Storage) -> None:
    add_prices(panel, local_storage, walks(BARS + 5))
    address = publish_walk(panel, local_storage, AS_OF)
    (Path(local_storage.uri) / address.path(MANIFEST)).unlink()
    assert score(panel, local_storage) == ScoreReport("small", 0, 0, 0, ())


def test_no_forecast_and_no_prices_are_no_error(panel: Panel, local_storage: Storage) -> None:
    assert score(panel, local_storage) == ScoreReport("small", 0, 0, 0, ())


def test_of_two_forecasts_for_a_date_both_are_scored_and_the_newest_counts(
    panel: Panel, local_storage: Storage
) -> None:
    prices = walks(BARS)
    add_prices(panel, local_storage, {**prices, "CCC": prices["CCC"][:-1]})
    first = publish_walk(panel, local_storage, AS_OF)
    add_prices(panel, local_storage, {"CCC": prices["CCC"][-1:]}, FIRST_DAY + (BARS - 1) * DAY)
    second = publish_walk(panel, local_storage, AS_OF)  # as late data makes it
    add_prices(panel, local_storage, walks(BARS + 5))
    assert score(panel, local_storage).forecasts == 2
    assert set(scores(local_storage)["forecast_id"]) == {first.forecast_id, second.forecast_id}
    assert set(read_tally(local_storage, "small")["forecast_id"]) == {second.forecast_id}


def test_a_provisional_forecast_counts_only_where_there_is_no_final_one(
    panel: Panel, local_storage: Storage
) -> None:
    add_prices(panel, local_storage, walks(BARS + 5))
    final = publish_walk(panel, local_storage, AS_OF)
    early = publish_walk(panel, local_storage, AS_OF, "published after the final one")
    alone = publish_walk(panel, local_storage, "2026-04-09", "nothing came after it")
    score(panel, local_storage)
    rows = scores(local_storage)
    assert set(rows[rows["provisional"]]["forecast_id"]) == {early.forecast_id, alone.forecast_id}
    assert set(read_tally(local_storage, "small")["forecast_id"]) == {final.forecast_id, alone.forecast_id}


def test_scores_read_with_duckdb_after_a_compaction(panel: Panel, local_storage: Storage) -> None:
    add_prices(panel, local_storage, walks(BARS + 5))
    for day in (10, 11, 12):
        publish_walk(panel, local_storage, f"2026-04-{day}")
        score(panel, local_storage)
    before = read_tally(local_storage, "small")
    assert "scores/small" in {done.table for done in compact(local_storage, "small", spare=0)}
    assert score(panel, local_storage).scored == 0
    pd.testing.assert_frame_equal(
        read_tally(local_storage, "small").sort_values(["as_of", "unique_id"], ignore_index=True),
        before.sort_values(["as_of", "unique_id"], ignore_index=True),
    )
    dataset = deltalake.DeltaTable(local_storage.table_uri("scores/small")).to_pyarrow_dataset()
    with duckdb.connect() as connection:
        connection.register("scores", dataset)
        rows = connection.execute(
            "select as_of, count(*), sum(loss) / sum(ewma_walk_loss) from scores group by 1 order by 1"
        ).fetchall()
    assert [(row[1], round(row[2], 3)) for row in rows] == [(15, 1), (12, 1), (9, 1)]
