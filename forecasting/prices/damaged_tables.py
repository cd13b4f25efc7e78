"""Damaged tables: what can be made again is set aside and begun anew; a damaged price table stops the night.

The quarantine and the splits follow from the source, the scores from forecasts and prices. A damaged one of
these never stops a night. Its folder is kept under another name.
"""

import logging
from collections.abc import Sequence

import numpy as np

from forecasting.commands import command
from forecasting.errors import StoreError
from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.prices.audit.rules import SET_ASIDE
from forecasting.prices.sources.memory import forget
from forecasting.prices.table_files import Damage, find_damage, record_path
from forecasting.storage import Storage

# Folders of the tables that can be made again, each with how.
_MADE_AGAIN = {
    "quarantine": "the source is read whole, so that refused rows are in the new one again",
    "splits": "the source is read whole, so that splits are found again",
    "scores": "published forecasts are scored again",
}
_NAMED = 3  # damaged files named in a message

_log = logging.getLogger(__name__)


def set_aside_damaged(panel: Panel, storage: Storage, now: np.datetime64) -> tuple[Finding, ...]:
    """Move each damaged table that can be made again to another name, and return a finding for each."""
    found = []
    for kind, how in _MADE_AGAIN.items():
        path = f"{kind}/{panel.name}"
        damage = find_damage(storage, path)
        if not damage:
            continue
        aside = set_aside(storage, path, now)
        if kind != "scores":
            forget(storage, panel)
        detail = (
            f"The table {path} was damaged: {_list(damage)}. It is kept as {aside}, and a new one was begun: "
            f"{how}."
        )
        _log.warning("%s", detail)
        found.append(Finding.of(SET_ASIDE, "", 0, detail))
    return tuple(found)


def set_aside(storage: Storage, path: str, now: np.datetime64) -> str:
    """Move a table to a name that says that it is damaged and when it was found; return that path."""
    aside = f"{path}.damaged-{now.astype('datetime64[us]').item():%Y%m%dT%H%M%S%fZ}"
    storage.move(path, aside)
    storage.delete([record_path(path)])
    return aside


def damaged_prices(panel: Panel, storage: Storage, damage: Sequence[Damage]) -> StoreError:
    """Return the error for a damaged price table, with the command that restores it."""
    where = storage.display(f"prices/{panel.name}")
    return StoreError(
        f"the price table {where} is damaged: {_list(damage)}; to rebuild it from all files that are whole, "
        f"run: {command('restore', panel, store=storage.uri)}"
    )


def check_tables(panel: Panel, storage: Storage) -> None:
    """Check the files of all tables of a panel.

    Raises:
        StoreError: files are damaged; the message names the tables and what to do.
    """
    damage = find_damage(storage, f"prices/{panel.name}")
    if damage:
        raise damaged_prices(panel, storage, damage)
    for kind in _MADE_AGAIN:
        damage = find_damage(storage, f"{kind}/{panel.name}")
        if damage:
            raise StoreError(
                f"the table {storage.display(f'{kind}/{panel.name}')} is damaged: {_list(damage)}; the next "
                f"run sets it aside and begins it anew: {command('run', panel, store=storage.uri)}"
            )


def _list(damage: Sequence[Damage]) -> str:
    more = len(damage) - _NAMED
    return ", ".join(map(str, damage[:_NAMED])) + (f", and {more} more files" if more > 0 else "")
