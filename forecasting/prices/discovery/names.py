"""Names: of a panel after its source, and the part of file names that is the id."""

import re
from collections.abc import Sequence
from pathlib import PurePath
from urllib.parse import unquote, urlsplit

_UNSAFE = re.compile(r"[^a-z0-9_-]+")
_MOST = 64
# Words of vendors' file names that are no id.
_WORDS = re.compile(
    r"(?:daily|hourly|weekly|monthly|intraday|historicaldata|historical|history|hist|data|prices|price|quotes|ohlcv?|"
    r"klines|candles|export|download|adjusted|eod|dat|ascii|usd|max|full|csv|table|chart|1d|1h|4h|1m|5m|15m|1min|"
    r"5min|15min|30min|d1|h1|h4|m1|m5|m15|m30|w1|\d{4}-\d{2}-\d{2}|\d{8})",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[_\-. ]+")


def panel_name(uri: str) -> str:
    """A panel's name after its source: `HistoricalData_ACME.csv` is `historicaldata_acme`."""
    path = urlsplit(uri).path if "://" in uri else uri
    stem = _stem(unquote(path.rstrip("/")))
    plain = _UNSAFE.sub("_", stem.lower()).strip("_-")[:_MOST].strip("_-")
    return plain or "prices"


def file_pattern(names: Sequence[str]) -> str:
    """The pattern of file names in which `*` is the id: `daily_*` of `daily_ACME` and `daily_BOLT`.

    >>> file_pattern(["x/HistoricalData_ACME.csv"]), file_pattern(["a/ACME.csv", "a/BOLT.csv"])
    ('HistoricalData_*', '*')
    """
    stems = [_stem(name) for name in names]
    if len(set(stems)) == 1 and len(stems) > 1:
        return "*"  # the folders tell them apart
    if len(set(stems)) > 1:
        before, after = _common_start(stems), _common_start([stem[::-1] for stem in stems])[::-1]
        before = before[: max((match.end() for match in _BETWEEN.finditer(before)), default=0)]
        after = after[min((match.start() for match in _BETWEEN.finditer(after)), default=len(after)) :]
        return f"{before}*{after}"
    return _without_words(stems[0])


def _common_start(texts: Sequence[str]) -> str:
    """The longest start that all texts have."""
    first, last = min(texts), max(texts)
    same = next((at for at, one in enumerate(first) if at >= len(last) or one != last[at]), len(first))
    return first[:same]


def _without_words(stem: str) -> str:
    """A pattern of one name, without the words at its ends that are no id."""
    parts, marks = _BETWEEN.split(stem), _BETWEEN.findall(stem)
    first, last = 0, len(parts) - 1
    while first < last and _WORDS.fullmatch(parts[first]):
        first += 1
    while last > first and _WORDS.fullmatch(parts[last]):
        last -= 1
    before = "".join(part + mark for part, mark in zip(parts[:first], marks, strict=False))
    after = "".join(mark + part for mark, part in zip(marks[last:], parts[last + 1 :], strict=False))
    return f"{before}*{after}"


def _stem(name: str) -> str:
    path = PurePath(name)
    plain = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    return (
        PurePath(plain).stem
        if PurePath(plain).suffix.lower() in (".csv", ".txt", ".tsv", ".dat", ".parquet", ".zip", ".db")
        else plain
    )
