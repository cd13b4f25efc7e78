"""Missing forecasts: the `as_of`s between two dates that a panel's schedule covers and that have none."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import numpy as np

from forecasting.as_of import to_datetime, to_instant
from forecasting.errors import NightcastError
from forecasting.formats import format_count
from forecasting.panel import Panel
from forecasting.prices.audit.series import LIVE_SPANS
from forecasting.prices.audit.stored import usable_bars
from forecasting.prices.bars import Bars
from forecasting.prices.newest_bar import resolve_as_ofs
from forecasting.prices.table import PriceTable
from forecasting.publishing.address import forecasts_folder
from forecasting.publishing.publish import find_published
from forecasting.storage import Storage

# Nights processed at once: a year of a daily panel, three days of one that runs every 15 minutes.
_BLOCK = 256


@dataclass(frozen=True)
class MissingAsOfs:
    """The work of a backfill.

    Attributes:
        as_ofs: the `as_of`s to run, as written in paths, oldest first.
        published: number of further `as_of`s that have a final forecast already, live or backfilled.
        too_early: number of further `as_of`s for which the audit would find too little history.
    """

    as_ofs: tuple[str, ...]
    published: int
    too_early: int

    @property
    def summary(self) -> str:
        """The counts, in a few words."""
        span = f", from {self.as_ofs[0]} to {self.as_ofs[-1]}" if self.as_ofs else ""
        early = f", {self.too_early} with too little history before them" if self.too_early else ""
        verb = "is" if len(self.as_ofs) == 1 else "are"
        missing = f"{format_count(len(self.as_ofs), 'date')} {verb} missing"
        return f"{missing}{span}; {self.published} are published already{early}"


def find_missing(
    panel: Panel, storage: Storage, start: date, end: date, now: datetime, *, force: bool = False
) -> MissingAsOfs:
    """Return the `as_of`s from `start` to `end`, both included, that have no final forecast.

    Each scheduled run up to `now` has one `as_of`: the newest closed bar that most live series have in the
    price table. A holiday adds none.

    Args:
        panel: the panel.
        storage: the store.
        start: the first date.
        end: the last date.
        now: the present time.
        force: return all `as_of`s, whether they have a forecast or not.

    Raises:
        NightcastError: `start` is after `end`, or `end` after `now`.
        StoreError: the panel has no prices yet.
    """
    check_dates(start, end, now)
    bars = usable_bars(PriceTable(storage, panel).newest(values=[panel.forecast.target]), panel)
    as_ofs = _scheduled(panel, bars, start, end, now)
    enough = _has_history(panel, bars, as_ofs)
    possible = [panel.label(as_of) for as_of in as_ofs[enough]]
    published = set() if force else published_as_ofs(storage, panel.name)
    missing = tuple(label for label in possible if label not in published)
    return MissingAsOfs(missing, len(possible) - len(missing), int((~enough).sum()))


def check_dates(start: date, end: date, now: datetime) -> None:
    """Check the dates of a backfill.

    Raises:
        NightcastError: `start` is after `end`, or `end` after `now`.
    """
    if start > end:
        raise NightcastError(f"start {start} is after end {end}; swap them")
    if end > now.astimezone(UTC).date():
        raise NightcastError(
            f"end {end} is in the future; give {now.astimezone(UTC):%Y-%m-%d} or an earlier date"
        )


def published_as_ofs(storage: Storage, panel: str) -> set[str]:
    """Return the `as_of`s that have a final forecast. A damaged manifest commits none."""
    committed = find_published(storage, forecasts_folder(panel))
    return {published.as_of for _, published in committed if published.is_final}


def _scheduled(panel: Panel, bars: Bars, start: date, end: date, now: datetime) -> np.ndarray:
    """The `as_of`s (datetime64[us]) between the dates of all scheduled runs up to `now`, oldest first."""
    first, stop = np.datetime64(start, "us"), np.datetime64(end + timedelta(days=1), "us")
    found = [np.array([], "datetime64[us]")]
    for as_ofs in _resolved(panel, bars, first, now):
        found.append(as_ofs[(as_ofs >= first) & (as_ofs < stop)])
        if as_ofs[-1] >= stop:
            break
    return np.unique(np.concatenate(found))


def _resolved(panel: Panel, bars: Bars, first: np.datetime64, now: datetime) -> Iterator[np.ndarray]:
    """The `as_of`s of the scheduled runs after `first`, a block of runs at a time, with repetitions."""
    if not bars.ids:
        return
    calendar = panel.calendar
    # A run before the first bar closed has no `as_of`, and a run before `first` has one before `first`.
    since = max(first, calendar.closes(bars.ds.min()[None])[0])
    due = panel.due_times(to_datetime(since) - timedelta(microseconds=1), now)
    while nights := list(islice(due, _BLOCK)):
        closed = np.unique([calendar.newest_closed(to_instant(night)) for night in nights])
        yield resolve_as_ofs(bars, panel, calendar, closed)


def _has_history(panel: Panel, bars: Bars, as_ofs: np.ndarray) -> np.ndarray:
    """(K,) whether enough series are live and long enough for the audit at each of `as_ofs` (K,)."""
    enough = np.zeros(len(as_ofs), dtype=bool)
    for block in range(0, len(as_ofs), _BLOCK):
        at = slice(block, block + _BLOCK)
        counts = bars.counts_until(as_ofs[at])
        last = bars.ds[bars.offsets[:-1, None] + np.maximum(counts - 1, 0)]
        behind = panel.calendar.position(as_ofs[at]) - panel.calendar.position(last)
        live = (counts > 0) & (behind <= LIVE_SPANS * panel.audit.stale_bars)
        short = (live & (counts < panel.audit.min_bars)).sum(axis=0)
        most = panel.audit.max_left_out * live.sum(axis=0)
        enough[at] = (short <= most) & (counts >= panel.audit.min_bars).any(axis=0)
    return enough
