"""The backtest flow against a real Prefect server; the network is a sham, which takes no time to train."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import ParameterTypeError

from flows.backtest import backtest
from forecasting.digests import digest_bytes
from forecasting.errors import AuditError
from forecasting.models.baselines import EwmaWalk
from forecasting.models.windows import Windows

pytestmark = pytest.mark.usefixtures("prefect_server")


@dataclass(frozen=True)
class Sham:
    """In the place of a network: the EWMA walk, half as wide."""

    training_end: str
    name: str = "stacked_lstm"

    def predict(self, windows: Windows, origins: np.ndarray) -> np.ndarray:
        return EwmaWalk.fit(windows, np.datetime64(self.training_end)).predict(windows, origins) / 2


@pytest.fixture(autouse=True)
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The training ends, in the place of TensorFlow."""
    ends: list[str] = []

    def train(_panel: object, _bars: object, end: np.datetime64, on_progress: Any) -> SimpleNamespace:
        ends.append(str(end)[:10])
        on_progress(1, 2, "step 10 of 20")
        return SimpleNamespace(model_bytes=b"", state={"training_end": str(end)})

    monkeypatch.setattr("forecasting.evaluation.backtest.train_network", train)
    monkeypatch.setattr(
        "forecasting.evaluation.backtest.load_network", lambda _panel, _bytes, state: Sham(**state)
    )
    return ends


def run(panel: Path, **parameters: Any) -> Path:
    """The folder of its files."""
    store = panel.parent / "store"
    return store / backtest(panel=str(panel), store=str(store), **parameters)


def shown(key: str) -> Any:
    with get_client(sync_client=True) as client:
        (found,) = [one for one in client.read_latest_artifacts() if one.key == key]
    return found.data


def test_scores_report_and_every_prediction_are_kept_and_shown(tiny_panel: Path, trained: list[str]) -> None:
    started = datetime.now(UTC)
    folder = run(tiny_panel, cutoffs=4, stride=10, refit=2)
    assert len(trained) == 2
    summary = json.loads((folder / "_summary.json").read_text(encoding="utf-8"))
    assert summary["plan"] == {"cutoffs": 4, "stride": 10, "refit_every": 2}
    assert summary["cutoffs"] == ["2026-09-25", "2026-10-05", "2026-10-15", "2026-10-25"]
    assert datetime.fromisoformat(summary["written_at"]) > started
    assert summary["objects"] == {
        name: digest_bytes((folder / name).read_bytes()) for name in ("predictions.parquet", "_report.html")
    }
    predictions = pd.read_parquet(folder / "predictions.parquet")
    assert len(predictions) == 3 * 4 * 3 * 5  # candidates, cutoffs, series, steps
    assert set(predictions["forecast_id"]) == {folder.name}

    text = shown("backtest-tiny")
    assert "at 4 cutoffs from 2026-09-25 to 2026-10-25, 10 bars apart: 3 series, 12 windows" in text
    assert "| Candidate | SQL | SQL ratio |" in text
    assert text.count("](data:image/png;base64,") == 1
    assert str(folder / "_report.html") in text
    assert shown("backtesting-tiny") == 100.0


def test_the_same_backtest_again_lies_at_the_same_place(tiny_panel: Path) -> None:
    folder = run(tiny_panel, cutoffs=2)
    before = (folder / "predictions.parquet").read_bytes()
    assert run(tiny_panel, cutoffs=2) == folder
    assert (folder / "predictions.parquet").read_bytes() == before
    assert run(tiny_panel, cutoffs=3) != folder


def test_too_many_cutoffs_are_told(tiny_panel: Path) -> None:
    with pytest.raises(AuditError, match="panel tiny has 400 bars; 12 cutoffs every 72 bars"):
        run(tiny_panel)


@pytest.mark.parametrize("value", [{"cutoffs": 0}, {"stride": 0}, {"refit": 0}, {"cutoffs": "many"}])
def test_a_value_that_makes_no_sense_is_refused(tiny_panel: Path, value: dict[str, Any]) -> None:
    with pytest.raises(ParameterTypeError, match=next(iter(value))):
        run(tiny_panel, **value)
