from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecasting import contract
from forecasting.contract import SeriesForecast
from forecasting.errors import ContractError

FACTS = {
    "panel": "tiny",
    "as_of": "2026-10-30",
    "known_at": "2026-10-30T15:00:00Z",
    "freq": "1D",
    "horizon": "3",
    "calendar": "ECB",
}
# The columns and types of contract version 1.
VERSION_1 = {
    "unique_id": "string",
    "cutoff": "timestamp[us, tz=UTC]",
    "y_cutoff": "double",
    "ds": "timestamp[us, tz=UTC]",
    "h": "int16",
    "y_hat": "double",
    **{f"q{percent:02d}": "double" for percent in (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95)},
    "model": "string",
    "model_version": "string",
    "forecast_id": "string",
}
GOLDEN = Path(__file__).parent / "golden" / "forecast_v1.parquet"


def test_the_columns_and_types_are_those_of_version_1() -> None:
    assert {field.name: str(field.type) for field in contract.SCHEMA} == VERSION_1


def test_rows_are_each_series_steps_sorted_by_id(forecast: SeriesForecast) -> None:
    table = contract.to_table([forecast], "id1")
    assert table["unique_id"].to_pylist() == ["BRK/B"] * 3 + ["EURUSD"] * 3
    assert table["h"].to_pylist() == [1, 2, 3, 1, 2, 3]
    assert str(table["ds"][0]) == "2026-10-30 00:00:00+00:00"


def test_y_hat_is_the_median(forecast: SeriesForecast) -> None:
    table = contract.to_table([forecast], "id1")
    assert table["y_hat"].equals(table["q50"])
    assert table["y_hat"][5].as_py() == pytest.approx(1.25)


def test_parts_of_several_models_make_one_forecast(forecast: SeriesForecast) -> None:
    other = replace(forecast, ids=("A", "Z"), model="ewma_walk")
    table = contract.to_table([forecast, other], "id1")
    assert table["model"].to_pylist()[::3] == ["ewma_walk", "stacked_lstm", "stacked_lstm", "ewma_walk"]


def test_crossing_quantiles_are_refused_with_the_place(forecast: SeriesForecast) -> None:
    forecast.quantiles[0, 1, 4] = 2.0
    with pytest.raises(ContractError, match="quantiles cross for EURUSD, h 2"):
        contract.to_table([forecast], "id1")


def test_a_value_that_is_not_finite_is_refused(forecast: SeriesForecast) -> None:
    forecast.quantiles[1, 2, 10] = np.inf
    with pytest.raises(ContractError, match="'q95' holds a value that is not finite"):
        contract.to_table([forecast], "id1")


def test_the_same_series_twice_is_refused(forecast: SeriesForecast) -> None:
    with pytest.raises(ContractError, match=r"steps 1\.\.horizon"):
        contract.to_table([forecast, forecast], "id1")


def test_a_forecast_of_nothing_is_refused() -> None:
    with pytest.raises(ContractError, match="no series"):
        contract.to_table([], "id1")


@pytest.mark.parametrize("column", VERSION_1)
def test_a_missing_column_is_refused(forecast: SeriesForecast, column: str) -> None:
    with pytest.raises(ContractError, match=f"'{column}' is missing"):
        contract.validate(contract.to_table([forecast], "id1").drop_columns([column]))


def test_a_retyped_column_is_refused(forecast: SeriesForecast) -> None:
    table = contract.to_table([forecast], "id1")
    retyped = table.set_column(4, "h", table["h"].cast(pa.int64()))
    with pytest.raises(ContractError, match="'h' is int64, the contract says int16"):
        contract.validate(retyped)


def test_a_missing_step_is_refused(forecast: SeriesForecast) -> None:
    table = contract.to_table([forecast], "id1")
    with pytest.raises(ContractError, match=r"steps 1\.\.horizon"):
        contract.validate(table.take([0, 1, 3, 4, 5]))


def test_a_column_that_is_not_known_is_no_fault(forecast: SeriesForecast) -> None:
    table = contract.to_table([forecast], "id1")
    contract.validate(table.append_column("extra", pa.nulls(6)))


def test_the_same_forecast_gives_the_same_bytes(forecast: SeriesForecast) -> None:
    once, again = (contract.to_bytes(contract.to_table([forecast], "id1"), FACTS) for _ in range(2))
    assert once == again


def test_the_file_says_what_it_is(forecast: SeriesForecast) -> None:
    data = contract.to_bytes(contract.to_table([forecast], "id1"), FACTS)
    metadata = {k.decode(): v.decode() for k, v in pq.read_schema(pa.BufferReader(data)).metadata.items()}
    assert metadata.items() >= {**FACTS, "contract_version": "1"}.items()
    assert "package_version" in metadata


def test_a_newer_contract_version_is_refused(forecast: SeriesForecast) -> None:
    data = contract.to_bytes(contract.to_table([forecast], "id1"), {**FACTS, "contract_version": "2"})
    with pytest.raises(ContractError, match=r"here: contract version 2, this reader knows 1; upgrade"):
        contract.from_bytes(data, "here")


def test_half_a_file_is_refused(forecast: SeriesForecast) -> None:
    data = contract.to_bytes(contract.to_table([forecast], "id1"), FACTS)
    with pytest.raises(ContractError, match="here: not a Parquet file"):
        contract.from_bytes(data[: len(data) // 2], "here")


def test_the_golden_file_is_still_read() -> None:
    table = contract.from_bytes(GOLDEN.read_bytes(), str(GOLDEN))
    assert table.select(["unique_id", "h", "q50"]).to_pylist() == [
        {"unique_id": "BRK/B", "h": 1, "q50": 400.0},
        {"unique_id": "BRK/B", "h": 2, "q50": 400.0},
        {"unique_id": "BRK/B", "h": 3, "q50": 400.0},
        {"unique_id": "EURUSD", "h": 1, "q50": 1.25},
        {"unique_id": "EURUSD", "h": 2, "q50": 1.25},
        {"unique_id": "EURUSD", "h": 3, "q50": 1.25},
    ]


def test_what_is_written_today_has_the_golden_files_schema(forecast: SeriesForecast) -> None:
    data = contract.to_bytes(contract.to_table([forecast], "golden"), FACTS)
    assert pq.read_schema(pa.BufferReader(data)).remove_metadata() == pq.read_schema(GOLDEN).remove_metadata()


def test_duckdb_polars_and_pandas_read_it_alike(forecast: SeriesForecast, tmp_path: Path) -> None:
    path = tmp_path / "forecast.parquet"
    path.write_bytes(contract.to_bytes(contract.to_table([forecast], "id1"), FACTS))
    by_duckdb = (
        duckdb.read_parquet(str(path)).aggregate("sum(q90), max(h), count(distinct unique_id)").fetchall()
    )
    by_polars = pl.read_parquet(path)
    by_pandas = pd.read_parquet(path)
    assert by_duckdb == [(pytest.approx(by_polars["q90"].sum()), by_polars["h"].max(), 2)]
    assert by_pandas["q90"].sum() == pytest.approx(by_polars["q90"].sum())
    assert str(by_pandas["ds"].dtype) == "datetime64[us, UTC]"
