"""Time formats: the `strptime` forms in which sources write times, checked and found."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from itertools import product

import pandas as pd

_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)
_KNOWN = frozenset("aAbBcdfGHIjmMpSuUVwWxXyYzZ%")
_HOURS = frozenset("HIcX")
_SAMPLE = datetime(2026, 11, 27, 13, 45, 59, tzinfo=UTC)

_DATES = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y%m%d",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d.%m.%Y",
    "%m-%d-%Y",
    "%d-%m-%Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d.%m.%y",
    "%y-%m-%d",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d %Y",
    "%a %b %d %Y",
    "%a, %d %b %Y",
    "%b %Y",
    "%B %Y",
    "%b-%Y",
    "%b-%y",
    "%m/%Y",
    "%Y-%m",
    "%Y/%m",
)
_CLOCKS = (
    "",
    " %H:%M",
    " %H:%M:%S",
    " %H:%M:%S.%f",
    " %I:%M %p",
    " %I:%M:%S %p",
    " %H%M",
    " %H%M%S",
    "T%H:%M:%S",
    ", %H:%M",
    ", %H:%M:%S",
)
_SHAPES = {
    "%Y": r"\d{4}",
    "%y": r"\d{2}",
    **dict.fromkeys(("%m", "%d", "%H", "%I", "%M", "%S"), r"\d{1,2}"),
    **dict.fromkeys(("%b", "%B", "%a", "%Z"), "[A-Za-z]+"),
    "%f": r"\d{1,9}",
    "%p": "[AaPp][Mm]",
    "%z": r"(?:[Zz]|[+-]\d{2}:?\d{2})",
}
_ZONES = ("", " %Z", " %z", "%z")


def check_time_format(form: str) -> None:
    """Check that times can be read by a `strptime` format; the empty one means ISO 8601.

    Raises:
        ValueError: a directive is unknown or there twice; the text says what is allowed.
    """
    used = _DIRECTIVE.findall(form)
    for directive in used:
        if directive not in _KNOWN:
            raise ValueError(
                f'{form!r} has the unknown directive "%{directive}"; use those of Python\'s strptime, such '
                "as %Y-%m-%d %H:%M:%S"
            )
        if directive != "%" and used.count(directive) > 1:
            raise ValueError(
                f'{form!r} has the directive "%{directive}" twice; name each part of a time once'
            )
    try:
        pd.to_datetime(pd.Series([_SAMPLE.strftime(form)] if form else []), format=form or None, utc=True)
    except ValueError as error:
        raise ValueError(
            f"{form!r} does not name one date ({error}); use a format such as %Y-%m-%d %H:%M:%S"
        ) from error


def has_hour(form: str) -> bool:
    """Whether a format names the time of day."""
    return any(directive in _HOURS for directive in _DIRECTIVE.findall(form))


def fitting_formats(texts: Iterable[str]) -> list[str]:
    """The common formats in which every one of the texts is a time, the most usual first.

    >>> fitting_formats(["27.11.2026", "30.11.2026"])
    ['%d.%m.%Y']
    >>> fitting_formats(["03/04/2026", "05/06/2026"])
    ['%m/%d/%Y', '%d/%m/%Y']
    """
    written = pd.Series(sorted({text.strip() for text in texts}), dtype="str")
    if written.empty:
        return []
    found = []
    first = written.iloc[0]
    for parts in product(_DATES, _CLOCKS, _ZONES):
        form = "".join(parts)
        if _shape(form).fullmatch(first) and _fits(written, form):
            found.append(form)
    return found


@cache
def _shape(form: str) -> re.Pattern[str]:
    """A pattern that every time of a format matches: to try it costs a thousandth of parsing."""
    pieces = re.split(r"(%.)", form)
    return re.compile("".join(_SHAPES.get(piece, re.escape(piece)) for piece in pieces))


def _fits(written: pd.Series, form: str) -> bool:
    try:
        times = pd.to_datetime(written, format=form, errors="coerce", utc=True)
    except ValueError:
        return False
    return bool(times.notna().all() and times.dt.year.between(1900, 2100).all())
