"""Limits: whether published forecasts scored below the panel's limits by more than chance explains."""

import numpy as np

from forecasting.formats import format_percent
from forecasting.models.baselines import BASELINES
from forecasting.panel import Panel
from forecasting.scoring.track_record import Estimate, Realised, summarise_span, try_tally
from forecasting.storage import Storage

# Significance level: chance alone exceeds a limit this often at most.
CHANCE = 0.05


def beyond_limits(panel: Panel, storage: Storage, as_of: str) -> str | None:
    """Return why the scores of recent forecasts call for a challenger; None where they do not.

    Only forecasts of the last `[scoring].days` that a live run published and a network made count. Bars after
    `as_of` are ignored: a run for a past date must not know them. Forecasts of a baseline do not count,
    because training a network cannot improve them. Scores that cannot be read call for nothing.
    """
    last = panel.instant(as_of)
    days = panel.scoring.days
    tally = try_tally(storage, panel.name, until=last, since=last - np.timedelta64(days, "D"))
    if tally is None:
        return None
    by_networks = tally[(tally["origin"] == "live") & ~tally["model"].isin(BASELINES)]
    if by_networks.empty:
        return None
    span = summarise_span(panel, "live", days, by_networks)
    exceeded = exceeded_limit(panel, span)
    if exceeded is None:
        return None
    windows = span.independent
    return f"in the forecasts of the last {days} days {exceeded}, measured on {windows} independent windows"


def exceeded_limit(panel: Panel, span: Realised) -> str | None:
    """Return which limit of the panel the scores of a span exceed, in words; None if they exceed none."""
    limit, gap = panel.scoring.min_skill, panel.scoring.max_coverage_gap
    if span.skill.is_below(limit, CHANCE):
        least = format_percent(limit, signed=True)
        return f"the skill was {_with_error(span.skill, signed=True)}, below {least} (min_skill)"
    for percent, coverage in ((80, span.coverage_80), (90, span.coverage_90)):
        low, high = percent / 100 - gap, percent / 100 + gap
        if coverage.is_below(low, CHANCE) or coverage.is_above(high, CHANCE):
            return (
                f"the {percent}% interval contained {_with_error(coverage)} of the prices, more than "
                f"{format_percent(gap)} away from {percent}% (max_coverage_gap)"
            )
    return None


def _with_error(estimate: Estimate, *, signed: bool = False) -> str:
    number, error = format_percent(estimate.value, signed=signed), format_percent(estimate.error)
    return f"{number} (uncertainty {error})"
