import pyarrow as pa
import pytest

from forecasting.parquet import table_from_bytes, table_to_bytes

TABLE = pa.table({"name": ["a", "b"], "number": [1, 2]})


def test_a_table_survives_the_round_trip() -> None:
    data = table_to_bytes(TABLE)
    assert table_from_bytes(data) == TABLE
    assert table_from_bytes(data, ["number"]) == TABLE.select(["number"])


@pytest.mark.parametrize("data", [b"", b"junk", table_to_bytes(TABLE)[:-20]])
def test_damaged_bytes_are_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        table_from_bytes(data)


def test_a_missing_column_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="price"):
        table_from_bytes(table_to_bytes(TABLE), ["price"])
