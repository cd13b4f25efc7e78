"""Calendars: which frequency, calendar and time zone fit the times of a source."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from forecasting.calendar import bar_calendar, calendar_zone
from forecasting.errors import PanelError, SourceError
from forecasting.prices.audit.spacing import CANDIDATES, WIDEST, calendar_misfit, find_spacing

_DAY = np.timedelta64(1, "D")
# Of the bars this share must lie on a calendar.
_FITS = 0.98
# A calendar is preferred to an earlier candidate if the bars cover this much more of it.
_BETTER = 0.02
# If a market opens every day, each weekday has a seventh of its bars; else one weekday has hardly any.
_RAREST_WEEKDAY = 0.05
# Shorter samples fit many calendars.
_MANY_DAYS = 120
_CURRENCIES = frozenset(
    [
        "AUD",
        "BRL",
        "CAD",
        "CHF",
        "CNH",
        "CNY",
        "CZK",
        "DKK",
        "EUR",
        "GBP",
        "HKD",
        "HUF",
        "ILS",
        "INR",
        "JPY",
        "KRW",
        "MXN",
        "NOK",
        "NZD",
        "PLN",
        "SEK",
        "SGD",
        "THB",
        "TRY",
        "USD",
        "ZAR",
    ]
)
_COINS = ("BTC", "ETH", "XRP", "SOL", "DOGE", "ADA", "USDT", "USDC", "BNB", "LTC")


@dataclass(frozen=True)
class Fit:
    """The bars of a source, as a panel describes them.

    Attributes:
        freq: how far apart they are.
        calendar: the calendar that has them.
        zone: the zone of intraday times that name none; empty for daily bars.
        unsure: what was guessed, in sentences.
    """

    freq: str
    calendar: str
    zone: str = ""
    unsure: list[str] = field(default_factory=list)


def find_frequency(series: np.ndarray, ds: np.ndarray, place: str) -> str | None:
    """The frequency of bars sorted by series and time; None where they are no bars of one.

    Args:
        series: (N,) number of each bar's series.
        ds: (N,) datetime64[us].
        place: where the bars are, for messages.

    Raises:
        SourceError: the bars lie further apart than any frequency has them.
    """
    spacing = find_spacing(series, ds, least=2)
    if spacing and spacing.too_wide and not spacing.freq:
        raise SourceError(
            f"{place}: most prices are {spacing.apart} apart, which is wider than any [bars].freq; offer "
            f"prices {WIDEST} or less apart"
        )
    return spacing.freq or None if spacing else None


def fit_daily(days: np.ndarray, ids: list[str], freq: str) -> Fit:
    """The calendar of daily, weekly or monthly bars.

    Args:
        days: (N,) datetime64[D], distinct.
        ids: the series; they decide between calendars that fit alike.
        freq: 1D, 1W or 1M.
    """
    if freq != "1D":
        return Fit(freq, "24/7", unsure=[f'the calendar: {freq} bars fit any; "24/7" was taken'])
    known: dict[str, int] = {}
    for name in _ordered(ids):
        score = calendar_misfit(name, days, 1 - _FITS)
        if score is not None:
            known[name] = score
        if score == 0 and len(days) >= _MANY_DAYS:  # to build them all takes seconds
            break
    if not known:
        return Fit(freq, "24/7", unsure=["the calendar: none fits these days; 24/7 has them all"])
    least = min(known.values())
    alike = [name for name, score in known.items() if score == least]
    unsure = []
    if len(alike) > 1 or len(days) < _MANY_DAYS:
        others = ", ".join(alike[1:4])
        unsure.append(
            f"the calendar: {alike[0]} fits these days" + (f", and so do {others}" if others else "")
        )
    return Fit(freq, alike[0], unsure=unsure)


def fit_intraday(stamps: np.ndarray, freq: str, ids: list[str], *, zoned: bool) -> Fit:
    """The calendar of intraday bars, and the zone of their times.

    Args:
        stamps: (N,) datetime64[us], distinct; as written, or in UTC where they name their zone.
        freq: how far apart they are.
        ids: the series; they decide between calendars that fit alike.
        zoned: whether they name their zone.
    """
    best: tuple[float, str, str] = (-1.0, "24/7", "UTC")
    for name in ["24/7"] if _every_weekday(stamps) else _ordered(ids):
        for zone in dict.fromkeys(["UTC"] if zoned else ["UTC", calendar_zone(name) or "UTC"]):
            covered = _coverage(name, freq, stamps, zone)
            if covered > best[0] + _BETTER:
                best = covered, name, zone
        if best[0] >= 1 - _BETTER:  # to build them all takes seconds
            break
    _, name, zone = best
    unsure = [] if zoned else [f"the time zone: no time names one, and {zone} was taken"]
    if best[0] < _FITS / 2:
        unsure.append(f"the calendar: none fits well; {name} was taken")
    return Fit(freq, name, "" if zoned else zone, unsure)


def _ordered(ids: list[str]) -> list[str]:
    """The candidates, first those that the ids speak for."""
    plain = ["".join(filter(str.isalpha, one.upper())) for one in ids]
    hints = []
    if any(len(one) == 6 and one[:3] in _CURRENCIES and one[3:] in _CURRENCIES for one in plain):  # noqa: PLR2004
        hints = ["FX"]
    elif any(coin in one for one in plain for coin in _COINS):
        hints = ["24/7"]
    return [*hints, *(name for name in CANDIDATES if name not in hints)]


def _every_weekday(stamps: np.ndarray) -> bool:
    """Whether the bars lie on all seven days of the week, as of no calendar but 24/7."""
    weekdays = stamps.astype("datetime64[D]").astype(np.int64) % 7
    return bool(np.bincount(weekdays, minlength=7).min() > _RAREST_WEEKDAY * len(stamps))


def _coverage(name: str, freq: str, stamps: np.ndarray, zone: str) -> float:
    """The share of a calendar's bars that the stamps have; -1 where the calendar does not fit them."""
    try:
        calendar = bar_calendar(name, freq)
    except PanelError:  # it has dates and no hours
        return -1.0
    utc = stamps
    if zone != "UTC":
        local = pd.DatetimeIndex(stamps).tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
        utc = local.tz_convert(None).to_numpy("datetime64[us]")
        utc = utc[~np.isnat(utc)]
    if not len(utc) or utc.min() < calendar.begin or utc.max() > calendar.end:
        return -1.0
    on = calendar.contains(utc)
    if on.mean() < _FITS:
        return -1.0
    return float(on.sum() / max(len(calendar.bars(utc.min(), utc.max())), 1))
