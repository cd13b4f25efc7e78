"""`nightcast deploy`: register every panel's deployments for workers on other machines."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from deployments.commands.options import Panels, Store
from forecasting.errors import NightcastError, PanelError
from forecasting.panel import Panel, panels_folder
from forecasting.storage import locate

if TYPE_CHECKING:
    from deployments.registration import Registered

IMAGE_PANELS = "/nightcast/deployments/panels"  # as deployments/docker/Dockerfile has it


def deploy(
    *,
    pool: Annotated[str, Parameter(help="The work pool. A missing one is created.")] = "nightcast",
    pool_type: Annotated[
        Literal["process", "docker", "kubernetes"] | None,
        Parameter(
            name="--type",
            help="What the pool's workers start. Default: the pool's type, or process for a new pool.",
        ),
    ] = None,
    image: Annotated[str | None, Parameter(help="The image for runs on Docker and Kubernetes.")] = None,
    secret: Annotated[
        tuple[str, ...],
        Parameter(
            help="An environment variable that runs get from the Secret block of its name. Repeatable.",
            negative=(),
        ),
    ] = (),
    worker_panels: Annotated[
        str | None,
        Parameter(
            help="The panels folder on the workers. Default: the same folder, or the folder in the image."
        ),
    ] = None,
    prune: Annotated[
        bool, Parameter(help="Remove deployments in the pool whose panel does not exist any more.")
    ] = False,
    yaml: Annotated[
        Path | None, Parameter(help="Only write this file, for prefect deploy --prefect-file.")
    ] = None,
    store: Store = None,
    panels: Panels = None,
) -> None:
    """Register every panel's deployments with a work pool on the server that PREFECT_API_URL names."""
    folder = panels_folder(panels).resolve()
    found, broken = Panel.load_all(folder)
    from deployments import registration  # noqa: PLC0415 - Prefect takes seconds to import
    from deployments.catalogue import deployments_of  # noqa: PLC0415 - as above
    from deployments.prefect_file import prefect_file  # noqa: PLC0415 - as above
    from tasks.events import WEBHOOK  # noqa: PLC0415 - as above

    place = registration.Pool(pool, pool_type, image, secret)
    if yaml is not None:
        yaml.write_text(prefect_file(found, place), encoding="utf-8")
        print(f"{yaml}: the deployments of {', '.join(panel.name for panel in found)}")
        _require_valid(broken)
        return
    where = worker_panels or (str(folder) if image is None else IMAGE_PANELS)
    made = deployments_of(found, _store(store, image), where)
    # The address is a secret, so it is no option: other users can see a process's arguments.
    webhook = os.environ.get(WEBHOOK)
    done = registration.register(made, place, webhook, prune=prune, broken=broken)
    _print(pool, done, prune=prune)
    _require_valid(broken)


def _require_valid(broken: Mapping[str, PanelError]) -> None:
    """Fail after the deployments of the valid panels are made, and name the other files."""
    if broken:
        raise PanelError(
            f"the panels {', '.join(broken)} are left as they were, and the others are done: "
            + "; ".join(str(error) for error in broken.values())
        )


def _store(store: str | None, image: str | None) -> str:
    """The store's URI. The store is not opened: this machine may have no access to it."""
    uri, folder = locate(store)
    if image is not None and folder is not None:
        raise NightcastError(
            f"the store {uri} is a folder on this machine, and containers cannot access it; "
            "give --store s3://... or NIGHTCAST_STORE"
        )
    return uri


def _print(pool: str, done: "Registered", *, prune: bool) -> None:
    print(f"Prefect server: {done.server}")
    print(f"Work pool: {pool}, of type {done.pool_type}{', which is new' if done.pool_is_new else ''}")
    for name in done.names:
        print(f"  {name}")
    for name in done.left_over:
        print(f"  {name}: {'removed' if prune else 'no panel has it any more; --prune removes it'}")
    for name in done.automations:
        print(f"  {name}")
    print(f"Runs need a worker: {shlex.join(['prefect', 'worker', 'start', '--pool', pool])}")
