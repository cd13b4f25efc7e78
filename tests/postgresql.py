"""A real PostgreSQL, where one answers on loopback."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy

POSTGRESQL = os.environ.get("NIGHTCAST_TEST_POSTGRESQL", "postgresql+psycopg://postgres@127.0.0.1:5432/test")


def postgresql() -> str:
    """Its address; a test that asks for it is skipped where none answers."""
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed")
    pool = sqlalchemy.pool.NullPool
    try:
        with sqlalchemy.create_engine(
            POSTGRESQL, poolclass=pool, connect_args={"connect_timeout": 2}
        ).connect():
            return POSTGRESQL
    except sqlalchemy.exc.OperationalError as error:
        pytest.skip(f"no PostgreSQL: {error.orig}")


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
