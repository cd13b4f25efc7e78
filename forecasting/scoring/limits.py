"""Limits: when published forecasts turned out so much worse than the panel allows that luck is no excuse."""

import numpy as np

from forecasting.formats import format_percent
from forecasting.models.baselines import BASELINES
from forecasting.panel import Panel
from forecasting.scoring.track_record import Estimate, Realised, summarise_span, try_tally
from forecasting.storage import Storage

# How often luck alone may carry an estimate beyond its limit so far that a challenger is due.
CHANCE = 0.05


def beyond_limits(panel: Panel, storage: Storage, as_of: str) -> str | None:
    """Why what was published before `as_of` calls for a challenger, in words; None where it does not.

    Of the forecasts of the last `[scoring].days`, those count that a live run published and a network made,
    and of these the bars by `as_of`: a run for a past date knows no later ones. What a baseline said in a
    network's place no training can mend. Scores that cannot be read are no reason.
    """
    last = panel.instant(as_of)
    days = panel.scoring.days
    tally = try_tally(storage, panel.name, until=last, since=last - np.timedelta64(days, "D"))
    if tally is None:
        return None
    own = tally[(tally["origin"] == "live") & ~tally["model"].isin(BASELINES)]
    if own.empty:
        return None
    span = summarise_span(panel, "live", days, own)
    beyond = _beyond(panel, span)
    if beyond is None:
        return None
    return f"of the forecasts of the last {days} days {beyond}, on {span.independent} independent windows"


def _beyond(panel: Panel, span: Realised) -> str | None:
    limit, gap = panel.scoring.min_skill, panel.scoring.max_coverage_gap
    if span.skill.is_below(limit, CHANCE):
        least = format_percent(limit, signed=True)
        return f"the skill was {_said(span.skill, signed=True)}, below {least} (min_skill)"
    for percent, coverage in ((80, span.coverage_80), (90, span.coverage_90)):
        low, high = percent / 100 - gap, percent / 100 + gap
        if coverage.is_below(low, CHANCE) or coverage.is_above(high, CHANCE):
            return (
                f"the {percent}% band held {_said(coverage)} of the prices, more than "
                f"{format_percent(gap)} from {percent}% (max_coverage_gap)"
            )
    return None


def _said(estimate: Estimate, *, signed: bool = False) -> str:
    number, error = format_percent(estimate.value, signed=signed), format_percent(estimate.error)
    return f"{number}, give or take {error}"
