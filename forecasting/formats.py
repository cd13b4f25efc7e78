"""Formats: prices, shares and times as a person reads them, the same in charts, report and messages."""

import math
from datetime import datetime

_NONE = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
# English whatever the locale, so that the same forecast gives the same bytes everywhere.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


# From this size on a price is quoted with so many decimals; a smaller one with five significant digits.
_DECIMALS = ((10_000, 0), (10, 2), (1, 4))


def price_size(price: float, low: float, high: float) -> float:
    """The size that the decimals of a price suit: near zero they suit its range instead."""
    return max(abs(price), high - low)


def format_price(value: float, size: float) -> str:
    """A price with the decimals that suit prices of `size`: 0.00050123, 0.86215, 1.0842, 163.21, 17,234."""
    for least, decimals in _DECIMALS:
        if size >= least:
            return format_number(value, decimals)
    return format_number(value, 4 - math.floor(math.log10(size)) if size > 0 else 4)


def format_number(value: float | None, decimals: int) -> str:
    """A number with thousands separators and a true minus sign; a dash for None or NaN."""
    if value is None or math.isnan(value):
        return _NONE
    value = round(value, decimals) + 0.0  # adding zero: no "-0.0"
    return f"{value:,.{decimals}f}".replace("-", _MINUS)


def format_percent(share: float | None, decimals: int = 1, *, signed: bool = False) -> str:
    """A share (0.013) as a percentage (`1.3%`; signed: `+1.3%`); a dash for None or NaN."""
    text = format_number(None if share is None else share * 100, decimals)
    return text if text == _NONE else f"{_signed(text) if signed else text}%"


def format_p_value(value: float | None) -> str:
    """`0.012`, and `<0.001` for what is smaller; a dash for None."""
    least = 0.001
    return f"<{least}" if value is not None and value < least else format_number(value, 3)


def format_change(value: float, start: float) -> str:
    """The way from price `start` to `value`: in percent, or in price units where `start` is not positive."""
    if start > 0:
        return format_percent(value / start - 1, signed=True)
    return _signed(format_price(value - start, max(abs(start), abs(value))))


def _signed(text: str) -> str:
    """A formatted number with its sign; zero has none."""
    is_zero = not any(digit in text for digit in "123456789")
    return text if is_zero or text.startswith(_MINUS) else f"+{text}"


def format_time(time: datetime, *, daily: bool) -> str:
    """`2026-10-30`, which sorts as text, and for bars shorter than a day `2026-10-30 14:00`."""
    return f"{time:%Y-%m-%d}" if daily else f"{time:%Y-%m-%d %H:%M}"


def format_date(time: datetime, *, daily: bool) -> str:
    """`30 Oct 2026`, and for bars shorter than a day `30 Oct 2026 14:00`."""
    date = f"{time.day} {MONTHS[time.month - 1]} {time.year}"
    return date if daily else f"{date} {time:%H:%M}"
