"""The digest of price rows: the identity of what a forecast or a training was made from."""

import numpy as np

from forecasting.digests import digest_arrays, digest_record
from forecasting.prices.bars import Bars

# Part of the identity: panels of up to so many series have the digest that version 0.1.0 gave them.
BLOCK_SERIES = 1_000


class RowsDigest:
    """The digest of the series, bars and values of rows that come in groups of series, in order.

    It does not depend on the groups. Up to `BLOCK_SERIES` series, it is the digest of their arrays; beyond,
    it is the digest of the digests of so many series each.
    """

    def __init__(self) -> None:
        self._waiting = Bars.concat([])
        self._blocks: list[str] = []

    def add(self, bars: Bars) -> None:
        """Add the bars of series that come after those added before."""
        waiting = Bars.concat([self._waiting, bars])
        # The last block stays: whether it is the only one decides how it counts.
        while len(waiting.ids) > BLOCK_SERIES:
            self._blocks.append(_digest(waiting.part(0, BLOCK_SERIES)))
            waiting = waiting.part(BLOCK_SERIES, len(waiting.ids))
        self._waiting = waiting

    @property
    def value(self) -> str:
        """The digest of the rows added so far."""
        last = _digest(self._waiting)
        return digest_record({"blocks": [*self._blocks, last]}) if self._blocks else last


def bars_digest(bars: Bars) -> str:
    """Digest of the logical price rows: the series, bars and values."""
    digest = RowsDigest()
    digest.add(bars)
    return digest.value


def _digest(bars: Bars) -> str:
    names = np.frombuffer("\0".join(bars.ids).encode(), dtype=np.uint8)
    return digest_arrays(names, bars.offsets, bars.ds, bars.y)
