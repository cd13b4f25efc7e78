from datetime import datetime

import pytest

from forecasting.formats import (
    format_change,
    format_date,
    format_number,
    format_p_value,
    format_percent,
    format_price,
    format_time,
    price_size,
)

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (0.00050123, "0.00050123"),
        (0.86215, "0.86215"),
        (1.0842, "1.0842"),
        (163.214, "163.21"),
        (17234.4, "17,234"),
        (1_000_000.0, "1,000,000"),
        (0.0, "0.0000"),
        (-36.98, f"{MINUS}36.98"),
    ],
)
def test_a_price_has_the_decimals_of_its_size(price: float, text: str) -> None:
    assert format_price(price, abs(price)) == text


def test_a_price_near_zero_is_as_fine_as_its_range() -> None:
    size = price_size(0.01, -12.0, 12.0)
    assert format_price(0.01, size) == "0.01"


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_missing_number_is_a_dash(missing: float | None) -> None:
    assert format_number(missing, 2) == format_percent(missing) == "\N{EN DASH}"


@pytest.mark.parametrize(
    ("share", "text"), [(0.0132, "+1.3%"), (-0.0132, f"{MINUS}1.3%"), (0.0, "0.0%"), (-0.0001, "0.0%")]
)
def test_a_signed_percentage_has_no_sign_at_zero(share: float, text: str) -> None:
    assert format_percent(share, signed=True) == text


def test_a_change_is_in_percent_of_a_positive_price() -> None:
    assert format_change(110.0, 100.0) == "+10.0%"


def test_a_change_from_a_negative_price_is_in_price_units() -> None:
    assert format_change(-30.0, -36.98) == "+6.98"


def test_dates_have_no_hour_for_daily_bars() -> None:
    time = datetime(2026, 3, 2, 14, 5)  # noqa: DTZ001 - the formats leave time zones alone
    assert format_date(time, daily=True) == "2 Mar 2026"
    assert format_date(time, daily=False) == "2 Mar 2026 14:05"
    assert format_time(time, daily=True) == "2026-03-02"
    assert format_time(time, daily=False) == "2026-03-02 14:05"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0123, "0.012"), (0.001, "0.001"), (0.0009, "<0.001"), (None, "\N{EN DASH}")]
)
def test_a_p_value_is_never_shown_as_zero(value: float | None, text: str) -> None:
    assert format_p_value(value) == text
