"""Events: report what happened to a panel to the Prefect server, and to people where they must act.

Deployments and automations on the server can start from these events; `docs/contract.md` describes their
payloads. Prefect also emits its own events for failed and crashed runs.
"""

import os
from typing import Any

import httpx
from prefect import get_client
from prefect.events import emit_event
from prefect.exceptions import PrefectHTTPStatusError

from forecasting.publishing.address import INDEX
from forecasting.publishing.public_links import public_link
from tasks.server_kind import has_lasting_server
from tasks.webhook import post

PUBLISHED = "nightcast.forecast.published"
STANDS_IN = "nightcast.baseline.stands-in"
BREAKER = "nightcast.breaker.tripped"
FAILED = "nightcast.run.failed"
STALE = "nightcast.forecast.stale"
CRASHED = "prefect.flow-run.Crashed"

WEBHOOK = "NIGHTCAST_WEBHOOK"


def emit(event: str, panel: str, payload: dict[str, Any]) -> None:
    """Emit an event about a panel to the server."""
    resource = {"prefect.resource.id": f"nightcast.panel.{panel}", "prefect.resource.name": panel}
    emit_event(event, resource=resource, payload={"panel": panel, **_linked(payload)})


def alarm(event: str, panel: str, text: str, payload: dict[str, Any]) -> None:
    """Emit an event that people should hear of, and notify them. `text` is one line."""
    emit(event, panel, {"text": _with_link(text, payload), **payload})
    notify(event, panel, text, payload)


def notify(event: str, panel: str, text: str, payload: dict[str, Any]) -> None:
    """Post `text` to the webhook in `NIGHTCAST_WEBHOOK`, unless an automation on the server does."""
    url = os.environ.get(WEBHOOK)
    if url and not _server_notifies(event):
        message = {"text": _with_link(text, payload), "event": event, "panel": panel}
        post(url, {**message, **_linked(payload)})


def _linked(payload: dict[str, Any]) -> dict[str, Any]:
    """The payload with the address of the landing page; None where the store is not served."""
    return {**payload, "landing_url": public_link(INDEX)}


def _with_link(text: str, payload: dict[str, Any]) -> str:
    """The text, and the page to look at where the store is served: chats show the text only."""
    link = payload.get("report_url") or public_link(INDEX)
    return f"{text} See {link}" if link else text


def automation_name(event: str) -> str:
    """The name of the server's automation that posts an event."""
    return f"nightcast notifies: {event}"


def _server_notifies(event: str) -> bool:
    """Whether the server posts the event. A temporary server ends too soon to do so."""
    if not has_lasting_server():
        return False
    try:
        with get_client(sync_client=True) as client:
            found = client.read_automations_by_name(automation_name(event))
    except (httpx.HTTPError, PrefectHTTPStatusError):
        return False  # two messages are better than none
    return bool(found)  # also if a person has switched it off
