import numpy as np
import pytest
from deltalake.exceptions import CommitFailedError

from forecasting.prices.audit.splits import Split
from forecasting.prices.split_table import SplitTable
from forecasting.storage import Storage

NOW = np.datetime64("2020-06-01T12:00", "us")
FIRST = Split("A/B", np.datetime64("2020-03-02", "us"), 1 / 3)
SECOND = Split("C", np.datetime64("2020-03-03T14:30", "us"), 10.0)


def test_what_was_added_is_there(storage: Storage) -> None:
    assert SplitTable(storage, "tiny").splits() == ()
    SplitTable(storage, "tiny").add([FIRST], NOW)
    SplitTable(storage, "tiny").add([SECOND], NOW)
    assert set(SplitTable(storage, "tiny").splits()) == {FIRST, SECOND}


def test_of_two_writers_at_once_one_looks_again(storage: Storage) -> None:
    SplitTable(storage, "tiny").add([FIRST], NOW)
    one, other = SplitTable(storage, "tiny"), SplitTable(storage, "tiny")
    one.add([SECOND], NOW)
    with pytest.raises(CommitFailedError):
        other.add([SECOND], NOW)


def test_nothing_to_add_makes_no_table(storage: Storage) -> None:
    SplitTable(storage, "tiny").add([], NOW)
    assert storage.list("splits") == []
