"""The audit of rows: which offered rows may enter the price table."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.calendar import BarCalendar
from forecasting.findings import Finding, Rule, name_some
from forecasting.panel import Panel
from forecasting.prices.audit import rules
from forecasting.prices.audit.spacing import spacing_findings
from forecasting.prices.audit.times import time_findings, why_unread, written_row
from forecasting.prices.audit.values import MOST, drop_values
from forecasting.prices.order import (
    BarOrder,
    arrange,
    instants,
    order_bars,
    ranked,
    same_as_before,
    series_ranks,
)
from forecasting.prices.schema import GOOD, REFUSED

# Characters that `storage.file_name` encodes: separators, leading dots, and special ones in shells and URLs.
_UNSAFE = r"[^A-Za-z0-9_.~=+@ -]|^\."
_NAMED = 3
# `raw` of a row in which only the time could not be read.
_ONLY_THE_TIME = r'^ds="(?P<ds>[^"]*)"$'


@dataclass(frozen=True)
class RowAudit:
    """The result of the audit: each offered row is good, refused, repaired or pending.

    Attributes:
        offered: number of offered rows.
        good: `schema.GOOD`, sorted by `unique_id`, `ds`, one row per bar.
        refused: `schema.REFUSED`; the rows for the quarantine.
        repaired: number of rows that only repeat another row.
        pending: number of rows of the bar that is not closed yet; the next ingest takes them.
        findings: one for each rule and series that it applies to.
    """

    offered: int
    good: pa.Table
    refused: pa.Table
    repaired: int
    pending: int
    findings: tuple[Finding, ...]


def audit_rows(offered: pa.Table, panel: Panel, calendar: BarCalendar, now: np.datetime64) -> RowAudit:
    """Sort the offered rows into good ones and refused ones; a row is refused for the first rule it breaks.

    Rows of the first bar that is not closed yet are pending, without a finding: every intraday source shows
    that bar while it forms. A later bar is refused.

    Args:
        offered: all rows that one ingest read from the source, `schema.OFFERED`.
        panel: its transform and target decide what a valid price is.
        calendar: the panel's calendar.
        now: datetime64[us], UTC; decides which bars are closed.
    """
    forming = calendar.future(calendar.newest_closed(now), 1)[0]
    complete = _where(offered, instants(offered["ds"]) != forming)
    complete, lost = drop_values(complete, panel)
    checks = _checks(complete, panel, calendar, forming)
    verdict = np.zeros(complete.num_rows, dtype=np.int8)
    for number, (_, broken) in enumerate(checks, start=1):
        verdict[(verdict == 0) & broken] = number
    passed = _where(complete, verdict == 0)
    order = order_bars(passed)
    good, repeats, conflicts = _one_row_a_bar(arrange(passed, order.rows), order.again)
    refused = [
        _refuse(_where(complete, verdict == number), rule, panel)
        for number, (rule, _) in enumerate(checks, start=1)
    ]
    refused.append(_refuse(conflicts, rules.CONFLICT, panel))
    repeated = _refuse(repeats, rules.DUPLICATE, panel)
    findings = [
        *_unsorted(passed["unique_id"], order),
        *_findings(pa.concat_tables([*refused, repeated]), panel),
        *lost,
        *_unsafe_ids(good["unique_id"]),
        *time_findings(complete, panel),
        *spacing_findings(good, complete, panel, calendar),
    ]
    refused_rows = pa.concat_tables([rows.select(REFUSED.names) for rows in refused]).cast(REFUSED)
    return RowAudit(
        offered=offered.num_rows,
        good=good.select(GOOD.names),
        refused=refused_rows,
        repaired=repeats.num_rows,
        pending=offered.num_rows - complete.num_rows,
        findings=tuple(sorted(findings, key=lambda finding: (finding.code, finding.unique_id))),
    )


def _checks(
    rows: pa.Table, panel: Panel, calendar: BarCalendar, forming: np.datetime64
) -> list[tuple[Rule, np.ndarray]]:
    """(N,) bool per rule: the rows that break it. The most specific rule comes first.

    Only the target can break a rule here: `values` has dropped the other values that break one.
    """
    ds, target = instants(rows["ds"]), panel.forecast.target
    values = rows[target].to_numpy()  # NaN where null
    valid = rows[target].is_valid().to_numpy()
    with np.errstate(invalid="ignore"):
        extreme = np.abs(values) > MOST
        not_positive = values <= 0 if panel.forecast.transform == "log" else np.zeros(len(values), dtype=bool)
    return [
        (rules.CLOCK_CHANGE, _at_clock_change(rows, panel)),
        (rules.UNREADABLE, rows["raw"].is_valid().to_numpy()),
        (rules.IN_THE_FUTURE, ds > forming),
        (rules.OFF_CALENDAR, ~calendar.contains(ds)),
        (rules.NO_TARGET, ~valid),
        (rules.NOT_FINITE, (valid & ~np.isfinite(values)) | extreme),
        (rules.NOT_POSITIVE, not_positive),
        (rules.NEGATIVE_VOLUME, values < 0 if target == "volume" else np.zeros(len(values), dtype=bool)),
    ]


def _at_clock_change(rows: pa.Table, panel: Panel) -> np.ndarray:
    """Rows whose time can be parsed, but is ambiguous or does not exist in the source's time zone."""
    found = np.zeros(rows.num_rows, dtype=bool)
    if not panel.source.time_zone:
        return found
    written = pc.extract_regex(rows["raw"], _ONLY_THE_TIME)
    places = np.flatnonzero(written.is_valid())
    texts = pc.struct_field(written.take(pa.array(places)), "ds").to_pandas()
    form = panel.source.time_format or "ISO8601"
    found[places] = pd.to_datetime(texts, format=form, errors="coerce", utc=True).notna()
    return found


