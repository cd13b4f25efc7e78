"""Names of runs: panel, date and flow, such as `ecb_fx 2026-11-27`; or the name that a person gave."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from prefect.runtime import flow_run

from flows.parameters import given_as_of, panel_of
from forecasting.as_of import to_instant
from forecasting.errors import PanelError
from forecasting.panel import Panel

_GREEK = (
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|omicron|pi|rho|sigma|tau|upsilon"
    "|phi|chi|psi|omega"
)
# What Prefect fills in where no person gives a name: two words or, in the form of the UI, a star, sometimes
# without its constellation.
_FILLED_IN = re.compile(rf"[a-z]+-[a-z]+|({_GREEK})\d*(-[a-z-]*)?")


def run_name(when: Callable[[Mapping[str, Any]], str], flow: str = "") -> Callable[[], str]:
    """The `flow_run_name` of a flow.

    Args:
        when: says which dates a run with these parameters is about.
        flow: the last word of the name. Empty for the nightly run.

    Returns:
        a function without parameters, which Prefect calls as the run starts.
    """

    def name() -> str:
        given = str(flow_run.name or "")
        if given and not _FILLED_IN.fullmatch(given):
            return given
        parameters = flow_run.parameters
        return " ".join(filter(None, (panel_of(parameters), when(parameters), flow)))

    return name


def aimed_at(parameters: Mapping[str, Any]) -> str:
    """The `as_of` that a run aims at: the given one, or the newest bar that was closed when it was due."""
    due = _due()
    try:
        panel = Panel.load(parameters["panel"], parameters.get("panels"))
        given = given_as_of(panel, parameters.get("as_of"), parameters.get("as_of_time"))
        return given or panel.label(panel.calendar.newest_closed(to_instant(due)))
    except PanelError:  # the flow raises it again, and the run fails with it
        return f"{due:%Y-%m-%d}"


def day_of(_parameters: Mapping[str, Any]) -> str:
    """The UTC date on which the run was due."""
    return f"{_due():%Y-%m-%d}"


def minute_of(_parameters: Mapping[str, Any]) -> str:
    """The UTC time at which the run was due."""
    return f"{_due():%Y-%m-%d %H:%M}"


def _due() -> datetime:
    return (flow_run.scheduled_start_time or datetime.now(UTC)).astimezone(UTC)
