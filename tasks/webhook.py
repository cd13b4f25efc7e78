"""Webhook: a message to people, at an address that is a secret."""

import logging
from http import HTTPStatus
from typing import Any

import httpx
import stamina

_log = logging.getLogger(__name__)

_ATTEMPTS = 3
_SECONDS_AN_ATTEMPT = 5.0
_SECONDS_IN_ALL = 20.0

# It names whole addresses at INFO.
logging.getLogger("httpx").setLevel(logging.WARNING)


class _NotDeliveredError(Exception):
    """Why a message was not delivered; without the address, which the errors of httpx name."""


class _PassingError(_NotDeliveredError):
    """One that may be gone at the next try."""


def post(url: str, message: dict[str, Any]) -> None:
    """POST `message` as JSON, with a few tries; that nobody takes it is a warning in the log, and no error.

    Slack's incoming webhooks show its `text` and pass over the rest.
    """
    try:
        for attempt in stamina.retry_context(
            on=_PassingError, attempts=_ATTEMPTS, timeout=_SECONDS_IN_ALL, wait_max=_SECONDS_AN_ATTEMPT
        ):
            with attempt:
                _post_once(url, message)
    except _NotDeliveredError as error:
        _log.warning("notification: not delivered, as %s; look at NIGHTCAST_WEBHOOK", error)


def _post_once(url: str, message: dict[str, Any]) -> None:
    try:
        status = httpx.post(url, json=message, timeout=_SECONDS_AN_ATTEMPT).status_code
    except httpx.TransportError as error:
        raise _PassingError(f"the receiver does not answer ({type(error).__name__})") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _NotDeliveredError(f"it is no web address that answers ({type(error).__name__})") from None
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _PassingError(f"the receiver answers {status}")
    if status >= HTTPStatus.BAD_REQUEST:
        raise _NotDeliveredError(f"the receiver answers {status}")
