"""A clock that is moved on: what our own code calls `now` is a night of a time that has passed.

The clocks of Prefect's server and of `deltalake` stay. What they keep is made older instead (`age_store`,
`age_server`), by a day each night.
"""

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from forecasting.prices import compaction

_FLOORS = ("forecasting", "tasks", "flows")
# It compares with times that Prefect's server keeps.
_REAL = "flows.maintenance"
_DAY_SECONDS = 24 * 3600


class _Like(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, datetime)


class _Moved(datetime, metaclass=_Like):
    at: datetime

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return cls.at.astimezone(tz)


@contextmanager
def movable_clock() -> Iterator[Callable[[datetime], None]]:
    """Yield what sets the clock of all our modules that are imported by then."""
    moved: list[Any] = []

    def set_clock(at: datetime) -> None:
        _Moved.at = at
        for name, module in list(sys.modules.items()):
            ours = name.partition(".")[0] in _FLOORS and name != _REAL
            if ours and getattr(module, "datetime", None) is datetime:
                moved.append(module)
                module.datetime = _Moved  # type: ignore[attr-defined]

    vacuum = compaction._vacuum  # noqa: SLF001
    # `deltalake` takes the real time: what was replaced a week ago is here what was replaced before.
    compaction._vacuum = _vacuum  # noqa: SLF001
    try:
        yield set_clock
    finally:
        compaction._vacuum = vacuum  # noqa: SLF001
        for module in moved:
            module.datetime = datetime


def _vacuum(table: Any) -> int:
    return len(table.vacuum(0, dry_run=False, full=True, enforce_retention_duration=False))


def age_store(root: Path, since: float, at: datetime) -> None:
    """Files that were written since then are from `at`; the logs of tables are a day older."""
    for file in root.rglob("*"):
        if not file.is_file():
            continue
        written = file.stat().st_mtime
        if file.parent.name == "_delta_log":
            os.utime(file, (time.time(), written - _DAY_SECONDS))
        elif written >= since:
            os.utime(file, (time.time(), at.timestamp()))


def age_server(database: Path) -> None:
    """All that Prefect's server knows was a day earlier."""
    with closing(sqlite3.connect(database, timeout=60)) as db, db:
        for table, column in (
            ("flow_run", "end_time"),
            ("events", "occurred"),
            ("event_resources", "occurred"),
        ):
            earlier = f"strftime('%Y-%m-%d %H:%M:%f000', {column}, '-1 day')"
            db.execute(f"UPDATE {table} SET {column} = {earlier} WHERE {column} IS NOT NULL")  # noqa: S608
