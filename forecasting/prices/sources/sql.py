"""Prices in a database: any that SQLAlchemy reaches, by the panel's own query."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.sources.layouts import Origin, to_offered
from forecasting.prices.sources.uris import shown

# Older than any price, and a date that every database takes.
_BEGINNING = "1900-01-01"
_CHUNK_ROWS = 1 << 16


class SqlSource:
    """What the panel's query gives, in chunks; `:since` in it is the first date wanted, as `YYYY-MM-DD`.

    A date, since that compares the same with dates, times and texts, whatever zone these are in.
    """

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._name = shown(panel.source.uri)
        self.tags: dict[str, str] = {}

    def read(self, since: np.datetime64 | None = None) -> Iterator[pa.Table]:
        """What the query gives; see `Source.read`."""
        first = _BEGINNING if since is None else str(since.astype("datetime64[D]"))
        origin = Origin(self._name)
        for table in self._tables(first):
            yield to_offered(table, origin, self._panel)

    def _tables(self, first: str) -> Iterator[pa.Table]:
        url = self._url()
        try:
            engine = sqlalchemy.create_engine(url, poolclass=NullPool)
            with engine.connect() as connection:
                query = sqlalchemy.text(self._panel.source.query)
                reading = connection.execution_options(yield_per=_CHUNK_ROWS, postgresql_readonly=True)
                result = reading.execute(query, {"since": first})
                names = list(result.keys())
                for rows in result.partitions():
                    yield _table(names, list(zip(*rows, strict=True)))
        except (ModuleNotFoundError, NoSuchModuleError) as error:
            fix = (
                "install the driver (the extra nightcast[postgresql] has psycopg, for postgresql+psycopg://)"
            )
            raise self._error(error, url, f"{fix}, or check [source].uri") from None
        except DBAPIError as error:
            raise self._error(error.orig, url, "check [source].query, the database and its user") from None
        except (SQLAlchemyError, pa.ArrowException) as error:
            raise self._error(error, url, "check [source].uri and query in the panel") from None

    def _url(self) -> sqlalchemy.URL:
        try:
            url = sqlalchemy.make_url(self._panel.source.uri)
        except (SQLAlchemyError, ValueError):  # the reason may hold a part of the password
            raise SourceError(
                f"{self._name} is not a URL that SQLAlchemy can read; correct [source].uri in the panel"
            ) from None
        # SQLite makes an empty database of a wrong path.
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            raise SourceError(f"no database at {self._name}; check [source].uri in the panel")
        return url

    def _error(self, error: BaseException | None, url: sqlalchemy.URL, fix: str) -> SourceError:
        reason = " ".join(str(error).split())
        if url.password:
            reason = reason.replace(str(url.password), "***")
        return SourceError(f"cannot read {self._name} ({reason}); {fix}")


def _table(names: list[str], columns: list[tuple[Any, ...]]) -> pa.Table:
    return pa.Table.from_arrays([_array(column) for column in columns], names)


def _array(column: tuple[Any, ...]) -> pa.Array:
    # A decimal NaN is a number to PostgreSQL, and to Arrow only as a float.
    return pa.array([float(value) if isinstance(value, Decimal) else value for value in column])
