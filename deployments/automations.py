"""Automations: the Prefect server posts to a webhook when a run fails or a forecast becomes stale.

Automations need a server that stays up. They also report crashed runs, which cannot report themselves. If the
server has an automation for an event, runs do not post that event themselves, so nobody hears of it twice.
`NIGHTCAST_WEBHOOK` in a run's environment is for runs without such a server.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import cast
from uuid import UUID

from prefect import get_client
from prefect.automations import AutomationCore, CallWebhook, EventTrigger, ResourceSpecification
from prefect.blocks.webhook import Webhook
from pydantic import SecretStr

from tasks.events import BREAKER, CRASHED, FAILED, STALE, STANDS_IN, automation_name

_BLOCK = "nightcast-notifications"
# Slack shows `text`; the other keys are for programs.
_PAYLOAD = """\
{"text": {{ event.payload.text | tojson }}, "event": {{ event.event | tojson }},
"panel": {{ event.payload.panel | tojson }}, "payload": {{ event.payload | tojson }}}"""
_CRASH_PAYLOAD = """\
{"text": {{ ("Nightcast: the run " ~ flow_run.name ~ " crashed: " ~ flow_run.state.message) | tojson }},
"event": {{ event.event | tojson }}, "flow_run_id": {{ flow_run.id | string | tojson }}}"""

# The events to post, and how long a panel is then left alone: the freshness flow finds it stale every hour.
_ALARMS = {
    FAILED: timedelta(0),
    BREAKER: timedelta(0),
    STANDS_IN: timedelta(0),
    STALE: timedelta(days=1),
}


def apply_automations(webhook: str, flows: Iterable[str]) -> list[str]:
    """Create or update the automations that post to `webhook`; `docs/failures.md` lists the events.

    A second call updates the automations and adds none. An automation that a person switched off stays off.
    The address is a secret: the server keeps it only in the block `nightcast-notifications`, encrypted.

    Args:
        webhook: the webhook's address.
        flows: the names of the flows whose crashes are posted: all deployed flows.

    Returns:
        the automations' names.
    """
    block = Webhook(url=SecretStr(webhook), headers={"Content-Type": "application/json"})
    wanted = notifications(cast("UUID", block.save(_BLOCK, overwrite=True)), flows)
    with get_client(sync_client=True) as client:
        for automation in wanted:
            standing = client.read_automations_by_name(automation.name)
            if standing:
                # The client sends only set fields, and the server requires all fields but the owner.
                whole = AutomationCore.model_validate(automation.model_dump(exclude={"owner_resource"}))
                whole.enabled = standing[0].enabled
                client.update_automation(standing[0].id, whole)
            else:
                client.create_automation(automation)
    return [automation.name for automation in wanted]


def notifications(block_id: UUID, flows: Iterable[str]) -> list[AutomationCore]:
    """The automations that call the webhook in the block `block_id`."""
    ours = ResourceSpecification(
        {"prefect.resource.role": "flow", "prefect.resource.name": sorted(set(flows))}
    )
    crash = EventTrigger(expect={CRASHED}, match_related=ours, threshold=1)
    alarms = [
        EventTrigger(expect={event}, for_each={"prefect.resource.id"}, threshold=1, within=rest)
        for event, rest in _ALARMS.items()
    ]
    return [
        _notification(alarm, CallWebhook(block_document_id=block_id, payload=_PAYLOAD)) for alarm in alarms
    ] + [_notification(crash, CallWebhook(block_document_id=block_id, payload=_CRASH_PAYLOAD))]


def _notification(trigger: EventTrigger, action: CallWebhook) -> AutomationCore:
    (event,) = trigger.expect
    return AutomationCore(
        name=automation_name(event),
        description="Posts to the webhook in the block nightcast-notifications; see docs/failures.md.",
        enabled=True,
        trigger=trigger,
        actions=[action],
    )
