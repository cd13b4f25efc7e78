"""Errors of the Prefect server as one line each, with what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.client.orchestration import get_client
from prefect.deployments.runner import DeploymentApplyError
from prefect.exceptions import PrefectHTTPStatusError

from forecasting.errors import ServerError, first_line


def check_answers(server: str) -> None:
    """Check that the configured server answers.

    Raises:
        ServerError: it does not.
    """
    with get_client(sync_client=True) as client:
        problem = client.api_healthcheck()
    if problem is not None:
        raise ServerError(
            f"no Prefect server answers at {server}: start it, or unset PREFECT_API_URL to have one started "
            "here"
        )


@contextmanager
def clear_server_errors(server: str) -> Iterator[None]:
    """Within this context, turn errors of the server into one-line errors.

    Raises:
        ServerError: the server refuses access or a request, or does not answer.
    """
    try:
        yield
    except PrefectHTTPStatusError as error:
        if error.response.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise ServerError(
                f"the Prefect server {server} refuses access; set PREFECT_API_AUTH_STRING to the value of "
                "PREFECT_SERVER_API_AUTH_STRING on the server"
            ) from error
        raise ServerError(f"the Prefect server {server} refused: {first_line(error)}") from error
    except DeploymentApplyError as error:
        raise ServerError(f"the Prefect server {server} refused a deployment: {error}") from error
    except httpx.TransportError as error:
        raise ServerError(
            f"the Prefect server {server} does not answer ({first_line(error)}); check that it runs, and "
            "PREFECT_API_URL, then run the same command again"
        ) from error
