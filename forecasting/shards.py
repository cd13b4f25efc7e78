"""Shards: the series of a panel in groups, so that a step has only one group's prices in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

from forecasting.digests import digest_bytes

# Panels of up to so many series have one shard. At 750 bars a series, the work on a shard takes 0.3 GB.
SHARD_SERIES = 1_000
# A panel's fits look at so many series at most. More change a pooled quantile by less than it varies from
# year to year.
SAMPLE_SERIES = 2_000


@dataclass(frozen=True)
class Shard:
    """A group of a panel's series.

    Attributes:
        number: the shard's number, counted from 0.
        count: the number of shards.
        start: the position of its first series among all of them.
        ids: the series, sorted; all of them come after those of the shard before.
    """

    number: int
    count: int
    start: int
    ids: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.number + 1} of {self.count}"


def make_shards(ids: Sequence[str]) -> tuple[Shard, ...]:
    """Split sorted ids into shards.

    Example:
        >>> [str(shard) for shard in make_shards(["EURUSD", "GBPUSD"])]
        ['1 of 1']
    """
    starts = range(0, len(ids), SHARD_SERIES)
    return tuple(
        Shard(number, len(starts), start, tuple(ids[start : start + SHARD_SERIES]))
        for number, start in enumerate(starts)
    )


def sample_series(ids: Sequence[str]) -> tuple[str, ...]:
    """Return the ids, sorted, of at most `SAMPLE_SERIES` series.

    The digest of an id decides whether it is among them. A series that comes or goes therefore replaces at
    most one other.
    """
    if len(ids) <= SAMPLE_SERIES:
        return tuple(sorted(ids))
    return tuple(sorted(sorted(ids, key=lambda one: digest_bytes(one.encode()))[:SAMPLE_SERIES]))
