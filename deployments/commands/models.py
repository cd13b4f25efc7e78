"""`nightcast models`: list the versions of a model, and change who publishes."""

import sys
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.prompt import Confirm

from deployments import terminal
from deployments.commands.options import PanelName, Panels, Store
from forecasting.errors import NightcastError
from forecasting.panel import Panel
from forecasting.publishing.decisions import Decision, DecisionLog
from forecasting.selection.promotion import list_versions, plan_promotion, plan_rollback
from forecasting.storage import Storage


def models(
    panel: PanelName,
    action: Annotated[
        Literal["list", "promote", "rollback"],
        Parameter(help="list versions and decisions, promote VERSION, or restore the previous publisher."),
    ] = "list",
    version: Annotated[str, Parameter(help="With promote: the version that is to publish.")] = "",
    /,
    *,
    reason: Annotated[str, Parameter(help="With promote and rollback: why. It is recorded.")] = "",
    yes: Annotated[
        bool, Parameter(help="With promote and rollback: do not ask for confirmation.", negative="")
    ] = False,
    store: Store = None,
    panels: Panels = None,
) -> None:
    """List a panel's model versions, their scores and who publishes, or change the publisher by hand."""
    settings, storage = Panel.load(panel, panels), Storage(store)
    if (action == "promote") != bool(version):
        raise NightcastError(
            f"nightcast models PANEL {action} takes {'a VERSION; list shows them' if not version else 'none'}"
        )
    log = DecisionLog(storage, settings.name)
    if action == "list":
        terminal.print_models(settings, storage, list_versions(settings, storage), log.all())
        return
    if action == "promote":
        planned = plan_promotion(settings, storage, version, reason)
    else:
        planned = plan_rollback(settings, storage, reason)
    _confirm(planned, log.all()[-1], yes=yes)
    terminal.print_decision(log.append(planned))


def _confirm(planned: Decision, standing: Decision, *, yes: bool) -> None:
    """Say what will change, and ask unless `yes`.

    Raises:
        NightcastError: the answer is no, or there is no terminal to ask on.
    """
    before, after = (f"{one.model} {one.version}" for one in (standing, planned))
    print(f"From {planned.as_of} on, {after} will publish instead of {before}. {planned.reason}")
    if yes:
        return
    if not sys.stdin.isatty():
        raise NightcastError("nothing was changed: there is no terminal to ask on; add --yes to confirm")
    if not Confirm.ask("Change who publishes?", default=False):
        raise NightcastError("nothing was changed")