def _where(table: pa.Table, rows: np.ndarray) -> pa.Table:
    """`table.filter`, without a copy in the common cases that all rows or none are kept."""
    count = np.count_nonzero(rows)
    if count in (0, len(rows)):
        return table.slice(0, count)
    return table.filter(pa.array(rows))


def _one_row_a_bar(table: pa.Table, again: np.ndarray) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Split a sorted `table` into one row per bar, rows that repeat it, and rows that conflict.

    Args:
        table: rows sorted so that the rows of one bar are adjacent.
        again: (N,) whether each row belongs to the same bar as the row before.
    """
    if not again.any():
        return table, table.slice(0, 0), table.slice(0, 0)
    bar = np.cumsum(~again) - 1
    in_conflict = np.bincount(bar, weights=again & ~same_as_before(table))[bar] > 0
    return (
        _where(table, ~again & ~in_conflict),
        _where(table, again & ~in_conflict),
        _where(table, in_conflict),
    )


def _refuse(rows: pa.Table, rule: Rule, panel: Panel) -> pa.Table:
    said = {"code": rule.code, "detail": _detail(rule, panel)}
    for name, text in said.items():
        rows = rows.append_column(name, pa.repeat(text, rows.num_rows))
    return rows.select([*REFUSED.names, "remark"])


def _detail(rule: Rule, panel: Panel) -> str:
    target, calendar = panel.forecast.target, panel.calendar
    said = {
        rules.OFF_CALENDAR: f"calendar {calendar.name}, which covers {calendar.begin} to {calendar.end}, "
        "has no such bar; check [bars].calendar and freq, or list days that it lacks in "
        "[bars].extra_sessions",
        rules.IN_THE_FUTURE: f"{rules.IN_THE_FUTURE.explanation}; correct the source, or set "
        "[source].time_zone to the zone that its times are in",
        rules.NOT_POSITIVE: 'a price is not above zero, so it has no logarithm; set transform = "diff"',
        rules.NO_TARGET: f"no {target}; map another column in [source.columns], or correct the source",
    }
    return said.get(rule, rule.explanation)


def _findings(refused: pa.Table, panel: Panel) -> Iterator[Finding]:
    """One finding for each rule and series, naming the first row."""
    if not refused.num_rows:
        return
    by = ["code", "unique_id", "ds"]
    ids = pc.fill_null(refused["unique_id"].cast(pa.string()), "")
    refused = refused.set_column(0, "unique_id", ids)
    refused = refused.sort_by([(name, "ascending") for name in by])
    counts = refused.group_by(["code", "unique_id"], use_threads=False).aggregate([([], "count_all")])
    starts = np.concatenate([[0], np.cumsum(counts["count_all"].to_numpy())])
    for first, start, rows in zip(
        refused.take(starts[:-1]).to_pylist(), starts, np.diff(starts), strict=False
    ):
        detail = f"{first['detail']}; the first: {written_row(first, panel)}"
        if first["code"] == rules.UNREADABLE.code and first["raw"]:
            detail = why_unread(refused.slice(start, rows), panel)
        yield Finding.of(rules.RULES[first["code"]], first["unique_id"], int(rows), detail)


def _unsorted(ids: pa.ChunkedArray, order: BarOrder) -> Iterator[Finding]:
    """Series whose rows go both forward and back in time. Oldest first and newest first are both in order.

    Args:
        ids: ids of the rows in their original order.
        order: order of the rows by series and time.
    """
    series = series_ranks(ids)[order.rows]
    ways = np.sign(np.diff(order.rows))
    ways[order.again[1:] | (np.diff(series) != 0)] = 0
    if not ((ways > 0).any() and (ways < 0).any()):
        return
    forward, back = (np.bincount(series[1:][ways == way], minlength=series[-1] + 1) for way in (1, -1))
    names = ranked(ids)[1].to_pylist()
    for at in np.flatnonzero((forward > 0) & (back > 0)):
        count = int(min(forward[at], back[at]))
        yield Finding.of(rules.UNSORTED, names[at], count, "rows were neither oldest nor newest first")


def _unsafe_ids(ids: pa.ChunkedArray) -> Iterator[Finding]:
    """Ids that are encoded in file names: one finding for the panel, since all its ids may be like that."""
    unique = pc.unique(ids).cast(pa.string())
    unsafe = unique.filter(pc.match_substring_regex(unique, _UNSAFE))
    if len(unsafe):
        some = name_some([repr(name) for name in unsafe.to_pylist()], _NAMED)
        detail = f"file names of {some} are encoded; the data keeps the ids unchanged"
        yield Finding.of(rules.UNSAFE_ID, "", len(unsafe), detail)
