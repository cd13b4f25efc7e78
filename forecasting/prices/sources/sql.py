"""Prices in a database: any that SQLAlchemy supports, read by the panel's own query."""

import time
from collections.abc import Generator
from contextlib import AbstractContextManager, closing
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from forecasting.errors import SourceError, one_line
from forecasting.panel import Panel
from forecasting.prices.sources.documents import File
from forecasting.prices.sources.layouts import Origin, to_offered
from forecasting.prices.sources.uris import shown

# Older than any price, and a date that every database accepts.
_BEGINNING = "1900-01-01"
_CHUNK_ROWS = 1 << 16
_SILENCE_SECONDS = 30.0  # longest wait for a connection
# Types that Arrow converts to numbers, dates or texts. Decimal is handled separately; `bool` is an `int`.
_PLAIN = (int, float, date, str, bytes, type(None))
_TEXTS = {str, type(None)}
# PostgreSQL drivers whose connections accept `connect_timeout`.
_LIBPQ = ("postgresql", "postgresql+psycopg", "postgresql+psycopg2")

_SESSION = sqlalchemy.text(
    "select set_config('TimeZone', :zone, true), set_config('statement_timeout', :limit, true)"
)


class SqlSource:
    """The result of the panel's query, in chunks. `:since` in it is the first wanted date, `YYYY-MM-DD`.

    It is a date because a date compares correctly with dates, times and texts in any zone.
    """

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._name = shown(panel.source.uri)
        self.tags: dict[str, str] = {}
        self.read_all = True

    def read(self, since: np.datetime64 | None = None) -> Generator[pa.Table]:
        """Run the query; see `Source.read`."""
        first = _BEGINNING if since is None else str(since.astype("datetime64[D]"))
        origin = Origin(self._name)
        with closing(self._tables(first)) as tables:
            for table in tables:
                yield to_offered(table, origin, self._panel)

    def files(self) -> AbstractContextManager[list[File]]:
        """A database has no files.

        Raises:
            SourceError: always.
        """
        raise SourceError(
            f"{self._name} is a database, which has no files; name its tables in [source].query"
        )

    def _tables(self, first: str) -> Generator[pa.Table]:
        url, query = self._url(), self._query()
        seconds = 60 * self._panel.source.time_limit_minutes
        deadline = time.monotonic() + seconds
        try:
            engine = sqlalchemy.create_engine(
                url, poolclass=NullPool, connect_args=_connect_arguments(url, seconds)
            )
            with engine.connect() as connection:
                connection.execution_options(postgresql_readonly=True)
                if url.get_backend_name() == "postgresql":
                    connection.execute(_SESSION, self._session(seconds))
                in_chunks = {"yield_per": _CHUNK_ROWS}
                with connection.execute(query, {"since": first}, execution_options=in_chunks) as result:
                    names = list(result.keys())
                    for rows in result.partitions(_CHUNK_ROWS):
                        if time.monotonic() > deadline:
                            raise self._timeout_error()
                        yield _table(names, list(zip(*rows, strict=True)))
        except (ModuleNotFoundError, NoSuchModuleError) as error:
            fix = (
                "install the driver (the extra nightcast[postgresql] has psycopg, for postgresql+psycopg://)"
            )
            raise self._error(error, url, f"{fix}, or check [source].uri") from None
        except DBAPIError as error:
            if time.monotonic() > deadline:
                raise self._timeout_error() from None
            raise self._error(error.orig, url, "check [source].query, the database and its user") from None
        except (SQLAlchemyError, pa.ArrowException) as error:
            raise self._error(error, url, "check [source].uri and query in the panel") from None

    def _query(self) -> sqlalchemy.TextClause:
        query = sqlalchemy.text(self._panel.source.query)
        if "since" not in query.compile().params:
            raise SourceError(
                f"the query for {self._name} uses :since where it is not a parameter, as in :since::date; "
                "write cast(:since as date) in [source].query"
            )
        return query

    def _session(self, seconds: float) -> dict[str, str]:
        """Session settings that must not depend on the server, the user or the environment."""
        return {"zone": self._panel.source.time_zone or "UTC", "limit": f"{max(1, round(1000 * seconds))}ms"}

    def _timeout_error(self) -> SourceError:
        return SourceError(
            f"{self._name} took longer than {self._panel.source.time_limit_minutes:g} minutes; "
            "raise [source].time_limit_minutes in the panel, or make [source].query faster"
        )

    def _url(self) -> sqlalchemy.URL:
        try:
            url = sqlalchemy.make_url(self._panel.source.uri)
        except (SQLAlchemyError, ValueError):  # the reason may contain a part of the password
            raise SourceError(
                f"{self._name} is not a URL that SQLAlchemy can read; correct [source].uri in the panel"
            ) from None
        # SQLite would create an empty database at a wrong path.
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            raise SourceError(f"no database at {self._name}; check [source].uri in the panel")
        return url

    def _error(self, error: BaseException | None, url: sqlalchemy.URL, fix: str) -> SourceError:
        reason = one_line(error)
        if url.password:
            reason = reason.replace(str(url.password), "***")
        return SourceError(f"cannot read {self._name} ({reason}); {fix}")


def _table(names: list[str], columns: list[tuple[Any, ...]]) -> pa.Table:
    return pa.Table.from_arrays([_array(column) for column in columns], names)


def _array(column: tuple[Any, ...]) -> pa.Array:
    kinds = set(map(type, column))
    if Decimal in kinds:  # PostgreSQL allows NaN here, which Arrow has only as a float
        column = tuple(float(value) if isinstance(value, Decimal) else value for value in column)
    # Other types, such as UUID, and numbers mixed with texts are read by their text.
    if not all(issubclass(kind, (*_PLAIN, Decimal)) for kind in kinds) or (str in kinds and kinds - _TEXTS):
        column = tuple(None if value is None else str(value) for value in column)
    return pa.array(column)


def _connect_arguments(url: sqlalchemy.URL, seconds: float) -> dict[str, Any]:
    """A connection timeout for drivers that have none by default, unless the URL sets one."""
    if url.drivername not in _LIBPQ or "connect_timeout" in url.query:
        return {}
    return {"connect_timeout": max(1, round(min(_SILENCE_SECONDS, seconds)))}
