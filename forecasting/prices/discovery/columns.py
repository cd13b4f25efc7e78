"""Columns: which of them hold the time, the id and the values, by their names and what they hold."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from forecasting.prices.sources.numbers import parse_number

# Names of columns in lower case without signs, the best first.
_TIME_NAMES = (
    "ds datetime timestamp date time opentime dates snappedat datum zeit fecha data day period month week "
    "tradedate tradingdate dateutc datetimeutc pricedate barstart closetime endtime unix epoch t"
)
_ID_NAMES = (
    "uniqueid symbol ticker id instrument asset secid code isin ric pair series seriesid currency name kod "
    "stock coin market wkn cusip permno"
)
_ADJUSTED_NAMES = "adjclose adjustedclose closeadj closeadjusted adjustedprice adjprice adjclosing"
_TIMES, _IDS, _ADJUSTED = (tuple(names.split()) for names in (_TIME_NAMES, _ID_NAMES, _ADJUSTED_NAMES))
_CLOSES = (
    "close closelast closing closingprice closeprice last lastprice price pxlast settle settlement schluss "
    "schlusskurs kurs cierre cloture dernier ultimo chiusura value rate nav mid y c"
)
_OPENS = "open openprice opening pxopen eroffnung erffnung eroeffnung erster apertura ouverture o"
_HIGHS = "high highprice max pxhigh hoch tageshoch maximo plushaut h"
_LOWS = "low lowprice min pxlow tief tagestief minimo plusbas l"
_VOLUMES = "volume tickvol tickvolume vol totalvolume volumen stucke stcke pxvolume v qty"
_VALUES: Mapping[str, tuple[str, ...]] = {
    "close": (*_ADJUSTED, *_CLOSES.split()),
    "open": tuple(_OPENS.split()),
    "high": tuple(_HIGHS.split()),
    "low": tuple(_LOWS.split()),
    "volume": tuple(_VOLUMES.split()),
}
_ENDS = frozenset({"closetime", "endtime", "barend", "end", "timeclose"})
_SIGNS = re.compile(r"[^a-z0-9]")
_TIME = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*|\d{4}[-/]\d{2}"
    r"|\d{8}([T ]?\d{4,6})?|\d{9,10}(\.\d+)?|\d{12,13}|\d{15,16}|\d{18,19}"
    r"|.*\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b.*\d.*",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?")
# A time of day without a colon, which only the column's name tells from a number.
_BARE_CLOCK = re.compile(r"\d{4}|\d{6}")
_CLOCK_NAMES = ("time", "timeutc", "starttime")
# What stands for no value, besides NaN and the empty cell.
_NOTHING = frozenset(
    {".", "-", "--", "n/a", "na", "null", "none", "#n/a", "#n/a n/a", "nd", "n.a.", "\u2013"}
)
_DATE_ONLY = re.compile(r"[^:]*")


@dataclass(frozen=True)
class Roles:
    """What the columns of a table hold.

    Attributes:
        times: the column of the time, or those of the date and the time of day.
        ids: the column of the ids; empty where none holds them.
        values: the column of each value; without a close where none looks like one.
        series: the other columns with numbers: the series of a wide table.
        is_end: whether the time column is named as the end of a bar.
        adjusted: the unadjusted close that was passed over for an adjusted one.
    """

    times: tuple[str, ...]
    ids: str
    values: dict[str, str]
    series: tuple[str, ...]
    is_end: bool = False
    adjusted: str = field(default="")


def is_time(text: str) -> bool:
    """Whether a text looks like a date, a date and time, or a Unix time."""
    return bool(_TIME.fullmatch(text.strip()))


def is_number(text: str) -> bool:
    """Whether a text looks like a price or volume."""
    return any(parse_number(text, mark) is not None for mark in ".,")


def is_data(cells: Sequence[str]) -> bool:
    """Whether a line of a file holds a time and a number, or what stands for none, as rows of prices do."""
    if not any(map(is_time, cells)):
        return False
    if len(cells) > 1 and is_time(cells[0]) and all(map(_is_nothing, cells[1:])):
        return True
    return sum(is_number(cell) or cell.lower() in _NOTHING for cell in cells) > sum(map(_is_bare_time, cells))


def find_roles(columns: Mapping[str, Sequence[str]]) -> Roles:
    """What each column holds, from its name and its first values as text."""
    filled = {name: [text for text in texts if text] for name, texts in columns.items()}
    times = _times(filled)
    rest = {name: texts for name, texts in filled.items() if name and name not in times}
    numeric = [name for name, texts in rest.items() if texts and all(map(_is_value, texts))]
    ids = _ids({name: texts for name, texts in rest.items() if texts}, numeric)
    numeric = [name for name in numeric if name != ids]
    # An empty column may still be a value, as the volume of currencies.
    candidates = [name for name in rest if name != ids and (name in numeric or not rest[name])]
    values, adjusted = _values(candidates, numeric)
    others = tuple(name for name in rest if name in numeric and name not in values.values())
    plain = _plain(times[0]) if times else ""
    return Roles(times, ids, values, others, plain in _ENDS, adjusted)


def _times(columns: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    timed = [name for name, texts in columns.items() if texts and all(map(is_time, texts))]
    clocks = [name for name, texts in columns.items() if _are_clocks(name, texts)]
    named = {name: _rank(_plain(name), _TIMES) for name in timed}
    # A number may be a price too: only its name makes it a time. Text with signs is one anyhow.
    timed = [name for name in timed if named[name] is not None or not all(map(_is_bare_time, columns[name]))]
    if not timed and columns:
        first = next(iter(columns))
        timed = [first] if columns[first] and all(map(is_time, columns[first])) else []
    if not timed:
        return ()
    best = min(
        timed,
        key=lambda name: (
            all(map(_is_bare_unix, columns[name])),
            len(_TIMES) if named[name] is None else named[name],
        ),
    )
    if (
        clocks
        and all(":" not in text for text in columns[best])
        and not all(map(_is_bare_unix, columns[best]))
    ):
        return best, clocks[0]
    return (best,)


def _are_clocks(name: str, texts: Sequence[str]) -> bool:
    """Whether a column holds times of day, and not only midnights."""
    if not texts:
        return False
    if _plain(name) in _CLOCK_NAMES and len(set(texts)) > 1 and all(map(_BARE_CLOCK.fullmatch, texts)):
        return True
    return all(map(_CLOCK.fullmatch, texts))


def nothing_in(texts: Sequence[str]) -> set[str]:
    """The texts that stand for no value."""
    return {text for text in texts if text.lower() in _NOTHING}


def _ids(columns: Mapping[str, Sequence[str]], numeric: Sequence[str]) -> str:
    named = [name for name in columns if _rank(_plain(name), _IDS) is not None]
    if named:
        return min(named, key=lambda name: _rank(_plain(name), _IDS) or 0)
    texts = [
        name
        for name, cells in columns.items()
        if name not in numeric and not any(map(_is_value, cells)) and not any("%" in cell for cell in cells)
    ]
    repeated = [name for name in texts if len(set(columns[name])) <= max(1, len(columns[name]) // 2)]
    return repeated[0] if len(repeated) == 1 else ""


def _values(columns: Sequence[str], numeric: Sequence[str]) -> tuple[dict[str, str], str]:
    values: dict[str, str] = {}
    for value, names in _VALUES.items():
        found = [name for name in columns if _rank(_plain(name), names) is not None]
        found = [name for name in found if name in numeric] or (found if value != "close" else [])
        if found:
            values[value] = min(found, key=lambda name: _rank(_plain(name), names) or 0)
    passed = ""
    if "close" in values and _plain(values["close"]) in _ADJUSTED:
        passed = next(
            (name for name in numeric if _plain(name) in _VALUES["close"] and name != values["close"]), ""
        )
        values = {value: name for value, name in values.items() if value in ("close", "volume")}
    return values, passed


def value_of(name: str) -> str:
    """The value that a column's name stands for; empty where it stands for none."""
    return next((value for value, names in _VALUES.items() if _plain(name) in names), "")


def is_adjusted(name: str) -> bool:
    """Whether a column's name is that of an adjusted close."""
    return _plain(name) in _ADJUSTED


def _plain(name: str) -> str:
    return _SIGNS.sub("", name.lower())


def _rank(plain: str, names: Sequence[str]) -> int | None:
    return names.index(plain) if plain in names else None


def _is_value(text: str) -> bool:
    return is_number(text) or text.lower() in ("nan", "inf") or text.lower() in _NOTHING


def _is_nothing(text: str) -> bool:
    return not text or text.lower() in _NOTHING


def _is_bare_time(text: str) -> bool:
    return bool(re.fullmatch(r"\d+(\.\d+)?", text.strip())) and is_time(text)


def _is_bare_unix(text: str) -> bool:
    return bool(re.fullmatch(r"\d{9,}(\.\d+)?", text.strip()))
