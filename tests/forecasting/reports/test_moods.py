import pytest

from forecasting.reports.moods import format_width, mood_line, mood_tiles
from forecasting.reports.outlook import Mood, Outlook


def outlooks(**percentiles: float | None) -> dict[str, Outlook]:
    def mood(percentile: float | None) -> Mood | None:
        if percentile is None:
            return None
        return "calm" if percentile <= 20 else "nervous" if percentile >= 80 else "usual"

    return {name: Outlook(percentile, mood(percentile)) for name, percentile in percentiles.items()}


TONIGHT = outlooks(A=50, B=81, C=100, D=93, E=98, F=3, G=None, H=18.4)


def test_the_line_names_the_three_most_extreme_series_of_each_mood() -> None:
    assert mood_line(TONIGHT) == (
        "Of 7 series, 4 are nervous (C 100th, E 98th, D 93rd percentile) "
        "and 2 are calm (F 3rd, H 18th percentile)."
    )


def test_the_tiles_count_all_and_name_three() -> None:
    assert mood_tiles(TONIGHT) == [
        ("4", "nervous series: C 100th, E 98th, D 93rd percentile"),
        ("2", "calm series: F 3rd, H 18th percentile"),
    ]


def test_a_mood_without_series_names_none() -> None:
    usual = outlooks(A=50, B=95)
    assert mood_line(usual) == "Of 2 series, 1 is nervous (B 95th percentile) and 0 are calm."
    assert mood_tiles(usual)[1] == ("0", "calm series")


@pytest.mark.parametrize("none", [{}, outlooks(A=None)], ids=["no series", "no percentile"])
def test_without_percentiles_the_line_says_why_and_there_are_no_tiles(none: dict[str, Outlook]) -> None:
    assert mood_line(none).startswith("No series is called calm or nervous: ")
    assert mood_tiles(none) == []


def test_equal_percentiles_are_named_in_the_order_of_their_ids() -> None:
    assert mood_tiles(outlooks(B=90, A=90))[0] == ("2", "nervous series: A 90th, B 90th percentile")


@pytest.mark.parametrize(
    ("percentile", "text"), [(92.9, "93rd, nervous"), (0, "0th, calm"), (None, "\N{EN DASH}")]
)
def test_a_width_is_its_percentile_and_mood(percentile: float | None, text: str) -> None:
    assert format_width(outlooks(A=percentile)["A"]) == text
