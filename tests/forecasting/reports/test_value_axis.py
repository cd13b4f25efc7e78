import numpy as np
import pytest

from forecasting.reports.value_axis import label_values, limits, round_values, spread


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (1.013, 1.152, ["1.05", "1.10", "1.15"]),
        (-60.1, 22.0, ["\N{MINUS SIGN}60", "\N{MINUS SIGN}40", "\N{MINUS SIGN}20", "0", "20"]),
        (3.1e-8, 6.2e-8, ["0.00000004", "0.00000005", "0.00000006"]),
        (6.6e8, 1.21e9, [f"{hundreds},000,000" for hundreds in (700, 800, 900)] + ["1,000,000,000"]),
    ],
)
def test_round_values_are_marked_with_the_decimals_that_they_need(
    low: float, high: float, labels: list[str]
) -> None:
    assert label_values(round_values(low, high))[: len(labels)] == labels


@pytest.mark.parametrize("size", [1.0, 1.3, 1.99, 3.0, 5.5, 6.0, 9.99])
@pytest.mark.parametrize("low", [-7.3, 0.0, 1e6])
def test_an_axis_has_two_to_seven_marks_within_its_ends(low: float, size: float) -> None:
    marks = round_values(low, low + size)
    assert 2 <= len(marks) <= 7
    assert low - 1e-6 <= marks[0] < marks[-1] <= low + size + 1e-6


def test_limits_have_a_margin_around_one_value_too() -> None:
    assert limits(np.array([100.0, np.nan, 200.0])) == (94.0, 206.0)
    assert limits(np.array([7.8])) == pytest.approx((7.722, 7.878))
    assert limits(np.zeros(3)) == (-1.0, 1.0)


def test_labels_of_near_values_are_moved_apart_in_their_order() -> None:
    places = spread([5.0, 4.9, 9.0], gap=1.0)
    assert places[1] < places[0] < places[2]
    assert np.diff(sorted(places)).min() >= 1 - 1e-9
