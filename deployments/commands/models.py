"""`nightcast models`: the versions of a model, and who publishes."""

from typing import Annotated, Literal

from cyclopts import Parameter

from deployments import terminal
from deployments.commands.options import PanelName, Panels, Store
from forecasting.errors import NightcastError
from forecasting.models.registry import Registry
from forecasting.panel import Panel
from forecasting.selection.promotion import list_versions, promote, rollback
from forecasting.storage import Storage


def models(
    panel: PanelName,
    action: Annotated[
        Literal["list", "promote", "rollback"],
        Parameter(help="list versions and decisions, promote VERSION, or roll back the last change."),
    ] = "list",
    version: Annotated[str, Parameter(help="Of promote: who is to publish.")] = "",
    /,
    *,
    reason: Annotated[str, Parameter(help="Of promote and rollback: why; it is recorded.")] = "",
    store: Store = None,
    panels: Panels = None,
) -> None:
    """The versions of a panel's model, what they were worth, and who publishes; change that by hand."""
    settings, storage = Panel.load(panel, panels), Storage(store)
    if (action == "promote") != bool(version):
        raise NightcastError(
            f"nightcast models PANEL {action} takes {'a VERSION; list shows them' if not version else 'none'}"
        )
    if action == "promote":
        terminal.print_decision(promote(settings, storage, version, reason))
    elif action == "rollback":
        terminal.print_decision(rollback(settings, storage, reason))
    else:
        terminal.print_models(
            settings, storage, list_versions(settings, storage), Registry(storage, settings.name).decisions()
        )
