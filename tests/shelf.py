"""A store to clear up: forecasts, versions and decisions of any age, made in no time."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from forecasting import contract
from forecasting.contract import SeriesForecast
from forecasting.digests import digest_bytes
from forecasting.evaluation.verdict import Verdict
from forecasting.models.registry import Registry
from forecasting.panel import Panel
from forecasting.publishing import publish
from forecasting.publishing.address import FORECAST, REPORT, ForecastAddress, forecasts_folder
from forecasting.publishing.decisions import Decision, DecisionLog
from forecasting.publishing.manifest import Manifest
from forecasting.records import seal
from forecasting.selection.challenger import settings_digest
from forecasting.storage import Storage

# Later than any clock, so that all that a test writes was written long ago.
TODAY = date(2100, 1, 1)
NOW = datetime(2100, 1, 1, 3, 40, tzinfo=UTC)
HORIZON = 3


def ago(days: int) -> str:
    return (TODAY - timedelta(days=days)).isoformat()


def instant(days: int) -> str:
    return (NOW - timedelta(days=days)).isoformat(timespec="microseconds")


def panel_of(**retention: int) -> Panel:
    return Panel.model_validate({"name": "tiny", "source": {"uri": "x"}, "retention": retention})


def forecast_bytes(as_of: str, forecast_id: str) -> bytes:
    cutoff = np.array([as_of], dtype="datetime64[us]")
    made = SeriesForecast(
        ids=("AAA",),
        cutoff=cutoff,
        y_cutoff=np.array([1.0]),
        ds=cutoff[:, None] + np.arange(1, HORIZON + 1) * np.timedelta64(1, "D"),
        quantiles=np.ones((1, HORIZON, 11)),
        model="stacked_lstm",
        version="v",
    )
    return contract.to_bytes(contract.to_table([made], forecast_id), {})


def verdict_of(**versions: str) -> Verdict:
    """A verdict on these versions, by candidate."""
    names = dict.fromkeys(("publishes", "model", "best"), "stacked_lstm")
    return Verdict(**names, reason="because", gated=True, training_end="2026-01-01", versions=versions)


def decision_of(**facts: Any) -> Decision:
    """A decision that a manifest holds."""
    given = {"challenger": "", "model": "stacked_lstm", "version": "", "verdict": None} | facts
    return Decision(
        as_of=ago(0),
        decided_at=instant(0),
        settings="s",
        reason="because",
        best=given.pop("best", ""),
        **given,
    )


@dataclass
class Shelf:
    panel: Panel
    storage: Storage

    @property
    def registry(self) -> Registry:
        return Registry(self.storage, self.panel.name)

    @property
    def log(self) -> DecisionLog:
        return DecisionLog(self.storage, self.panel.name)

    def forecast(
        self, days: int, forecast_id: str, published: int | None = None, **facts: Any
    ) -> ForecastAddress:
        """Publish one for the `as_of` so many days ago, `published` days ago if not at once."""
        at = instant(days if published is None else published)
        address = self.unfinished(days, forecast_id)
        record = {"known_at": at, "published_at": at, **facts}
        publish.point_latest(self.storage, publish.commit(self.storage, Manifest.of(address, **record)))
        return address

    def unfinished(self, days: int, forecast_id: str) -> ForecastAddress:
        address = ForecastAddress(self.panel.name, ago(days), forecast_id)
        self.storage.put(address.path(FORECAST), forecast_bytes(ago(days), forecast_id))
        self.storage.put(address.path(REPORT), b"<html>")
        return address

    def version(self, name: str, days: int) -> str:
        facts = {
            "trained_at": instant(days),
            "settings": self.panel.model_keys(),
            "sha256": digest_bytes(b"a network"),
        }
        self.storage.put(self.registry.path(name, "model.keras"), b"a network")
        self.storage.put(self.registry.path(name, "metadata.json"), seal(facts))
        return name

    def decision(self, days: int, version: str, best: str = "", model: str = "stacked_lstm") -> Decision:
        """The gate's word so many days ago."""
        return self.log.append(
            Decision(
                as_of=ago(days),
                decided_at=instant(days),
                challenger=version,
                model=model,
                version=version,
                settings=settings_digest(self.panel),
                reason="",
                verdict=None,
                best=best or version,
                trained_for=ago(days),
            )
        )

    def forecasts(self) -> list[str]:
        """The ids of all that are committed, by path."""
        folder = forecasts_folder(self.panel.name)
        return [
            record.forecast_id
            for _, record in sorted(publish.find_published(self.storage, folder), key=lambda pair: pair[0])
        ]
