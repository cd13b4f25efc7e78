"""A job that needs only DuckDB: which series are expected to move most, as a table and a CSV file.

    python read_with_duckdb.py store/latest/ecb_fx.parquet [moves.csv]

The path may be `s3://...` too, once DuckDB has its extension httpfs and credentials. It never holds half of
a forecast.
"""

import sys

import duckdb

# The columns are those of docs/contract.md. The last step of each series, the widest moves first, in units of
# the range that holds 80% of what may happen.
MOVES = """
    select unique_id, make_timestamp(epoch_us(ds)) as ds, y_cutoff as now, y_hat as median, q10, q90,
           y_hat / y_cutoff - 1 as change, forecast_id
    from read_parquet($path)
    qualify h = max(h) over ()
    order by abs(y_hat - y_cutoff) / (q90 - q10) desc, unique_id
"""


def moves(path: str) -> duckdb.DuckDBPyRelation:
    """A row a series of the forecast at `path`."""
    return duckdb.default_connection().sql(MOVES, params={"path": path})


if __name__ == "__main__":
    found = moves(sys.argv[1])
    print(found.limit(10))
    for output in sys.argv[2:]:
        found.write_csv(output)
