"""Cells: from what is written in a file to ids, times and numbers. What cannot be read becomes null."""

from collections.abc import Iterable

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.prices.schema import INSTANT

# What `float` takes too, but for a leading + and underscores.
_NUMBER = r"(?i)^-?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf|infinity)$"


def read_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text without the spaces around it; null where there is none."""
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.equal(text, ""), None, text)


def absent_as_null(column: pa.ChunkedArray, na_values: Iterable[str]) -> pa.ChunkedArray:
    """The column with null for every text that stands for no value: the empty one, and `na_values`."""
    if not is_text(column.type):
        return column
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.is_in(text, value_set=pa.array(["", *na_values])), None, text)


def read_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column as float64; null where a text is not a number.

    Raises:
        pyarrow.ArrowNotImplementedError: the column is of a type that holds no numbers.
    """
    if not is_text(column.type):
        return column.cast(pa.float64(), safe=False)
    try:
        return column.cast(pa.float64())
    except pa.ArrowInvalid:  # somewhere in it is a text that is not a number
        return pc.if_else(pc.match_substring_regex(column, _NUMBER), column, None).cast(pa.float64())


def read_times(column: pa.ChunkedArray, *, daily: bool) -> pa.ChunkedArray:
    """The column as UTC instants; null where a text is not an ISO 8601 date or time.

    A time without a zone is UTC. A daily stamp is midnight UTC of its date as written, whatever clock time
    and zone stand beside it.

    Raises:
        pyarrow.ArrowNotImplementedError: the column is of a type that holds no times.
    """
    if is_text(column.type):
        # A long file says each time once for every series.
        encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
        return _parse(encoded.dictionary, daily=daily).take(encoded.indices)
    if not pa.types.is_temporal(column.type):
        raise pa.ArrowNotImplementedError(f"{column.type} is not a date or time")
    if not daily:
        return column.cast(INSTANT)
    has_zone = pa.types.is_timestamp(column.type) and column.type.tz is not None
    written = pc.local_timestamp(column) if has_zone else column
    return written.cast(pa.date32(), safe=False).cast(INSTANT)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _parse(texts: pa.Array, *, daily: bool) -> pa.Array:
    written = pc.utf8_trim_whitespace(texts).to_pandas()
    times = _iso8601(written)
    if daily:
        times = _iso8601(written.str.slice(stop=len("YYYY-MM-DD"))).where(times.notna())
    return pa.Array.from_pandas(times.astype("datetime64[us, UTC]"), type=INSTANT)


def _iso8601(written: pd.Series) -> pd.Series:
    return pd.to_datetime(written, format="ISO8601", utc=True, errors="coerce")
