"""What runs are called."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.backfill import backfill
from flows.backtest import backtest
from flows.freshness import freshness
from flows.maintenance import maintenance
from flows.nightly import nightly
from flows.retrain import retrain
from flows.score import score
from tests.conftest import TINY_PANEL

DUE = datetime(2026, 10, 31, 6, 0, tzinfo=UTC)

Runtime = Callable[..., None]


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """Sets what Prefect says of the run that starts."""

    def start(name: str = "stylish-oarfish", **parameters: Any) -> None:
        run = SimpleNamespace(name=name, parameters=parameters, scheduled_start_time=DUE)
        monkeypatch.setattr("flows.run_names.flow_run", run)

    return start


def name_of(flow: Any) -> str:
    found: str = flow.flow_run_name()
    return found


@pytest.mark.parametrize(
    ("flow", "parameters", "name"),
    [
        (nightly, {}, "tiny 2026-10-30"),  # the bar of the day on which it is due is not closed
        (nightly, {"as_of": date(2026, 10, 20)}, "tiny 2026-10-20"),
        (retrain, {}, "tiny 2026-10-30 retrain"),
        (
            backfill,
            {"start": date(2026, 10, 1), "end": date(2026, 10, 9)},
            "tiny 2026-10-01 to 2026-10-09 backfill",
        ),
        (backtest, {}, "tiny 2026-10-31 backtest"),
        (score, {}, "tiny 2026-10-31 score"),
    ],
)
def test_a_run_of_a_panel_carries_panel_and_date(
    tiny_panel: Path, runtime: Runtime, flow: Any, parameters: dict[str, Any], name: str
) -> None:
    runtime(panel=str(tiny_panel), panels=None, **parameters)
    assert name_of(flow) == name


def test_an_intraday_run_carries_its_time(tiny_panel: Path, runtime: Runtime) -> None:
    tiny_panel.write_text(f'{TINY_PANEL}[bars]\nfreq = "1h"\n', encoding="utf-8")
    runtime(panel=str(tiny_panel), as_of=date(2026, 10, 20), as_of_time=time(14))
    assert name_of(nightly) == "tiny 2026-10-20T1400Z"


def test_a_run_with_a_bad_panel_file_carries_the_day_on_which_it_is_due(
    tiny_panel: Path, runtime: Runtime
) -> None:
    tiny_panel.write_text("name = ", encoding="utf-8")
    runtime(panel=str(tiny_panel))
    assert name_of(nightly) == "tiny 2026-10-31"


def test_runs_of_all_panels_carry_their_time(runtime: Runtime) -> None:
    runtime(max_age_hours=None)
    assert name_of(freshness) == "all 2026-10-31 06:00 freshness"
    runtime(only_panel=None, dry_run=True)
    assert name_of(maintenance) == "all 2026-10-31 maintenance"
    runtime(only_panel="tiny")
    assert name_of(maintenance) == "tiny 2026-10-31 maintenance"


@pytest.mark.parametrize("given", ["Scores for Ana", "after the split", "retry-2", "tiny 2026-10-20"])
def test_a_name_that_a_person_gives_is_kept(runtime: Runtime, given: str) -> None:
    runtime(given, panel="tiny")
    assert name_of(score) == given


@pytest.mark.parametrize(
    "filled_in", ["stylish-oarfish", "gamma2-arietis-x", "alpha514-canis-majoris", "delta2", "mu--void"]
)
def test_a_name_that_prefect_fills_in_is_replaced(runtime: Runtime, filled_in: str) -> None:
    runtime(filled_in, panel="tiny")
    assert name_of(score) == "tiny 2026-10-31 score"
