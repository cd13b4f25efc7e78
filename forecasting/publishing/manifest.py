"""The records of a published forecast: its manifest, which commits it, and the pointer to the newest one.

Three records share one base. `Published` is the part of a manifest that every reader needs; `Manifest` adds
what went into the forecast. `docs/contract.md` documents the fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Self

from forecasting import __version__, contract
from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.prices.snapshot import Origin, Snapshot
from forecasting.publishing.address import FORECAST, ForecastAddress
from forecasting.publishing.decisions import Decision
from forecasting.records import AsOf, Instant, Record


@dataclass(frozen=True, kw_only=True)
class ForecastVersion(Record):
    """Which forecast a record is about, and which of several forecasts counts.

    Attributes:
        panel: the panel's name.
        as_of: the last date whose bars the forecast uses, as written in paths.
        forecast_id: the forecast's identity.
        known_at: when the store learned the newest price used, ISO 8601 in UTC.
        published_at: when the forecast was committed, ISO 8601 in UTC.
        contract_version: version of the forecast contract.
        origin: `live`, or `backfill` for a forecast of a past date.
        provisional: why the forecast was published early, in words; None for a final forecast.
    """

    panel: str
    as_of: AsOf
    forecast_id: str
    known_at: Instant
    published_at: Instant
    contract_version: str = contract.VERSION
    origin: Origin = "live"
    provisional: str | None = None

    @property
    def address(self) -> ForecastAddress:
        """Where the forecast is."""
        return ForecastAddress(self.panel, self.as_of, self.forecast_id)

    @property
    def is_final(self) -> bool:
        """Whether the forecast is final, not provisional."""
        return not self.provisional

    @property
    def is_backfilled(self) -> bool:
        """Whether the forecast was made for a past date."""
        return self.origin == "backfill"

    @property
    def rank(self) -> tuple[bool, bool, str]:
        """Of several forecasts for one `as_of`, the one with the largest rank counts."""
        return self.is_final, not self.is_backfilled, self.known_at

    @property
    def order(self) -> tuple[str, bool, bool, str]:
        """The newest forecast of a panel has the largest order."""
        return self.as_of, *self.rank


@dataclass(frozen=True, kw_only=True)
class Published(ForecastVersion):
    """A committed forecast: what every reader needs of its manifest.

    Attributes:
        objects: SHA-256 of each object in the forecast's folder, by its path below that folder.
        model: the model that made the forecast.
        model_version: that model's version.
        backtest_skill: the model's skill on the holdout, against the random walk; None where untested.
        left_out: reason by series without a forecast.
    """

    objects: dict[str, str] = field(default_factory=dict)
    model: str = ""
    model_version: str = ""
    backtest_skill: float | None = None
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of the forecast's Parquet file."""
        return self.objects[FORECAST]

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Build the record from a manifest's JSON text.

        Raises:
            ValueError: the text is not a manifest, or names no forecast.
        """
        record = super().from_json(data)
        if FORECAST not in record.objects:
            raise ValueError(f"the manifest has no digest of {FORECAST}")
        return record


@dataclass(frozen=True, kw_only=True)
class Manifest(Published):
    """A committed forecast, and everything that went into it.

    Attributes:
        decision: who publishes, and why.
        findings: what the audit found, in rows and in series.
        package_version: version of this package.
        flow_run_id: id of the Prefect run; None outside Prefect.
        price_version: version of the price table that was read.
        rows_digest: digest of the price rows that were used.
        series: number of series.
        rows: number of rows.
    """

    decision: Decision | None = None
    findings: tuple[Finding, ...] = ()
    package_version: str = __version__
    flow_run_id: str | None = None
    price_version: int | None = None
    rows_digest: str = ""
    series: int = 0
    rows: int = 0

    @classmethod
    def of(cls, address: ForecastAddress, **facts: Any) -> Self:
        """Build the manifest of the forecast at `address`, not yet committed: `objects` is empty."""
        given = {"published_at": datetime.now(UTC).isoformat()} | facts
        return cls(panel=address.panel, as_of=address.as_of, forecast_id=address.forecast_id, **given)

    def to_record(self) -> dict[str, Any]:
        """Return the manifest as a dict of JSON types."""
        return {**super().to_record(), "decision": self.decision.to_record() if self.decision else None}


def describe_forecast(
    panel: Panel,
    snapshot: Snapshot,
    decision: Decision,
    address: ForecastAddress,
    row_findings: Sequence[Finding] = (),
) -> Manifest:
    """Build the manifest of a forecast, not yet committed.

    `row_findings` are from the ingest; the snapshot has the findings on series.
    """
    score = decision.verdict.score if decision.verdict else None
    return Manifest.of(
        address,
        known_at=snapshot.known_at,
        origin=snapshot.origin,
        provisional=snapshot.provisional or None,
        model=decision.model,
        model_version=decision.version,
        backtest_skill=score.skill if score else None,
        left_out=snapshot.left_out,
        decision=decision,
        findings=(*row_findings, *snapshot.findings),
        price_version=snapshot.price_version,
        rows_digest=snapshot.rows_digest,
        series=len(snapshot.ids),
        rows=len(snapshot.ids) * panel.forecast.horizon,
    )


@dataclass(frozen=True, kw_only=True)
class Pointer(ForecastVersion):
    """The newest forecast of a panel.

    Attributes:
        path: path of its Parquet file in the store.
        sha256: SHA-256 of that file.
    """

    path: str
    sha256: str

    @classmethod
    def to(cls, published: Published) -> Self:
        """Build the pointer to a committed forecast."""
        shared = {one.name: getattr(published, one.name) for one in fields(ForecastVersion)}
        return cls(**shared, path=published.address.path(FORECAST), sha256=published.digest)

    def to_record(self) -> dict[str, Any]:
        """Return the pointer as a dict of JSON types, without `provisional` where the forecast is final."""
        record = super().to_record()
        return record if record["provisional"] else {k: v for k, v in record.items() if k != "provisional"}
