"""Databases: the table that holds prices, and the query that reads it."""

from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from forecasting.errors import SourceError, first_line
from forecasting.prices.discovery.columns import find_roles
from forecasting.prices.discovery.samples import Sample, from_columns
from forecasting.prices.sources.uris import shown

_ROWS = 300
_SQLITE_ENDINGS = (".db", ".sqlite", ".sqlite3")


def database_uri(uri: str) -> str:
    """The URL of a database: that of an SQLite file for a path to one, else as it is."""
    if "://" not in uri and Path(uri).suffix.lower() in _SQLITE_ENDINGS:
        return f"sqlite:///{Path(uri).expanduser().resolve()}"
    if uri.startswith("sqlite:///"):
        return f"sqlite:///{Path(uri.removeprefix('sqlite:///')).resolve()}"
    return uri


def sample_database(uri: str) -> Sample:
    """The query and the columns of the first table that holds times and prices.

    Raises:
        SourceError: the database cannot be read, or no table holds prices.
    """
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise SourceError(f"no database at {shown(uri)}")
    try:
        engine = sqlalchemy.create_engine(uri, poolclass=NullPool)
        with engine.connect() as connection:
            return _of_connection(connection, uri)
    except (SQLAlchemyError, ModuleNotFoundError, ValueError) as error:
        password = sqlalchemy.make_url(uri).password if isinstance(error, SQLAlchemyError) else None
        reason = first_line(error).replace(str(password), "***") if password else first_line(error)
        raise SourceError(
            f"cannot read {shown(uri)} ({reason}); check the URI, the database and its user"
        ) from None


def _of_connection(connection: sqlalchemy.Connection, uri: str) -> Sample:
    inspector = sqlalchemy.inspect(connection)
    found: dict[str, Sample] = {}
    for name in sorted([*inspector.get_table_names(), *inspector.get_view_names()]):
        table = sqlalchemy.Table(name, sqlalchemy.MetaData(), autoload_with=connection)
        rows = connection.execute(sqlalchemy.select(table).limit(_ROWS)).all()
        columns = {
            column.name: ["" if row[at] is None else str(row[at]) for row in rows]
            for at, column in enumerate(table.columns)
        }
        roles = find_roles(columns)
        if len(roles.times) == 1 and (roles.values.get("close") or roles.series):
            query = _query(connection, table, roles.times[0])
            found[name] = from_columns(columns, {"query": query}, f"{shown(uri)}, table {name}")
    if not found:
        raise SourceError(f"no table of {shown(uri)} holds times and prices; write [source].query by hand")
    first = next(iter(found))
    if len(found) > 1:
        found[first].unsure.append(f"the table: {first} was taken, of {', '.join(found)}")
    return found[first]


def _query(connection: sqlalchemy.Connection, table: sqlalchemy.Table, time: str) -> str:
    quote = connection.dialect.identifier_preparer.quote
    names = ", ".join(quote(column.name) for column in table.columns)
    kind: Any = table.columns[time].type
    dated = isinstance(kind, sqlalchemy.Date | sqlalchemy.DateTime) and connection.dialect.name != "sqlite"
    since = "cast(:since as date)" if dated else ":since"
    return f"select {names} from {quote(table.name)} where {quote(time)} >= {since}"  # noqa: S608 - quoted names
