"""Commands that messages tell a person to run, written so that they run as they stand."""

import os
import shlex
from pathlib import Path

from forecasting.panel import Panel

# These start a Prefect flow. On another server they would not wait for the panel's other runs.
_START_A_FLOW = ("run", "backfill")


def command(action: str, panel: Panel | str, *arguments: str, store: str, server: str | None = None) -> str:
    """Return a `nightcast` command that does the same in any folder and any shell.

    Args:
        action: the subcommand, such as `run`.
        panel: the panel. A panel that is known only by its name is looked for in `NIGHTCAST_PANELS`.
        arguments: what follows the panel.
        store: the store's URI.
        server: the API address of the Prefect server that the command must use. Default: `PREFECT_API_URL` of
            this process. Only commands that start a flow name it.
    """
    reference, folder = _locate(panel)
    words = ["nightcast", action, reference, *arguments, "--store", store]
    if folder is not None:
        words += ["--panels", folder]
    address = server or os.environ.get("PREFECT_API_URL")
    prefix = f"PREFECT_API_URL={shlex.quote(address)} " if address and action in _START_A_FLOW else ""
    return prefix + shlex.join(words)


def _locate(panel: Panel | str) -> tuple[str, str | None]:
    """How to refer to a panel, and the panels folder to name with it."""
    if isinstance(panel, str):
        folder = os.environ.get("NIGHTCAST_PANELS")
        return panel, str(Path(folder).resolve()) if folder else None
    if panel.file is None:
        return panel.name, None
    if panel.file.stem != panel.name:
        return str(panel.file), None
    return panel.name, str(panel.file.parent)
