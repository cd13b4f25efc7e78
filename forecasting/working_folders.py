"""Folders in the store for what the pieces of a step hand over to whoever joins them."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from forecasting.storage import Storage

# No step takes so long: what is older was left by a process that was killed.
_LEFT_AFTER = timedelta(days=7)


@contextmanager
def working_folder(storage: Storage, parent: str) -> Iterator[str]:
    """A new folder below `parent` for one step alone, removed at the end.

    The objects below `parent` that steps which were killed left there more than a week ago go as well.
    """
    old = datetime.now(UTC) - _LEFT_AFTER
    storage.delete([path for path, written in storage.list_times(parent).items() if written < old])
    folder = f"{parent}/{uuid.uuid4().hex}"
    try:
        yield folder
    finally:
        storage.delete(storage.list(folder))
