"""Webhook: post messages for people. The address is a secret and is never logged."""

import logging
from http import HTTPStatus
from typing import Any

import httpx
import stamina

_log = logging.getLogger(__name__)

_ATTEMPTS = 3
_SECONDS_AN_ATTEMPT = 5.0
_SECONDS_IN_ALL = 20.0

# At INFO, httpx logs whole addresses.
logging.getLogger("httpx").setLevel(logging.WARNING)


class _NotDeliveredError(Exception):
    """Why a message was not delivered. Unlike httpx errors, it does not name the address."""


class _PassingError(_NotDeliveredError):
    """A failure that may pass: worth another attempt."""


def post(url: str, message: dict[str, Any]) -> None:
    """POST `message` as JSON, with a few attempts. A failure is logged as a warning and raises nothing.

    Slack's incoming webhooks show `text` and ignore the other keys.
    """
    try:
        for attempt in stamina.retry_context(
            on=_PassingError, attempts=_ATTEMPTS, timeout=_SECONDS_IN_ALL, wait_max=_SECONDS_AN_ATTEMPT
        ):
            with attempt:
                _post_once(url, message)
    except _NotDeliveredError as error:
        _log.warning("notification: not delivered: %s; check NIGHTCAST_WEBHOOK", error)


def _post_once(url: str, message: dict[str, Any]) -> None:
    try:
        status = httpx.post(url, json=message, timeout=_SECONDS_AN_ATTEMPT).status_code
    except httpx.TransportError as error:
        raise _PassingError(f"the receiver does not respond ({type(error).__name__})") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _NotDeliveredError(f"the address cannot be used ({type(error).__name__})") from None
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _PassingError(f"the receiver answers {status}")
    if (
        HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
    ):  # following it would turn POST into GET
        raise _NotDeliveredError(f"the receiver answers {status}, a redirect: it moved, or asks for a login")
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise _NotDeliveredError(f"the receiver answers {status}")
