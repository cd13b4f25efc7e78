from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from forecasting.errors import AuditError, NightcastError
from forecasting.panel import Panel
from forecasting.prices.ingest import ingest
from forecasting.prices.rows_digest import bars_digest
from forecasting.prices.snapshot import Snapshot, bars_behind, take_snapshot
from forecasting.storage import Storage
from tests.conftest import write_prices

NOW = datetime(2026, 10, 31, 6, tzinfo=UTC)


@pytest.fixture
def panel(trained_panel: Path, local_storage: Storage) -> Panel:
    """The tiny panel, its prices ingested."""
    panel = Panel.load(trained_panel)
    ingest(panel, local_storage, np.datetime64("2026-10-31T06:00:00", "us"))
    return panel


def revise(panel: Panel, storage: Storage, folder: Path) -> None:
    """Let the source give other values to the last bars."""
    source = folder / "prices.csv"
    text = source.read_text().splitlines()
    text[400] = text[400].rsplit(",", 1)[0] + ",123.45"
    source.write_text("\n".join(text) + "\n")
    ingest(panel, storage, np.datetime64("2026-11-01T06:00:00", "us"))


def test_a_run_uses_the_newest_bar_by_default(panel: Panel, local_storage: Storage) -> None:
    snapshot = take_snapshot(panel, local_storage, None, NOW)
    assert (snapshot.as_of, snapshot.ids) == ("2026-10-30", ("AAA", "BBB", "C/C"))
    assert snapshot.known_at == "2026-10-31T06:00:00.000000Z"


def test_a_given_as_of_bounds_the_bars(panel: Panel, local_storage: Storage) -> None:
    snapshot = take_snapshot(panel, local_storage, "2026-10-20", NOW)
    assert bars_behind(panel, local_storage, snapshot, snapshot.ids).ds.max() == np.datetime64("2026-10-20")


def test_a_date_without_bars_stands_for_the_last_one_that_has_some(
    panel: Panel, local_storage: Storage
) -> None:
    later = datetime(2026, 11, 5, tzinfo=UTC)
    assert take_snapshot(panel, local_storage, "2026-11-03", later).as_of == "2026-10-30"


def test_an_as_of_in_the_future_is_refused(panel: Panel, local_storage: Storage) -> None:
    with pytest.raises(AuditError, match="as_of 2026-11-02 lies after this run's time, 2026-10-31 06:00 UTC"):
        take_snapshot(panel, local_storage, "2026-11-02", NOW)


def test_an_as_of_before_all_prices_is_refused(panel: Panel, local_storage: Storage) -> None:
    with pytest.raises(AuditError, match="no prices by 2000-01-01"):
        take_snapshot(panel, local_storage, "2000-01-01", NOW)


def test_a_word_that_is_no_date_is_refused(panel: Panel, local_storage: Storage) -> None:
    with pytest.raises(NightcastError, match="as_of 'soon' is not a date, YYYY-MM-DD"):
        take_snapshot(panel, local_storage, "soon", NOW)


def test_what_is_ingested_later_does_not_change_a_snapshots_bars(
    panel: Panel, local_storage: Storage, trained_panel: Path
) -> None:
    snapshot = take_snapshot(panel, local_storage, None, NOW)
    revise(panel, local_storage, trained_panel.parent)
    assert bars_digest(bars_behind(panel, local_storage, snapshot, snapshot.ids)) == snapshot.rows_digest


def test_a_revision_makes_another_snapshot(panel: Panel, local_storage: Storage, trained_panel: Path) -> None:
    before = take_snapshot(panel, local_storage, None, NOW)
    revise(panel, local_storage, trained_panel.parent)
    after = take_snapshot(panel, local_storage, None, NOW)
    assert before.as_of == after.as_of
    assert before.rows_digest != after.rows_digest
    assert before.known_at < after.known_at


def test_stored_bars_that_the_panel_now_refuses_are_not_used(panel: Panel, local_storage: Storage) -> None:
    weekdays = panel.model_copy(update={"bars": panel.bars.model_copy(update={"calendar": "ECB"})})
    snapshot = take_snapshot(weekdays, local_storage, None, NOW)
    bars = bars_behind(weekdays, local_storage, snapshot, snapshot.ids)
    assert weekdays.calendar.contains(bars.ds).all()
    assert bars_digest(bars) == snapshot.rows_digest
    found = [finding for finding in snapshot.findings if finding.code == "P110"]
    assert [finding.unique_id for finding in found] == ["AAA", "BBB", "C/C"]
    assert "not on calendar ECB" in found[0].detail


