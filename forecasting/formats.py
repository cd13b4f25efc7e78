"""Number and time formats for people, shared by charts, reports and messages."""

import math
from datetime import datetime

_NONE = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
# Always English: the same forecast must give the same bytes under any locale.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


# (minimum size, decimals). Prices below the last minimum get five significant digits.
_DECIMALS = ((10_000, 0), (10, 2), (1, 4))


def price_size(price: float, low: float, high: float) -> float:
    """Return the size that sets the decimals of a price. For prices near zero that is their range."""
    return max(abs(price), high - low)


def format_price(value: float, size: float) -> str:
    """Format a price with the decimals usual for prices of `size`.

    >>> [format_price(price, price) for price in (0.00050123, 0.86215, 1.0842, 163.21, 17234.4)]
    ['0.00050123', '0.86215', '1.0842', '163.21', '17,234']
    """
    for least, decimals in _DECIMALS:
        if size >= least:
            return format_number(value, decimals)
    return format_number(value, 4 - math.floor(math.log10(size)) if size > 0 else 4)


def format_number(value: float | None, decimals: int) -> str:
    """Format a number with thousands separators and a typographic minus sign; a dash for None or NaN."""
    if value is None or math.isnan(value):
        return _NONE
    value = round(value, decimals) + 0.0  # adding zero turns -0.0 into 0.0
    return f"{value:,.{decimals}f}".replace("-", _MINUS)


def format_count(count: int, noun: str) -> str:
    """Format a number of things, with the noun in its plural unless there is one.

    >>> format_count(1, "bar"), format_count(2, "bar")
    ('1 bar', '2 bars')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def format_percent(share: float | None, decimals: int = 1, *, signed: bool = False) -> str:
    """Format a share as a percentage; a dash for None or NaN.

    >>> format_percent(0.013), format_percent(0.013, signed=True)
    ('1.3%', '+1.3%')
    """
    text = format_number(None if share is None else share * 100, decimals)
    return text if text == _NONE else f"{_signed(text) if signed else text}%"


def format_odds(probability: float) -> str:
    """Format a probability as a percentage, without rounding it to never or always.

    >>> [format_odds(probability) for probability in (0.0, 0.0004, 0.248, 0.9999)]
    ['<0.1%', '<0.1%', '24.8%', '>99.9%']
    """
    least = 0.001
    if probability < least:
        return f"<{format_percent(least)}"
    return f">{format_percent(1 - least)}" if probability > 1 - least else format_percent(probability)


def format_ordinal(number: float) -> str:
    """Format a number that is not negative as an ordinal.

    >>> [format_ordinal(number) for number in (1, 2.4, 3, 11, 12, 98.0, 100)]
    ['1st', '2nd', '3rd', '11th', '12th', '98th', '100th']
    """
    whole = round(number)
    is_teen = whole % 100 in range(10, 20)
    ending = "th" if is_teen else {1: "st", 2: "nd", 3: "rd"}.get(whole % 10, "th")
    return f"{whole}{ending}"


def format_p_value(value: float | None) -> str:
    """Format a p-value as `0.012`, or as `<0.001` if it is smaller than that; a dash for None."""
    least = 0.001
    return f"<{least}" if value is not None and value < least else format_number(value, 3)


def format_change(value: float, start: float) -> str:
    """Format the change from `start` to `value` in percent, or in price units if `start` is not positive."""
    if start > 0:
        return format_percent(value / start - 1, signed=True)
    return _signed(format_price(value - start, max(abs(start), abs(value))))


def _signed(text: str) -> str:
    """Add a plus sign to a formatted positive number."""
    is_zero = not any(digit in text for digit in "123456789")
    return text if is_zero or text.startswith(_MINUS) else f"+{text}"


def format_time(time: datetime, *, daily: bool) -> str:
    """Format a time as `2026-10-30`, or as `2026-10-30 14:00` for intraday bars. Both sort as text."""
    return f"{time:%Y-%m-%d}" if daily else f"{time:%Y-%m-%d %H:%M}"


def format_date(time: datetime, *, daily: bool) -> str:
    """Format a time as `30 Oct 2026`, or as `30 Oct 2026 14:00` for intraday bars."""
    date = f"{time.day} {MONTHS[time.month - 1]} {time.year}"
    return date if daily else f"{date} {time:%H:%M}"
