"""Log lines that the Prefect server does not take: one warning in the place of Prefect's own text.

Prefect writes its text past all loggers and without an end of line, for each batch of lines that it cannot
send. So it would break JSON lines, and run into the command's last line.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.logging.handlers import APILogWorker

from forecasting.errors import first_line

_log = logging.getLogger(__name__)


@contextmanager
def unsent_logs_as_warning() -> Iterator[None]:
    """Within this context, warn once each time that the server begins not to take log lines."""
    send = APILogWorker._handle_batch  # noqa: SLF001 - Prefect has no setting for it
    is_told = False

    async def send_or_warn(worker: APILogWorker, items: list[dict[str, Any]]) -> None:
        nonlocal is_told
        try:
            await worker._client.create_logs(items)  # noqa: SLF001 - as Prefect's own
        except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on
            if not is_told:
                _log.warning("prefect: the server does not take log lines (%s)", first_line(error))
            is_told = True
        else:
            is_told = False

    APILogWorker._handle_batch = send_or_warn  # type: ignore[assignment, method-assign] # noqa: SLF001
    try:
        yield
    finally:
        APILogWorker._handle_batch = send  # type: ignore[method-assign] # noqa: SLF001