def test_a_run_reads_the_bars_that_were_audited_though_newer_ones_lack_its_target(
    panel: Panel, local_storage: Storage, trained_panel: Path
) -> None:
    rows = ["unique_id,ds,close,open", *(f"AAA,2026-10-{day},1{day},9{day}" for day in range(10, 31))]
    (trained_panel.parent / "prices.csv").write_text("\n".join(rows).replace(",920", ",") + "\n")
    limits = panel.audit.model_copy(update={"min_bars": 10, "max_shrink": 1.0})
    panel = panel.model_copy(update={"audit": limits})
    ingest(panel, local_storage, np.datetime64("2026-10-31T07:00:00", "us"))
    opens = panel.model_copy(update={"forecast": panel.forecast.model_copy(update={"target": "open"})})
    snapshot = take_snapshot(opens, local_storage, None, NOW)
    bars = bars_behind(opens, local_storage, snapshot, snapshot.ids)
    assert len(bars) == 20
    assert bars_digest(bars) == snapshot.rows_digest


def test_the_digest_does_not_depend_on_when_the_rows_were_learnt(
    panel: Panel, local_storage: Storage, tmp_path: Path
) -> None:
    other = Storage(str(tmp_path / "other"))
    ingest(panel, other, np.datetime64("2027-01-01T06:00:00", "us"))
    digests = {take_snapshot(panel, storage, None, NOW).rows_digest for storage in (local_storage, other)}
    assert len(digests) == 1


def test_a_source_that_fell_behind_as_a_whole_is_noted(panel: Panel, local_storage: Storage) -> None:
    late = datetime(2026, 11, 20, 6, tzinfo=UTC)
    findings = take_snapshot(panel, local_storage, None, late).findings
    assert [finding.code for finding in findings] == ["P202"]
    assert "ends at 2026-10-30, 20 bars before" in findings[0].detail


def test_a_source_a_few_bars_late_is_no_finding(panel: Panel, local_storage: Storage) -> None:
    assert take_snapshot(panel, local_storage, None, datetime(2026, 11, 9, tzinfo=UTC)).findings == ()


def test_a_short_series_is_for_a_baseline(panel: Panel, local_storage: Storage, trained_panel: Path) -> None:
    panel = panel.model_copy(update={"audit": panel.audit.model_copy(update={"min_bars": 10})})
    write_prices(trained_panel.parent / "prices.csv", {"AAA": 400, "BBB": 400, "C/C": 400, "NEW": 15})
    ingest(panel, local_storage, np.datetime64("2026-10-31T07:00:00", "us"))
    snapshot: Snapshot = take_snapshot(panel, local_storage, None, NOW)
    assert (snapshot.network_ids, snapshot.baseline_ids) == (("AAA", "BBB", "C/C"), ("NEW",))


def test_a_date_before_the_newest_is_a_backfill_with_the_first_values(
    panel: Panel, local_storage: Storage, trained_panel: Path
) -> None:
    first = take_snapshot(panel, local_storage, "2026-10-30", NOW)
    revise(panel, local_storage, trained_panel.parent)
    write_prices(trained_panel.parent / "prices.csv", {"AAA": 401, "BBB": 401, "C/C": 401}, last="2026-10-31")
    ingest(panel, local_storage, np.datetime64("2026-11-01T06:00:00", "us"))
    later = datetime(2026, 11, 1, 6, tzinfo=UTC)

    past = take_snapshot(panel, local_storage, "2026-10-30", later)
    assert (first.origin, past.origin) == ("live", "backfill")
    assert past.rows_digest == first.rows_digest
    assert bars_digest(bars_behind(panel, local_storage, past, past.ids)) == past.rows_digest


def test_the_newest_date_is_live_though_it_is_given(panel: Panel, local_storage: Storage) -> None:
    assert take_snapshot(panel, local_storage, "2026-10-30", NOW) == take_snapshot(
        panel, local_storage, None, NOW
    )


def test_what_restates_the_past_later_does_not_change_a_backfills_bars(
    panel: Panel, local_storage: Storage, trained_panel: Path
) -> None:
    past = take_snapshot(panel, local_storage, "2026-10-20", NOW)
    source = trained_panel.parent / "prices.csv"
    header, *rows = source.read_text().splitlines()
    halved = [f"{row.rsplit(',', 1)[0]},{float(row.rsplit(',', 1)[1]) / 2:.6f}" for row in rows]
    source.write_text("\n".join([header, *halved]) + "\n")
    ingest(panel, local_storage, np.datetime64("2026-11-01T06:00:00", "us"))
    assert bars_digest(bars_behind(panel, local_storage, past, past.ids)) == past.rows_digest
    assert take_snapshot(panel, local_storage, "2026-10-20", NOW).rows_digest != past.rows_digest


def test_a_large_table_is_audited_shard_by_shard_with_the_same_result(
    panel: Panel, local_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = [take_snapshot(panel, local_storage, as_of, NOW) for as_of in (None, "2026-10-20")]
    monkeypatch.setattr("forecasting.prices.snapshot._ONE_READ", 0)
    monkeypatch.setattr("forecasting.shards.SHARD_SERIES", 1)
    assert [take_snapshot(panel, local_storage, as_of, NOW) for as_of in (None, "2026-10-20")] == at_once
