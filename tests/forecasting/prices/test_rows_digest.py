from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.digests import digest_arrays
from forecasting.prices import rows_digest
from forecasting.prices.bars import Bars
from forecasting.prices.rows_digest import RowsDigest, bars_digest

LENGTHS = (3, 1, 4, 1, 5, 9, 2, 6)


def bars_of(*lengths: int) -> Bars:
    total = sum(lengths)
    return Bars(
        ids=tuple(f"S{number}" for number in range(len(lengths))),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        ds=np.datetime64("2026-01-01", "us") + np.arange(total) * np.timedelta64(1, "D"),
        y=np.arange(total, dtype=np.float64),
    )


@given(st.lists(st.integers(0, len(LENGTHS)), max_size=4))
def test_the_digest_does_not_depend_on_the_groups(cuts: list[int]) -> None:
    bars, digest = bars_of(*LENGTHS), RowsDigest()
    places = [0, *sorted(cuts), len(LENGTHS)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_digest, "BLOCK_SERIES", 3)
        for start, stop in pairwise(places):
            digest.add(bars.part(start, stop))
        assert digest.value == bars_digest(bars)


def test_few_series_have_the_digest_of_their_arrays() -> None:
    bars = bars_of(*LENGTHS)
    names = np.frombuffer("\0".join(bars.ids).encode(), dtype=np.uint8)
    assert bars_digest(bars) == digest_arrays(names, bars.offsets, bars.ds, bars.y)


def test_a_changed_price_in_any_block_changes_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_digest, "BLOCK_SERIES", 3)
    bars = bars_of(*LENGTHS)
    found = {bars_digest(bars)}
    for place in (0, 8, len(bars) - 1):
        changed = bars.y.copy()
        changed[place] += 1
        found.add(bars_digest(Bars(bars.ids, bars.offsets, bars.ds, changed)))
    assert len(found) == 4
