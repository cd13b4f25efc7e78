import pytest

from forecasting.panel_settings import ChartSettings
from forecasting.reports.chart_choice import MAX_ALL, SHOWN, pictured, worth_seeing
from forecasting.reports.outlook import Outlook

IDS = [f"S{number:03}" for number in range(MAX_ALL + 10)]
NERVOUS = {name: Outlook(percentile=float(at), mood="usual") for at, name in enumerate(IDS)}


def test_the_most_nervous_series_are_worth_seeing() -> None:
    assert worth_seeing(IDS, NERVOUS) == IDS[: -SHOWN - 1 : -1]


def test_without_widths_the_first_series_are_worth_seeing() -> None:
    assert worth_seeing(IDS, {}) == IDS[:SHOWN]


def test_a_panel_of_up_to_fifty_series_gets_every_picture() -> None:
    assert pictured(ChartSettings(), IDS[:MAX_ALL], NERVOUS) == IDS[:MAX_ALL]


@pytest.mark.parametrize(
    ("png", "chosen"),
    [((), IDS[-SHOWN:]), (("S003", "none"), ["S003", *IDS[-SHOWN:]]), ("all", IDS)],
    ids=["nothing named", "one named", "all"],
)
def test_a_larger_panel_gets_those_worth_seeing_and_those_it_names(
    png: tuple[str, ...] | str, chosen: list[str]
) -> None:
    assert pictured(ChartSettings.model_validate({"png": png}), IDS, NERVOUS) == chosen
