"""Messages to a webhook, as a real receiver gets them."""

import logging
from collections.abc import Iterator

import pytest
import stamina

from tasks.webhook import post
from tests.prefect_server import free_port
from tests.receiver import Receiver, receiver

MESSAGE = {"text": "Nightcast: nightly of ecb_fx failed: no file at x.csv", "panel": "ecb_fx"}


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as started, stamina.set_testing(True, attempts=3):
        yield started


def test_a_message_arrives_as_json(there: Receiver) -> None:
    post(there.url, MESSAGE)
    assert there.messages == [MESSAGE]


@pytest.mark.parametrize("answer", [429, 500, 503])
def test_a_receiver_that_is_busy_is_tried_again(there: Receiver, answer: int) -> None:
    there.answers = [answer, answer]
    post(there.url, MESSAGE)
    assert there.messages == [MESSAGE]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([404, 200], "the receiver answers 404"),
        ([500, 500, 500, 200], "the receiver answers 500"),
        ([302, 200], "the receiver answers 302, a redirect: it moved, or asks for a login"),
        ([308, 200], "the receiver answers 308, a redirect: it moved, or asks for a login"),
    ],
)
def test_a_message_that_is_not_taken_is_a_warning(
    there: Receiver, caplog: pytest.LogCaptureFixture, answers: list[int], reason: str
) -> None:
    there.answers = list(answers)
    post(there.url, MESSAGE)
    assert there.messages == []
    (warning,) = [record for record in caplog.records if record.name == "tasks.webhook"]
    assert warning.message == f"notification: not delivered: {reason}; check NIGHTCAST_WEBHOOK"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://127.0.0.1:{port}/secret", "the receiver does not respond (ConnectError)"),
        ("nonsense/secret", "the receiver does not respond (UnsupportedProtocol)"),
        ("http://127.0.0.1:none/secret", "the address cannot be used (InvalidURL)"),
    ],
)
def test_no_receiver_is_a_warning_and_the_address_stays_secret(
    caplog: pytest.LogCaptureFixture, address: str, reason: str
) -> None:
    caplog.set_level(logging.INFO)
    with stamina.set_testing(True, attempts=2):
        post(address.format(port=free_port()), MESSAGE)
    assert f"notification: not delivered: {reason}" in caplog.text
    assert "secret" not in caplog.text
