"""Which series are calm and which are nervous tonight, in words."""

from collections.abc import Mapping

from forecasting.formats import format_ordinal
from forecasting.reports.outlook import CALM, NERVOUS, Mood, Outlook
from forecasting.reports.past_widths import PAST_BARS

# What a forecast says, and what it does not say.
SCOPE = (
    "What is forecast is a range for each price, with at most a little drift; whether a price will rise or "
    "fall is not forecast."
)
WIDTH_RULE = (
    "Width compares the 80% range with those that the same model forecasts from earlier bars (up to "
    f"{PAST_BARS} bars back) of the same series: calm up to the {format_ordinal(CALM)} percentile, nervous "
    f"from the {format_ordinal(NERVOUS)}."
)
_NAMED = 3


def mood_line(outlooks: Mapping[str, Outlook]) -> str:
    """Return one sentence that counts nervous and calm series, and names the most extreme ones."""
    compared = sum(outlook.mood is not None for outlook in outlooks.values())
    if not compared:
        return (
            "No series is called calm or nervous: too few earlier ranges are known, or the random walk "
            "publishes, whose range hardly varies."
        )
    nervous, calm = (by_mood(outlooks, mood) for mood in ("nervous", "calm"))
    return f"Of {compared} series, {_counted(nervous, 'nervous')} and {_counted(calm, 'calm')}."


def mood_tiles(outlooks: Mapping[str, Outlook]) -> list[tuple[str, str]]:
    """Return the numbers of nervous and calm series, each with its meaning; empty if none was compared."""
    if all(outlook.mood is None for outlook in outlooks.values()):
        return []
    tiles = []
    for mood in ("nervous", "calm"):
        found = by_mood(outlooks, mood)
        names = f": {_named(found)} percentile" if found else ""
        tiles.append((str(len(found)), f"{mood} series{names}"))
    return tiles


def by_mood(outlooks: Mapping[str, Outlook], mood: Mood) -> list[tuple[str, float]]:
    """Return the series of a mood with their percentiles, the most extreme first."""
    found = [
        (unique_id, outlook.percentile)
        for unique_id, outlook in outlooks.items()
        if outlook.mood == mood and outlook.percentile is not None
    ]
    sign = -1 if mood == "nervous" else 1
    return sorted(found, key=lambda one: (sign * one[1], one[0]))


def format_width(outlook: Outlook) -> str:
    """Return the percentile and the mood, such as `93rd, nervous`; a dash if there is none."""
    if outlook.percentile is None:
        return "\N{EN DASH}"
    return f"{format_ordinal(outlook.percentile)}, {outlook.mood}"


def _counted(found: list[tuple[str, float]], mood: Mood) -> str:
    verb = "is" if len(found) == 1 else "are"
    names = f" ({_named(found)} percentile)" if found else ""
    return f"{len(found)} {verb} {mood}{names}"


def _named(found: list[tuple[str, float]]) -> str:
    return ", ".join(f"{unique_id} {format_ordinal(percentile)}" for unique_id, percentile in found[:_NAMED])
