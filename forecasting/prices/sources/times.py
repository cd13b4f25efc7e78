"""Times as vendors write them: ISO 8601, other formats, Unix numbers, local midnights saved as UTC."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.calendar import bar_calendar, calendar_zone
from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.schema import INSTANT
from forecasting.prices.sources.cells import is_text

_OFFSET = r"\s*(?:[zZ]|[+-]\d{2}(?::?\d{2})?)$"
_CLOCK = r"[tT ].*$"
_TIME_WITH_OFFSET = r"\d[tT ]\d.*(?:[zZ]|[+-]\d{2}(?::?\d{2})?)$"
_UTC_NAME = r"\s*(?:UTC|GMT|utc|gmt)$"
_UTC_LETTERS = r"\s*(?:UTC|GMT|Z|utc|gmt|z)$"
# A colon between digits, or a time of day without one at the end; a Unix number has one too.
_HAS_CLOCK = r"\d:\d{2}|\d[T ]\d{4,6}|^\s*\d{9,}"
_NUMBER = re.compile(r"\d{8,19}(?:\.\d*)?")
# Unix time in seconds, milliseconds, microseconds and nanoseconds: from 1973 to 5138, none overlaps another.
_UNITS = ((1e8, 1), (1e11, 10**3), (1e14, 10**6), (1e17, 10**9))
_LEAST_DATE, _MOST_DATE = 19_000_101, 22_991_231  # as numbers, YYYYMMDD
# Years that a time may have: what is outside them is a mistake, and no other part can write it.
_FIRST = np.datetime64("1000-01-01", "us")
_LAST = np.datetime64("9999-01-01", "us")
_DAY = np.timedelta64(1, "D")
# The FX day begins at 17:00 New York, seven hours before its date does there.
_FX_LEAD = np.timedelta64(7, "h")
# Zones to name where daily times are local midnights, but the calendar has no zone.
_ZONES = ("Asia/Tokyo", "Asia/Shanghai", "Europe/Berlin", "Europe/London", "Asia/Kolkata", "Australia/Sydney")

EPOCH = "epoch"
MIDNIGHT = "midnight "
MAYBE_MIDNIGHT = "maybe midnight "


@dataclass(frozen=True)
class Times:
    """The times of N rows.

    Attributes:
        ds: (N,) instants; null where a text is not a time. A daily time is midnight UTC of its date.
        zoned: (N,) whether an intraday time names its zone; null for daily bars.
        note: how the times were read, where that is not as they are written; empty where it is.
    """

    ds: pa.ChunkedArray
    zoned: pa.ChunkedArray
    note: str = ""


@dataclass(frozen=True)
class _Moments:
    """Distinct times, K of them.

    Attributes:
        local: (K,) datetime64[us]; the clock and date as written.
        utc: (K,) datetime64[us]; the instant, of a time without a zone as if it were UTC.
        zoned: (K,) bool; whether a zone or offset is written.
        note: see `Times`.
    """

    local: np.ndarray
    utc: np.ndarray
    zoned: np.ndarray
    note: str = ""


def read_times(columns: Sequence[pa.ChunkedArray], panel: Panel, name: str) -> Times:
    """The times in one column, or the dates and clock times in two.

    A daily time is its date as written. It is the date in `[source].time_zone` where that is stated, and in
    the calendar's zone where all times are midnights there and fit the calendar only so. An intraday time
    without a zone is in `[source].time_zone`, else UTC; one that occurs twice or never there becomes null.

    Args:
        columns: texts, dates, timestamps or Unix numbers.
        panel: its frequency, calendar, and format and zone of times.
        name: of the source in messages.

    Raises:
        SourceError: the type names an unknown zone.
        pyarrow.ArrowNotImplementedError: the type of a column holds no times.
    """
    column = columns[0] if len(columns) == 1 else _joined(columns)
    encoded = column.combine_chunks()
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    moments = _moments(encoded.dictionary, panel, name)
    if panel.bars.intraday and _are_dates(encoded.dictionary):
        ds, zoned, note = _no_times(len(moments.utc)), pa.nulls(len(encoded), pa.bool_()), ""
    elif panel.bars.intraday:
        ds, zoned = _intraday(moments, panel), pa.array(moments.zoned).take(encoded.indices)
        note = moments.note
    else:
        ds, note = _dates(moments, panel)
        zoned = pa.nulls(len(encoded), pa.bool_())
    with np.errstate(invalid="ignore"):
        ds = np.where((ds >= _FIRST) & (ds < _LAST), ds, np.datetime64("NaT"))
    instants = pa.array(ds, pa.timestamp("us")).cast(INSTANT).take(encoded.indices)
    return Times(pa.chunked_array([instants]), pa.chunked_array([zoned]), note)


def _are_dates(values: pa.Array) -> bool:
    """Whether several distinct times are all dates without a time of day: no bars of a part of a day."""
    if len(values) < 2 or not (is_text(values.type) or pa.types.is_date(values.type)):  # noqa: PLR2004
        return False
    if pa.types.is_date(values.type):
        return True
    return not pc.any(pc.match_substring_regex(values.cast(pa.string()), _HAS_CLOCK)).as_py()


def _no_times(count: int) -> np.ndarray:
    return np.full(count, np.datetime64("NaT", "us"))


def _joined(columns: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    texts = [pc.utf8_trim_whitespace(column.cast(pa.string())) for column in columns]
    return pa.chunked_array([pc.binary_join_element_wise(*[t.combine_chunks() for t in texts], " ")])


def _moments(values: pa.Array, panel: Panel, name: str) -> _Moments:
    kind = values.type
    if is_text(kind):
        return _from_text(pc.utf8_trim_whitespace(values.cast(pa.string())), panel)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _from_numbers(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        raise pa.ArrowNotImplementedError(f"{kind} is not a date or time")
    utc = _instants(values)
    zone = kind.tz if pa.types.is_timestamp(kind) else None
    local = utc
    if zone and not panel.bars.intraday:
        local = _local(utc, _known_zone(zone, name))
    return _Moments(local, utc, np.full(len(utc), zone is not None))


def _instants(values: pa.Array) -> np.ndarray:
    """(K,) datetime64[us] of dates or timestamps; what is out of range is NaT, and no error."""
    if pa.types.is_date(values.type):
        unit, numbers = (
            ("D", values.cast(pa.int32())) if values.type == pa.date32() else ("ms", values.cast(pa.int64()))
        )
    else:
        unit, numbers = values.type.unit, values.cast(pa.int64())
    counts = numbers.to_numpy(zero_copy_only=False).astype(np.float64)
    least, most = (
        edge.astype(f"datetime64[{unit}]").astype(np.float64) if unit != "ns" else -np.inf
        for edge in (_FIRST, _LAST)
    )
    known = np.isfinite(counts) & ((unit == "ns") | ((counts >= least) & (counts < most)))
    exact = pc.fill_null(numbers, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    times = np.where(known, exact, 0).astype(f"datetime64[{unit}]").astype("datetime64[us]")
    return np.where(known, times, np.datetime64("NaT"))


def _from_numbers(numbers: np.ndarray) -> _Moments:
    """Dates written as the number YYYYMMDD, or Unix times, whose size tells their unit."""
    is_date = (numbers >= _LEAST_DATE) & (numbers <= _MOST_DATE)
    if is_date.any() and (is_date | np.isnan(numbers)).all():
        texts = pd.Series(np.where(is_date, numbers, 0).astype(np.int64).astype(str))
        dates = pd.to_datetime(texts, format="%Y%m%d", errors="coerce").to_numpy("datetime64[us]")
        return _Moments(dates, dates, np.zeros(len(dates), dtype=bool))
    times = _no_times(len(numbers))
    for least, per_second in _UNITS:
        here = (numbers >= least) & (numbers < least * 1e3)
        times[here] = (numbers[here] / per_second * 1e6).round().astype("datetime64[us]")
    return _Moments(times, times, np.ones(len(times), dtype=bool), EPOCH)


def _from_text(values: pa.Array, panel: Panel) -> _Moments:
    written, form = values.to_pandas(), panel.source.time_format
    known = written.dropna()
    if not form and len(known) and known.map(_is_unix_number).all():
        return _from_numbers(pd.to_numeric(written, errors="coerce").to_numpy(np.float64))
    if "%Z" in form:
        form = form.replace("%Z", "%z")
        written = written.str.replace(_UTC_LETTERS, "+0000", regex=True)
        form = re.sub(r"\s+%z$", "%z", form)
    elif not form:
        written = written.str.replace(_UTC_NAME, "Z", regex=True)
    if "%z" in form:
        zoned = np.ones(len(written), dtype=bool)
        bare = written.str.replace(_OFFSET, "", regex=True) if form.endswith("%z") else written
        local = _parsed(bare, form.removesuffix("%z").rstrip() if form.endswith("%z") else form)
        utc = _parsed(written, form)
        # A date counts as it is written, even where its offset is not.
        utc = utc if panel.bars.intraday else np.where(np.isnat(utc), local, utc)
    elif form:
        local = utc = _parsed(written, form)
        zoned = np.zeros(len(written), dtype=bool)
    else:
        zoned = written.str.contains(_TIME_WITH_OFFSET, na=False).to_numpy(bool)
        utc = _parsed(written, "ISO8601")
        local = _parsed(written.mask(zoned, written.str.replace(_OFFSET, "", regex=True)), "ISO8601")
        local = np.where(np.isnat(utc), np.datetime64("NaT"), local)
    return _Moments(local, utc, zoned)


def _is_unix_number(text: str) -> bool:
    """Whether a text is a Unix time; eight digits are a date, and fourteen a date and time."""
    whole = text.partition(".")[0]
    return bool(_NUMBER.fullmatch(text)) and len(whole) not in (8, 14)


def _parsed(written: pd.Series, form: str) -> np.ndarray:
    times = pd.to_datetime(written, format=form, utc=True, errors="coerce")
    return times.dt.tz_convert(None).to_numpy("datetime64[us]")


def _intraday(moments: _Moments, panel: Panel) -> np.ndarray:
    zone = panel.source.time_zone
    if not zone or moments.zoned.all():
        return moments.utc
    local = pd.Series(moments.local).mask(moments.zoned)
    localised = local.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").dt.tz_convert(None)
    return np.where(moments.zoned, moments.utc, localised.to_numpy("datetime64[us]"))


def _dates(moments: _Moments, panel: Panel) -> tuple[np.ndarray, str]:
    """(K,) the date of each daily time, and the note on how it was found."""
    written, stated = _midnight(moments.local), panel.source.time_zone
    known = ~np.isnat(moments.local)
    has_clock_time = bool((moments.local != written)[known].any())
    if stated:
        local = _local(moments.utc, ZoneInfo(stated))
        are_midnights = bool((local == _midnight(local))[known].all())
        converted = moments.zoned | (has_clock_time and are_midnights)
        return np.where(converted, _midnight(local), written), moments.note
    if not has_clock_time or not known.any():
        return written, moments.note
    name = panel.bars.calendar
    zone = calendar_zone(name)
    lead = _FX_LEAD if name == "FX" else np.timedelta64(0, "h")
    if zone:
        local = _local(moments.utc, ZoneInfo(zone)) + lead
        if (local == _midnight(local))[known].all():
            dates = _midnight(local)
            if _share_of_sessions(dates[known], panel) > _share_of_sessions(written[known], panel):
                return dates, MIDNIGHT + zone
        return written, moments.note
    return written, _guessed_midnight(moments, written, known) or moments.note


def _guessed_midnight(moments: _Moments, written: np.ndarray, known: np.ndarray) -> str:
    for name in _ZONES:
        local = _local(moments.utc[known], ZoneInfo(name))
        if (local == _midnight(local)).all() and (_midnight(local) != written[known]).any():
            return MAYBE_MIDNIGHT + name
    return ""


def _share_of_sessions(dates: np.ndarray, panel: Panel) -> float:
    bars = panel.bars
    calendar = bar_calendar(bars.calendar, "1D", bars.extra_sessions, bars.extra_holidays)
    return float(calendar.contains(dates).mean())


def _midnight(times: np.ndarray) -> np.ndarray:
    return times.astype("datetime64[D]").astype("datetime64[us]")


def _local(utc: np.ndarray, zone: ZoneInfo) -> np.ndarray:
    """(K,) what the clocks of a zone show at each instant."""
    return (
        pd.DatetimeIndex(utc).tz_localize("UTC").tz_convert(zone).tz_localize(None).to_numpy("datetime64[us]")
    )


def _known_zone(zone: str, name: str) -> ZoneInfo:
    """The zone that a column's type names.

    Raises:
        SourceError: there is none of that name.
    """
    if match := re.fullmatch(r"([+-])(\d{2}):?(\d{2})", zone):
        minutes = int(match[2]) * 60 + int(match[3])
        if minutes % 60 == 0:  # the sign of these names is reversed
            return ZoneInfo(f"Etc/GMT{'-' if match[1] == '+' else '+'}{minutes // 60}")
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SourceError(
            f"{name}: its times are of type timestamp in the unknown time zone {zone!r}; set "
            "[source].time_zone, or write the file with an IANA zone such as UTC"
        ) from error
