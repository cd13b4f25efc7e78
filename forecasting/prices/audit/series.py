"""The audit of series: which of them can be forecast as of a date, given the bars up to that date."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from forecasting.calendar import BarCalendar
from forecasting.errors import AuditError
from forecasting.findings import Action, Finding, Severity, name_some
from forecasting.formats import format_count
from forecasting.panel import Panel
from forecasting.prices.audit import rules
from forecasting.prices.audit.jumps import Jumps, Splits, find_jumps, find_splits, split_name
from forecasting.prices.bars import Bars

# A series counts as live for this many times `stale_bars` after its last bar. So a run stops when half a
# panel stops updating, but not because of a currency that ended years ago.
LIVE_SPANS = 2
_NAMED = 3
# A daily gap of at most this many bars may be a day that the calendar does not know to be closed.
_STORM_DAYS = 2


@dataclass(frozen=True)
class SeriesAudit:
    """What can be forecast as of a date. Every series with a bar by then is in exactly one of the three.

    Attributes:
        forecast: ids that the network can forecast, sorted.
        baseline: ids that a baseline forecasts, because they lack a whole context.
        left_out: id -> why it has no forecast.
        findings: one for each rule and series that it applies to.
    """

    forecast: tuple[str, ...]
    baseline: tuple[str, ...]
    left_out: dict[str, str]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Examined:
    """What the audit found on some series of a panel, each by itself.

    Attributes:
        forecast, baseline: as in `SeriesAudit`.
        reasons: id -> the finding that leaves the series out.
        live: ids of the series that were live not long before `as_of` and have moved.
        findings: the findings on series that have a forecast.
    """

    forecast: tuple[str, ...] = ()
    baseline: tuple[str, ...] = ()
    reasons: dict[str, Finding] = field(default_factory=dict)
    live: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class _Facts:
    """Measurements of each series, (S,) each. All counts are bars of the calendar.

    Attributes:
        behind: distance from the last bar of the series to the newest bar at `as_of`.
        flat: bars at the end of the series that all have the same value.
        moved: whether the series ever changed from one bar to the next, without a long gap between.
        unbroken: bars since the start of the series or its last gap longer than `max_gap_bars`.
        missing: bars of the calendar that the series lacks, between its first and last bar.
        longest: length of the longest gap.
        after: position in `Bars` of the bar that ends that gap.
    """

    behind: np.ndarray
    flat: np.ndarray
    moved: np.ndarray
    unbroken: np.ndarray
    missing: np.ndarray
    longest: np.ndarray
    after: np.ndarray


def audit_series(
    bars: Bars, panel: Panel, calendar: BarCalendar, as_of: np.datetime64, volume: np.ndarray | None = None
) -> SeriesAudit:
    """Audit every series of `bars` by its bars at or before `as_of`. Later bars have no effect.

    Args:
        bars: the panel's prices.
        panel: the settings.
        calendar: the panel's calendar.
        as_of: datetime64[us], UTC.
        volume: (N,) traded volume of each bar, NaN where unknown; it distinguishes a crash from a split.

    Raises:
        AuditError: no series can be forecast, or more than `max_left_out` of the live ones cannot.
    """
    return conclude([examine_series(bars, panel, calendar, as_of, volume)], panel, as_of)


def examine_series(
    bars: Bars, panel: Panel, calendar: BarCalendar, as_of: np.datetime64, volume: np.ndarray | None = None
) -> Examined:
    """Audit some series of a panel; `conclude` audits the panel. Takes what `audit_series` takes."""
    volume = np.full(len(bars), np.nan) if volume is None else volume
    volume, bars = volume[bars.ds <= as_of], bars.until(as_of)
    if not bars.ids:
        return Examined()
    facts = _facts(bars, panel, calendar, as_of)
    reasons = dict(_left_out(bars, facts, panel, panel.label(as_of)))
    kept = ~np.isin(bars.ids, list(reasons))
    short = kept & (facts.unbroken < panel.model.context_bars + 1)
    padded = short & panel.model.is_pretrained
    return Examined(
        forecast=_names(bars, kept & (~short | padded)),
        baseline=_names(bars, short & ~padded),
        reasons=reasons,
        # A series that has never moved is new, or pegged. It says nothing of the source, and stops no panel.
        live=_names(bars, (facts.behind <= LIVE_SPANS * panel.audit.stale_bars) & facts.moved),
        findings=(
            *_short_contexts(bars, facts, panel, short),
            *_gaps(bars, facts, panel, kept & (facts.missing > 0)),
            *_jumps(bars, panel, volume, kept),
        ),
    )


def conclude(examined: Sequence[Examined], panel: Panel, as_of: np.datetime64) -> SeriesAudit:
    """Audit a panel from what was found on its series, group by group.

    Raises:
        AuditError: no series can be forecast, or more than `max_left_out` of the live ones cannot.
    """
    day = panel.label(as_of)
    reasons = {name: reason for part in examined for name, reason in part.reasons.items()}
    audit = SeriesAudit(
        forecast=tuple(sorted(name for part in examined for name in part.forecast)),
        baseline=tuple(sorted(name for part in examined for name in part.baseline)),
        left_out={
            name: f"{finding.code} {finding.name}: {finding.detail}" for name, finding in reasons.items()
        },
        findings=tuple(
            sorted(
                [*reasons.values(), *(finding for part in examined for finding in part.findings)],
                key=lambda finding: (finding.code, finding.unique_id),
            )
        ),
    )
    if not (audit.forecast or audit.baseline or reasons):
        raise AuditError(
            f"panel {panel.name} has no prices by {day}; ingest older prices, or give a later as_of"
        )
    _check_enough_left(audit, reasons, {name for part in examined for name in part.live}, panel, day)
    return audit


def _facts(bars: Bars, panel: Panel, calendar: BarCalendar, as_of: np.datetime64) -> _Facts:
    position = calendar.position(bars.ds)
    newest = calendar.position(as_of + np.timedelta64(1, "us")) - 1
    first = bars.age == 0
    missing = np.where(first, 0, np.maximum(np.diff(position, prepend=0) - 1, 0))
    broken, changed = missing > panel.audit.max_gap_bars, np.diff(bars.y, prepend=0) != 0
    starts = bars.offsets[:-1]
    longest = np.maximum.reduceat(missing, starts)
    return _Facts(
        behind=newest - position[bars.last],
        flat=_since(bars, first | changed),
        moved=np.logical_or.reduceat(changed & ~first & ~broken, starts),
        unbroken=_since(bars, first | broken),
        missing=np.add.reduceat(missing, starts),
        longest=longest,
        after=_last(bars, missing == longest[bars.series]),
    )


def _since(bars: Bars, here: np.ndarray) -> np.ndarray:
    """(S,) number of bars from the last one where `here` (N,) is true to the end of the series, inclusive."""
    bars_since: np.ndarray = bars.last - _last(bars, here) + 1
    return bars_since


def _last(bars: Bars, here: np.ndarray) -> np.ndarray:
    """(S,) last position in each series where `here` (N,) is true. It must be true somewhere in each."""
    last: np.ndarray = np.maximum.reduceat(np.where(here, np.arange(len(bars)), 0), bars.offsets[:-1])
    return last


def _left_out(bars: Bars, facts: _Facts, panel: Panel, day: str) -> Iterator[tuple[str, Finding]]:
    """Each series without a forecast, with the first reason that applies."""
    settings = panel.audit
    stale = facts.behind > settings.stale_bars
    short = ~stale & (bars.lengths < settings.min_bars)
    flat = ~stale & ~short & ((facts.flat >= settings.flat_bars) | ~facts.moved)
    for at in np.flatnonzero(stale | short | flat):
        last = panel.label(bars.ds[bars.last[at]])
        if stale[at]:
            rule, rows = rules.STALE, int(facts.behind[at])
            late = f"{format_count(rows, 'bar')} before {day}"
            detail = f"last bar {last}, {late}: delisted, or its source stopped updating it"
        elif short[at]:
            rule, rows = rules.TOO_SHORT, int(bars.lengths[at])
            have = f"{format_count(rows, 'bar')} by {day}"
            detail = f"{have}, fewer than [audit].min_bars = {settings.min_bars}"
        else:
            rule, rows = rules.FLAT, int(facts.flat[at])
            same = f"{bars.y[bars.last[at]]:g}"
            detail = f"the last bar, {last}, is {same}"
            if rows > 1:
                detail = f"the last {rows} bars, to {last}, are all {same}"
            if not facts.moved[at]:
                detail += ": the series has not moved yet, so nothing tells how far it may"
        yield bars.ids[at], Finding.of(rule, bars.ids[at], rows, detail)


def _short_contexts(bars: Bars, facts: _Facts, panel: Panel, short: np.ndarray) -> Iterator[Finding]:
    need = panel.model.context_bars + 1
    for at in np.flatnonzero(short):
        have = int(facts.unbroken[at])
        since = panel.label(bars.ds[bars.last[at] - have + 1])
        unbroken = f"{format_count(have, 'bar')} since {since}"
        detail = f"{unbroken} without a long gap; the network's context needs {need}"
        finding = Finding.of(rules.SHORT_CONTEXT, bars.ids[at], have, detail)
        if panel.model.is_pretrained:
            detail = f"{detail}, and is padded"
            finding = replace(finding, action=Action.NOTE, severity=Severity.INFO, detail=detail)
        yield finding


def _gaps(bars: Bars, facts: _Facts, panel: Panel, gappy: np.ndarray) -> Iterator[Finding]:
    limit = panel.audit.max_gap_bars
    for at in np.flatnonzero(gappy):
        end = facts.after[at]
        start, stop = (panel.label(ds) for ds in bars.ds[[end - 1, end]])
        longest = int(facts.longest[at])
        broken = (
            f", more than [audit].max_gap_bars = {limit}: no training window spans it"
            if longest > limit
            else ""
        )
        missing = format_count(int(facts.missing[at]), "bar")
        detail = f"{missing} missing, {longest} of them between {start} and {stop}{broken}"
        if panel.bars.freq == "1D" and longest <= _STORM_DAYS:
            detail += "; days on which the market was closed go into [bars].extra_holidays"
        yield Finding.of(rules.GAPS, bars.ids[at], int(facts.missing[at]), detail)


def _jumps(bars: Bars, panel: Panel, volume: np.ndarray, kept: np.ndarray) -> Iterator[Finding]:
    jumps = find_jumps(bars, panel)
    splits = find_splits(bars, jumps, volume, panel)
    spike = (jumps.size > panel.audit.spike_scales) & kept[bars.series]
    spike[splits.at] = False
    yield from _spikes(bars, panel, jumps, spike)
    yield from _splits(bars, panel, splits, kept)


def _spikes(bars: Bars, panel: Panel, jumps: Jumps, spike: np.ndarray) -> Iterator[Finding]:
    at = np.flatnonzero(spike)
    counts = np.bincount(bars.series[at], minlength=len(bars.ids))
    ends = np.cumsum(counts)[counts > 0] - 1
    largest = at[np.lexsort((jumps.size[at], bars.series[at]))][ends]
    for last, place in zip(at[ends], largest, strict=True):
        series = bars.series[place]
        day = panel.label(bars.ds[last])
        detail = (
            f"{counts[series]} larger than {panel.audit.spike_scales:g} times the usual change, the last on "
            f"{day}; the largest, {jumps.size[place]:.0f} times, {_move(bars, panel, place)}"
        )
        yield Finding.of(rules.SPIKES, bars.ids[series], int(counts[series]), detail)


def _splits(bars: Bars, panel: Panel, splits: Splits, kept: np.ndarray) -> Iterator[Finding]:
    for place, ratio in zip(splits.at, splits.ratio, strict=True):
        series = bars.series[place]
        if kept[series]:
            advice = "use adjusted prices, or set [audit].adjust_splits = true"
            detail = f"{split_name(ratio)}, {_move(bars, panel, place)}: {advice}"
            yield Finding.of(rules.SPLIT, bars.ids[series], 1, detail)


def _move(bars: Bars, panel: Panel, place: int) -> str:
    """The change of a bar, as `from 88.99 to 44.86 on 2005-02-28`."""
    day = panel.label(bars.ds[place])
    return f"from {bars.y[place - 1]:g} to {bars.y[place]:g} on {day}"


def _check_enough_left(
    audit: SeriesAudit, reasons: dict[str, Finding], live: set[str], panel: Panel, day: str
) -> None:
    lost = [finding for name, finding in reasons.items() if name in live]
    if (audit.forecast or audit.baseline) and len(lost) <= panel.audit.max_left_out * len(live):
        return
    detail = (
        f"{len(lost)} of {len(live)} live series of panel {panel.name} have no "
        f"forecast as of {day} ({_summary(lost or list(reasons.values()))}); "
        "the last forecast stands: check the source, or change [audit] in the panel"
    )
    raise AuditError.of(Finding.of(rules.TOO_MANY_LEFT_OUT, "", len(lost), detail), [*reasons.values()])


def _summary(findings: list[Finding]) -> str:
    """The reasons, most common first, with a few names each."""
    by_rule: dict[str, list[str]] = {}
    for finding in findings:
        by_rule.setdefault(f"{finding.code} {finding.name}", []).append(finding.unique_id)
    return "; ".join(
        f"{len(names)} {rule}: {name_some(names, _NAMED)}"
        for rule, names in sorted(by_rule.items(), key=lambda item: -len(item[1]))
    )


def _names(bars: Bars, mask: np.ndarray) -> tuple[str, ...]:
    return tuple(bars.ids[at] for at in np.flatnonzero(mask))
