"""Cells: parse the text of a file into ids, times and numbers. Unreadable text becomes null."""

from collections.abc import Iterable

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.prices.schema import INSTANT

# The numbers that `float` accepts, except those with a leading + or underscores.
_NUMBER = r"(?i)^-?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf|infinity)$"
_OFFSET = r"\s*(?:[zZ]|[+-]\d{2}(?::?\d{2})?)$"
_CLOCK = r"[tT ].*$"
_TIME_WITH_OFFSET = r"\d[tT ]\d.*(?:[zZ]|[+-]\d{2}(?::?\d{2})?)$"


def read_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text without surrounding spaces; null if empty."""
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.equal(text, ""), None, text)


def absent_as_null(column: pa.ChunkedArray, na_values: Iterable[str]) -> pa.ChunkedArray:
    """The column with empty texts and `na_values` replaced by null."""
    if not is_text(column.type):
        return column
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.is_in(text, value_set=pa.array(["", *na_values])), None, text)


def read_numbers(column: pa.ChunkedArray, decimal: str = "") -> pa.ChunkedArray:
    """The column as float64; null where a text is not a number. The decimal mark is a point unless given.

    Raises:
        pyarrow.ArrowNotImplementedError: the type of the column holds no numbers.
    """
    if not is_text(column.type):
        return column.cast(pa.float64(), safe=False)
    if decimal == ",":
        with_point = pc.replace_substring(column, ",", ".")
        column = pc.if_else(pc.match_substring(column, "."), None, with_point)
    try:
        return column.cast(pa.float64())
    except pa.ArrowInvalid:  # at least one text is not a number
        return pc.if_else(pc.match_substring_regex(column, _NUMBER), column, None).cast(pa.float64())


def read_times(column: pa.ChunkedArray, *, daily: bool, form: str = "", zone: str = "") -> pa.ChunkedArray:
    """The column as UTC instants; null where a text is not a date or time of that form.

    A daily bar becomes midnight UTC of its date as written. The clock time and zone of the text are ignored.

    Args:
        column: texts, dates or timestamps.
        daily: whether the bars are daily.
        form: `strptime` format of the texts; ISO 8601 if empty.
        zone: IANA zone of times without one; UTC if empty. Local times that occur twice or never at a clock
            change become null.

    Raises:
        pyarrow.ArrowNotImplementedError: the type of the column holds no times.
    """
    if is_text(column.type):
        # In a long file each time occurs once per series.
        encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
        written = pc.utf8_trim_whitespace(encoded.dictionary).to_pandas()
        times = _dates(written, form) if daily else _times(written, form, zone)
        return _instants(times).take(encoded.indices)
    if not pa.types.is_temporal(column.type):
        raise pa.ArrowNotImplementedError(f"{column.type} is not a date or time")
    has_zone = pa.types.is_timestamp(column.type) and column.type.tz is not None
    if daily:
        written = pc.local_timestamp(column) if has_zone else column
        return written.cast(pa.date32(), safe=False).cast(INSTANT)
    if has_zone or not zone:
        return column.cast(INSTANT)
    return pa.chunked_array([_instants(_localise(column.cast(pa.timestamp("us")).to_pandas(), zone))])


def names_zone(column: pa.ChunkedArray, form: str = "") -> pa.ChunkedArray:
    """Whether each time that `read_times` reads names its own zone; null where the time is null."""
    if not is_text(column.type):
        named = pa.types.is_timestamp(column.type) and column.type.tz is not None
        return pa.chunked_array([pa.repeat(named, len(column))])
    if form:
        return pa.chunked_array([pa.repeat("%z" in form, len(column))])
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    named = pc.match_substring_regex(pc.utf8_trim_whitespace(encoded.dictionary), _TIME_WITH_OFFSET)
    return pa.chunked_array([named.take(encoded.indices)])


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _dates(written: pd.Series, form: str) -> pd.Series:
    if form.endswith("%z"):  # elsewhere in the text, an apparent offset may be a year or a day
        form, written = form.removesuffix("%z").rstrip(), written.str.replace(_OFFSET, "", regex=True)
    if form:
        return _utc(written, form).dt.normalize()
    date = written.str.replace(_CLOCK, "", regex=True)
    return _utc(date, "ISO8601").where(_utc(written, "ISO8601").notna())


def _times(written: pd.Series, form: str, zone: str) -> pd.Series:
    if not zone or "%z" in form:
        return _utc(written, form or "ISO8601")
    # A `form` without %z does not match an offset.
    named = written.str.contains(_TIME_WITH_OFFSET, na=False) & (not form)
    local = pd.to_datetime(written.mask(named), format=form or "ISO8601", errors="coerce")
    return _utc(written.where(named), "ISO8601").fillna(_localise(local, zone))


def _utc(written: pd.Series, form: str) -> pd.Series:
    return pd.to_datetime(written, format=form, utc=True, errors="coerce")


def _localise(local: pd.Series, zone: str) -> pd.Series:
    return local.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").dt.tz_convert("UTC")


def _instants(times: pd.Series) -> pa.Array:
    return pa.Array.from_pandas(times.astype("datetime64[us, UTC]"), type=INSTANT)
