from hypothesis import given
from hypothesis import strategies as st

from forecasting import shards
from forecasting.shards import SAMPLE_SERIES, make_shards, sample_series


def names(count: int) -> list[str]:
    return [f"S{number:06}" for number in range(count)]


@given(st.integers(0, 5_000))
def test_shards_hold_every_series_once_in_order(count: int) -> None:
    made = make_shards(names(count))
    assert [name for shard in made for name in shard.ids] == names(count)
    assert [shard.number for shard in made] == list(range(len(made)))
    assert all(shard.count == len(made) and len(shard.ids) <= shards.SHARD_SERIES for shard in made)
    assert all(names(count)[shard.start] == shard.ids[0] for shard in made)


def test_a_sample_of_few_series_is_all_of_them() -> None:
    assert sample_series(["B", "A"]) == ("A", "B")


def test_a_new_series_replaces_at_most_one_of_a_sample() -> None:
    before = set(sample_series(names(SAMPLE_SERIES + 500)))
    after = set(sample_series(names(SAMPLE_SERIES + 501)))
    assert len(before) == len(after) == SAMPLE_SERIES
    assert len(before - after) <= 1
