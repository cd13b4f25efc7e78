"""Events: what happened to a panel, told to the Prefect server, and to people where it needs one.

Deployments and automations on the server start from them; `docs/contract.md` has their payloads. A failed or
crashed run has an event of Prefect's own besides.
"""

import os
from typing import Any

import httpx
from prefect import get_client
from prefect.events import emit_event
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL

from tasks.webhook import post

PUBLISHED = "nightcast.forecast.published"
STANDS_IN = "nightcast.baseline.stands-in"
BREAKER = "nightcast.breaker.tripped"
FAILED = "nightcast.run.failed"
STALE = "nightcast.forecast.stale"
CRASHED = "prefect.flow-run.Crashed"

WEBHOOK = "NIGHTCAST_WEBHOOK"


def emit(event: str, panel: str, payload: dict[str, Any]) -> None:
    """Tell the server that `event` happened to the panel of that name."""
    resource = {"prefect.resource.id": f"nightcast.panel.{panel}", "prefect.resource.name": panel}
    emit_event(event, resource=resource, payload={"panel": panel, **payload})


def alarm(event: str, panel: str, text: str, payload: dict[str, Any]) -> None:
    """The same of what a person should hear of, in one line; `notify` them too."""
    emit(event, panel, {"text": text, **payload})
    notify(event, panel, text, payload)


def notify(event: str, panel: str, text: str, payload: dict[str, Any]) -> None:
    """Post `text` to the webhook in `NIGHTCAST_WEBHOOK`, unless the server has the automation for it."""
    url = os.environ.get(WEBHOOK)
    if url and not _server_notifies(event):
        post(url, {"text": text, "event": event, "panel": panel, **payload})


def automation_name(event: str) -> str:
    """The name of the automation on the server that notifies of an event."""
    return f"nightcast notifies: {event}"


def _server_notifies(event: str) -> bool:
    """Whether a server that outlives this process does: a temporary one never comes to it."""
    if PREFECT_API_URL.value() is None:
        return False
    try:
        with get_client(sync_client=True) as client:
            found = client.read_automations_by_name(automation_name(event))
    except (httpx.HTTPError, PrefectHTTPStatusError):
        return False  # rather twice than never
    return bool(found)  # also one that a person has switched off
