"""The forecast contract, version 1: the format that readers of a forecast rely on.

One row per series and step, sorted by `unique_id` and `h`. Adding a column keeps the version. Removing a
column or changing its type increases it. Readers ignore unknown columns and metadata. See `docs/contract.md`.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting import __version__
from forecasting.errors import ContractError
from forecasting.parquet import table_from_bytes, table_to_bytes
from forecasting.quantiles import COLUMNS, MEDIAN

VERSION = "1"

SCHEMA = pa.schema(
    [
        ("unique_id", pa.string()),
        ("cutoff", pa.timestamp("us", tz="UTC")),
        ("y_cutoff", pa.float64()),
        ("ds", pa.timestamp("us", tz="UTC")),
        ("h", pa.int16()),
        ("y_hat", pa.float64()),
        *((column, pa.float64()) for column in COLUMNS),
        ("model", pa.string()),
        ("model_version", pa.string()),
        ("forecast_id", pa.string()),
    ]
)
_NUMBERS = ("y_cutoff", "y_hat", *COLUMNS)


@dataclass(frozen=True)
class SeriesForecast:
    """One model's forecasts of S series.

    Attributes:
        ids: the `unique_id` of each series.
        cutoff: (S,) datetime64[us]; the last bar that the model used.
        y_cutoff: (S,) float64; the price at the cutoff.
        ds: (S, H) datetime64[us]; the forecast bars.
        quantiles: (S, H, 11) prices, non-decreasing in the last axis.
        model: the model's name.
        version: the model's version.
    """

    ids: tuple[str, ...]
    cutoff: np.ndarray
    y_cutoff: np.ndarray
    ds: np.ndarray
    quantiles: np.ndarray
    model: str
    version: str


def to_table(parts: list[SeriesForecast], forecast_id: str) -> pa.Table:
    """Combine forecasts of different series into one table of the contract, and validate it.

    Raises:
        ContractError: the forecasts break the contract.
    """
    tables = [_part_table(part, forecast_id) for part in parts if part.ids]
    if not tables:
        raise ContractError("the forecast contains no series; check the audit's findings")
    table = pa.concat_tables(tables).sort_by([("unique_id", "ascending"), ("h", "ascending")])
    validate(table)
    return table.combine_chunks()


def _part_table(part: SeriesForecast, forecast_id: str) -> pa.Table:
    series, horizon, _ = part.quantiles.shape
    rows = series * horizon
    quantiles = part.quantiles.reshape(rows, -1)
    columns = {
        "unique_id": np.repeat(np.array(part.ids, dtype=object), horizon),
        "cutoff": np.repeat(part.cutoff, horizon),
        "y_cutoff": np.repeat(part.y_cutoff, horizon),
        "ds": part.ds.reshape(rows),
        "h": np.tile(np.arange(1, horizon + 1, dtype=np.int16), series),
        "y_hat": quantiles[:, MEDIAN],
        **{column: quantiles[:, i] for i, column in enumerate(COLUMNS)},
        "model": [part.model] * rows,
        "model_version": [part.version] * rows,
        "forecast_id": [forecast_id] * rows,
    }
    arrays = [pa.array(columns[field.name], type=field.type) for field in SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def validate(table: pa.Table) -> None:
    """Check that a table follows the contract.

    Raises:
        ContractError: a column is missing or has the wrong type, a value is missing or not finite, rows are
            unsorted or duplicated, quantiles cross, or the steps of a series are not 1..horizon.
    """
    for field in SCHEMA:
        if field.name not in table.column_names:
            raise ContractError(f"forecast: the column {field.name!r} is missing; publish with this version")
        if table.schema.field(field.name).type != field.type:
            actual = table.schema.field(field.name).type
            raise ContractError(
                f"forecast: column {field.name!r} is {actual}, the contract says {field.type}"
            )
        if table[field.name].null_count:
            raise ContractError(f"forecast: column {field.name!r} has missing values")
    for name in _NUMBERS:
        if not np.isfinite(table[name].to_numpy()).all():
            raise ContractError(f"forecast: column {name!r} holds a value that is not finite")
    _validate_rows(table)


def _validate_rows(table: pa.Table) -> None:
    quantiles = np.column_stack([table[column].to_numpy() for column in COLUMNS])
    crossing = (np.diff(quantiles, axis=1) < 0).any(axis=1)
    if crossing.any():
        row = int(np.argmax(crossing))
        raise ContractError(f"forecast: quantiles cross for {table['unique_id'][row]}, h {table['h'][row]}")
    ids = table["unique_id"].combine_chunks()
    codes = pc.rank(ids, tiebreaker="dense").to_numpy()
    h = table["h"].to_numpy().astype(np.int64)
    new_series = np.diff(codes, prepend=0) != 0
    expected = np.where(new_series, 1, np.concatenate([[0], h[:-1]]) + 1)
    last = np.append(new_series[1:], True)
    if (np.diff(codes) < 0).any() or (h != expected).any() or len(np.unique(h[last])) > 1:
        raise ContractError("forecast: rows are not each series' steps 1..horizon, sorted by unique_id and h")


def to_bytes(table: pa.Table, metadata: dict[str, str]) -> bytes:
    """Write a forecast as Parquet, with the contract's metadata. Equal tables give equal bytes."""
    facts = {"contract_version": VERSION, "package_version": __version__, **metadata}
    return table_to_bytes(table.replace_schema_metadata(facts), store_schema=True)


def from_bytes(data: bytes, where: str) -> pa.Table:
    """Read and validate a forecast in Parquet format. Error messages name its path, `where`.

    Raises:
        ContractError: `data` is not Parquet, has another contract version, or does not follow the contract.
    """
    try:
        table = table_from_bytes(data)
    except ValueError as error:
        raise ContractError(f"{where}: not a Parquet file ({error}); publish that forecast again") from error
    version = (table.schema.metadata or {}).get(b"contract_version", b"?").decode()
    if version != VERSION:
        raise ContractError(
            f"{where}: contract version {version}, this reader knows {VERSION}; upgrade nightcast"
        )
    validate(table)
    return table
