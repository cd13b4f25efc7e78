"""The audit of how times were read: zones, Unix numbers, local midnights; and what an unread row lacks."""

import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from forecasting.as_of import as_of_label, to_instant
from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.prices.audit import rules
from forecasting.prices.schema import VALUES
from forecasting.prices.sources.numbers import why_no_number
from forecasting.prices.sources.times import EPOCH, MAYBE_MIDNIGHT, MIDNIGHT
from forecasting.time_formats import fitting_formats

_PART = re.compile(r'(?P<field>\w+)="(?P<text>[^"]*)"')
_FORMATS_NAMED = 3


def written_row(row: dict[str, Any], panel: Panel) -> str:
    """A row as findings show it: its time, its values, and what could not be read."""
    values = ", ".join(f"{name} {row[name]:g}" for name in VALUES if row[name] is not None)
    when = as_of_label(to_instant(row["ds"]), panel.bars.freq) if row["ds"] else ""
    return " ".join(filter(None, (when, values, row["raw"])))


def why_unread(rows: pa.Table, panel: Panel) -> str:
    """Why rows could not be read: the cause, the first value, its place, and the key that helps.

    Args:
        rows: refused rows of one series, with `raw` and `remark`.
        panel: how they were read.
    """
    raw, place = rows["raw"][0].as_py(), rows["remark"][0].as_py()
    where = f" ({place})" if place else ""
    match = _PART.match(raw)
    if match is None:  # a line or a file
        return (
            "a line has not as many values as the header (a footer?), or a file cannot be read; correct the "
            f"source; the first: {raw}"
        )
    name, text = match["field"], match["text"]
    if name == "unique_id":
        return f"no id{where}; correct the source, or [source].id_column"
    if name != "ds":
        why = why_no_number(text, panel.source.decimal)
        return f'{name} "{text}"{where} {why}'
    texts = [found["text"] for one in rows["raw"].to_pylist() if (found := _PART.match(one))]
    return f'time "{text}"{where} {_why_no_time(texts, panel)}'


def _why_no_time(texts: list[str], panel: Panel) -> str:
    form = panel.source.time_format
    if not any(texts):
        return "is empty; correct the source, or [source].time_column"
    fitting = fitting_formats(filter(None, texts))
    if panel.bars.intraday:
        timed = [one for one in fitting if "%H" in one or "%I" in one]
        if fitting and not timed:
            return (
                "has a date and no time of day, which these bars need; where that is in a column of its "
                "own, set "
                '[source].time_column to both, such as ["Date", "Time"]'
            )
        fitting = timed
    if all(re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", one) for one in texts if one):
        return (
            "has a time of day and no date; set [source].time_column to the columns of both, such as "
            '["Date", "Time"]'
        )
    is_not = f"is not of the form {form}" if form else "is no date or time as ISO 8601 has it"
    if len(fitting) == 1:
        return f'{is_not}; set [source].time_format = "{fitting[0]}", which fits all such rows'
    if fitting:
        some = " or ".join(f'"{one}"' for one in fitting[:_FORMATS_NAMED])
        return (
            f"{is_not}; several formats fit all such rows, and only you know which is meant: set "
            f"[source].time_format to {some}"
        )
    return f"{is_not}; set [source].time_format to how it is written, or correct the source"


def time_findings(rows: pa.Table, panel: Panel) -> Iterator[Finding]:
    """Findings on times without a zone, and on those that were not read as they are written."""
    yield from _zones(rows, panel)
    notes = rows["note"]
    if notes.null_count == len(notes):
        return
    for counted in pc.value_counts(notes.cast(pa.string())).to_pylist():
        note, count = counted["values"], counted["counts"]
        if note is None:
            continue
        first = rows.filter(pc.equal(notes.cast(pa.string()), note)).slice(0, 1).to_pylist()[0]
        yield _noted(note, count, f"{written_row(first, panel)} of {first['unique_id']}")


def _noted(note: str, count: int, first: str) -> Finding:
    if note == EPOCH:
        detail = f"{count} times are Unix numbers, and were read as such, in UTC; the first: {first}"
        return Finding.of(rules.UNIX_TIMES, "", count, detail)
    if note.startswith(MIDNIGHT):
        zone = note.removeprefix(MIDNIGHT)
        detail = (
            f"{count} daily times are midnights in {zone} saved as UTC, and were read as the dates there; "
            "the "
            f'first: {first}; set [source].time_zone = "{zone}" to say so'
        )
        return Finding.of(rules.LOCAL_MIDNIGHT, "", count, detail)
    zone = note.removeprefix(MAYBE_MIDNIGHT)
    detail = (
        f"{count} daily times are no midnights in UTC, but are in {zone}, where their date is another; "
        "they were "
        f'read as written; the first: {first}; if they are days there set [source].time_zone = "{zone}"'
    )
    return Finding.of(rules.MAYBE_LOCAL_MIDNIGHT, "", count, detail)


def _zones(rows: pa.Table, panel: Panel) -> Iterator[Finding]:
    """A finding if times without a zone were taken as UTC, or if only some times name a zone."""
    stated = panel.source.time_zone
    if not panel.bars.intraday:
        return
    timed = rows.filter(pc.and_(rows["ds"].is_valid(), rows["zoned"].is_valid()))
    bare = timed.filter(pc.invert(timed["zoned"]))
    mixed = bare.num_rows < timed.num_rows
    if not bare.num_rows or (stated and not mixed):
        return
    first = bare.slice(0, 1).to_pylist()[0]
    detail = (
        f"{bare.num_rows} of {timed.num_rows} times name no zone and were read as {stated or 'UTC'}; "
        f"the first: {written_row(first, panel)} of {first['unique_id']}; "
        + ("give all times a zone or offset, or none" if mixed else "set [source].time_zone in the panel")
    )
    yield Finding.of(rules.MIXED_ZONES if mixed else rules.NO_ZONE, "", bare.num_rows, detail)
