"""The contents of the report, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from forecasting.calendar import is_intraday
from forecasting.findings import Finding
from forecasting.reports.outlook import Outlook
from forecasting.reports.score_summary import ScoreSummary
from forecasting.reports.series_table import SeriesResult

VERSION_LETTERS = 8  # of a model's version, where people read it


@dataclass(frozen=True)
class Contender:
    """One row of the gate's table: the scores of a model or baseline on the holdout.

    Attributes:
        role: challenger, champion, best on record or baseline.
        model: the model's name.
        version: the model's version; empty for a baseline.
        publishes: whether this one made the forecast.
    """

    role: str
    model: str
    version: str
    publishes: bool
    scaled_quantile_loss: float | None = None
    skill: float | None = None
    mase: float | None = None
    coverage_80: float | None = None
    coverage_90: float | None = None


@dataclass(frozen=True)
class LeftOut:
    """A series without a forecast, and the reason."""

    unique_id: str
    reason: str


@dataclass(frozen=True)
class ReportData:
    """The contents of the report.

    Attributes:
        panel: the panel's name.
        as_of: the forecast's `as_of`, as written in paths.
        known_at: when the store learned the newest price used, UTC.
        freq: frequency of the bars.
        horizon: steps ahead, in bars of `freq`.
        model: the model that publishes.
        model_version: that model's version.
        verdict: why that model publishes; complete sentences.
        series: the forecast of each series, sorted by id.
        contenders: the rows of the gate's table.
        gate: what the gate measured and what happens next; complete sentences.
        findings: the audit's findings.
        left_out: the series without a forecast.
        warnings: what the reader must know first; one sentence each.
        facts: the run's other facts by name, such as its forecast_id and the package version.
        loss_curve: the loss curve of the version trained last, whether it publishes or not, PNG.
        scores: the realised scores of earlier forecasts; None if there are none.
        target: the kind of price, such as "close".
    """

    panel: str
    as_of: str
    known_at: datetime
    freq: str
    horizon: int
    model: str
    model_version: str
    verdict: str
    series: Sequence[SeriesResult]
    contenders: Sequence[Contender] = ()
    gate: str = ""
    findings: Sequence[Finding] = ()
    left_out: Sequence[LeftOut] = ()
    warnings: Sequence[str] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    loss_curve: bytes | None = None
    scores: ScoreSummary | None = None
    target: str = "close"

    @property
    def daily(self) -> bool:
        """Whether bars are days or longer, so that dates suffice as labels."""
        return not is_intraday(self.freq)

    @property
    def outlooks(self) -> dict[str, Outlook]:
        """The outlook of each series."""
        return {result.unique_id: result.outlook for result in self.series}

    @property
    def publisher(self) -> Contender:
        """The row of the model that publishes; a row without numbers if nothing was compared."""
        untested = Contender("", self.model, self.model_version, publishes=True)
        return next((contender for contender in self.contenders if contender.publishes), untested)
