"""Charts as bytes, for the connection to the processes that draw them."""

import io
import json
from dataclasses import fields, replace
from typing import Any

import numpy as np

from forecasting.reports.charts import Comparison, SeriesChart

CLOSED = (EOFError, BrokenPipeError, ConnectionResetError)  # raised when the other end is closed

_TEXTS = "texts"  # the name of the array that holds the texts, as JSON
_COMPARISON = "comparison."  # begins the names of a comparison's parts


def to_message(chart: SeriesChart) -> bytes:
    """Return a chart as an `.npz` without pickles."""
    parts = _parts(replace(chart, comparison=None), "")
    if chart.comparison is not None:
        parts |= _parts(chart.comparison, _COMPARISON)
    texts = {name: value for name, value in parts.items() if isinstance(value, str)}
    arrays = {name: value for name, value in parts.items() if name not in texts}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{_TEXTS: json.dumps(texts)}, **arrays)
    return buffer.getvalue()


def from_message(message: bytes) -> SeriesChart:
    """Return the chart of `to_message`."""
    with np.load(io.BytesIO(message), allow_pickle=False) as arrays:
        parts: dict[str, Any] = {name: array[()] for name, array in arrays.items()}
    parts |= json.loads(str(parts.pop(_TEXTS)))
    past = {
        name.removeprefix(_COMPARISON): parts.pop(name) for name in [*parts] if name.startswith(_COMPARISON)
    }
    return SeriesChart(**parts, comparison=Comparison(**past) if past else None)


def _parts(record: SeriesChart | Comparison, prefix: str) -> dict[str, Any]:
    """The record's fields that have a value, by name."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {f"{prefix}{name}": value for name, value in values.items() if value is not None}
