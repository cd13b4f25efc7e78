"""A real PostgreSQL, where one answers on loopback."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest
import sqlalchemy

POSTGRESQL = os.environ.get("NIGHTCAST_TEST_POSTGRESQL", "postgresql+psycopg://postgres@127.0.0.1:5432/test")


@cache
def missing_postgresql() -> str | None:
    """Why tests with PostgreSQL are skipped here; None where they are not."""
    pool = sqlalchemy.pool.NullPool
    waits = {"connect_timeout": 2}
    try:
        with sqlalchemy.create_engine(POSTGRESQL, poolclass=pool, connect_args=waits).connect():
            return None
    except sqlalchemy.exc.OperationalError as error:
        return f"no PostgreSQL answers on loopback ({str(error.orig).splitlines()[0]})"


def postgresql() -> str:
    """Its address; a test that asks for it is skipped where none answers."""
    missing = missing_postgresql()
    if missing:
        pytest.skip(missing)
    return POSTGRESQL


@contextmanager
def new_database() -> Iterator[sqlalchemy.URL]:
    """The address of a database of the test's own, which is dropped at the end."""
    address = sqlalchemy.make_url(postgresql())
    engine = sqlalchemy.create_engine(
        address, poolclass=sqlalchemy.pool.NullPool, isolation_level="AUTOCOMMIT"
    )
    name = f"nightcast_{uuid.uuid4().hex}"
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"create database {name}"))
    try:
        yield address.set(database=name)
    finally:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f"drop database {name} with (force)"))
