"""Registration: register the catalogue's deployments with a work pool on a Prefect server.

Registering again updates what has changed, and nothing else.
"""

import asyncio
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from prefect.workers.utilities import get_default_base_job_template_for_infrastructure_type

from deployments.automations import apply_automations
from deployments.prefect_defaults import RUN_ENVIRONMENT
from deployments.server_errors import clear_server_errors
from forecasting.errors import NightcastError

PoolType = Literal["process", "docker", "kubernetes"]
_KUBERNETES_TEMPLATE = Path(__file__).parent / "kubernetes" / "base-job-template.json"
_PAGE = 200  # the server's maximum


@dataclass(frozen=True)
class Pool:
    """The work pool for the deployments.

    Attributes:
        name: the pool's name.
        type: what the pool's workers start for a run. None: the existing type; `process` for a new pool.
        image: the image of the containers; None for processes.
        secrets: the environment variables that runs get from Prefect's Secret blocks.
    """

    name: str
    type: PoolType | None = None
    image: str | None = None
    secrets: tuple[str, ...] = ()

    def job_variables(self) -> dict[str, Any]:
        """The job variables of the deployments in this pool. They never contain a secret itself."""
        blocks = {name: f"{{{{ prefect.blocks.secret.{block_name(name)} }}}}" for name in self.secrets}
        return {"env": {**RUN_ENVIRONMENT, **blocks}, **({"image": self.image} if self.image else {})}


@dataclass(frozen=True)
class Registered:
    """The result of a registration.

    Attributes:
        server: the API address of the server.
        pool_type: what the pool's workers start.
        pool_is_new: whether the pool was created.
        names: the names of the deployments, `flow/deployment`.
        left_over: deployments in the pool whose panel or flow does not exist any more.
        automations: the names of the automations that post to the webhook.
    """

    server: str
    pool_type: str
    pool_is_new: bool
    names: tuple[str, ...]
    left_over: tuple[str, ...]
    automations: tuple[str, ...]


def block_name(variable: str) -> str:
    """The name of the Secret block for an environment variable: `aws-region` for `AWS_REGION`."""
    return variable.lower().replace("_", "-")


def assign(deployments: Sequence[RunnerDeployment], pool: Pool) -> None:
    """Send these deployments' runs to a pool."""
    for one in deployments:
        one.work_pool_name = pool.name
        one.job_variables = pool.job_variables()


def register(
    deployments: Sequence[RunnerDeployment],
    pool: Pool,
    webhook: str | None = None,
    *,
    prune: bool,
    broken: Collection[str] = (),
) -> Registered:
    """Register the deployments with a work pool.

    Args:
        deployments: the deployments.
        pool: the pool. A missing one is created.
        webhook: an address that the server posts events to; None for no posts.
        prune: whether to remove deployments whose panel or flow does not exist any more.
        broken: panels whose file is not valid. Their deployments stay as they are.

    Raises:
        NightcastError: no server is configured, it does not answer or refuses access, the pool has another
            type, or the block of a secret is missing.
    """
    server = _server()
    with clear_server_errors(server), get_client(sync_client=True) as client:
        _check_secrets(client, pool)
        pool_type, is_new = _find_or_make(client, pool)
        assign(deployments, pool)
        for one in deployments:
            _keep_paused(client, one)
            one.apply()
        names = tuple(one.full_name for one in deployments)
        kept = {f"panel:{name}" for name in broken}
        left_over = {
            name: found
            for name, found in _in_pool(client, pool).items()
            if name not in names and not kept.intersection(found.tags)
        }
        if prune:
            for found in left_over.values():
                client.delete_deployment(found.id)
        automations = (
            apply_automations(webhook, (name.partition("/")[0] for name in names)) if webhook else []
        )
    return Registered(server, pool_type, is_new, names, tuple(sorted(left_over)), tuple(automations))


def _server() -> str:
    address = PREFECT_API_URL.value()
    if address is None:
        raise NightcastError(
            "no Prefect server to register with; set PREFECT_API_URL, such as http://127.0.0.1:4200/api "
            "(on one machine, nightcast serve needs no server)"
        )
    return str(address)


def _check_secrets(client: SyncPrefectClient, pool: Pool) -> None:
    """Check that each secret has its block: without it, every run would fail."""
    for variable in pool.secrets:
        name = block_name(variable)
        try:
            client.read_block_document_by_name(name, "secret", include_secrets=False)
        except ObjectNotFound as error:
            raise NightcastError(
                f"--secret {variable}: the server has no Secret block named {name}; make one in its UI, "
                "under Blocks"
            ) from error


def _find_or_make(client: SyncPrefectClient, pool: Pool) -> tuple[str, bool]:
    """Find or create the pool; return its type and whether it is new."""
    try:
        found = client.read_work_pool(pool.name)
    except ObjectNotFound:
        pool_type = pool.type or "process"
        template = _base_job_template(pool_type)
        _check_image(pool, pool_type)
        client.create_work_pool(WorkPoolCreate(name=pool.name, type=pool_type, base_job_template=template))
        return pool_type, True
    if pool.type not in (None, found.type):
        raise NightcastError(
            f"the work pool {pool.name} is of type {found.type}, not {pool.type}; give another --pool, "
            "or no --type"
        )
    _check_image(pool, found.type)
    return found.type, False


def _check_image(pool: Pool, pool_type: str) -> None:
    if pool_type != "process" and pool.image is None:
        raise NightcastError(
            f"the work pool {pool.name}, of type {pool_type}, starts containers; give --image, such as "
            "nightcast:0.1.0"
        )
    if pool_type == "process" and pool.image is not None:
        raise NightcastError(
            f"the work pool {pool.name}, of type process, starts no containers; leave --image out, "
            "or give a --type"
        )


def _base_job_template(pool_type: PoolType) -> dict[str, Any]:
    """The pool's job template: Prefect's own or, on Kubernetes, ours, which lets runs read a Secret."""
    if pool_type == "kubernetes":
        template: dict[str, Any] = json.loads(_KUBERNETES_TEMPLATE.read_text(encoding="utf-8"))
        return template
    found = asyncio.run(get_default_base_job_template_for_infrastructure_type(pool_type))
    if found is None:
        raise NightcastError(
            f"Prefect offers no base job template for the type {pool_type}; make the work pool in its UI"
        )
    return found


def _keep_paused(client: SyncPrefectClient, made: RunnerDeployment) -> None:
    """Keep a deployment paused that a person has paused in the UI: Prefect would resume it."""
    try:
        standing = client.read_deployment_by_name(made.full_name)
    except ObjectNotFound:
        return
    made.paused = standing.paused
    for schedule, before in zip(made.schedules or [], standing.schedules, strict=False):
        schedule.active = before.active


def _in_pool(client: SyncPrefectClient, pool: Pool) -> dict[str, DeploymentResponse]:
    """Our deployments in the pool, by name. Other projects may use the pool too."""
    only = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool.name]))
    flows: dict[Any, str] = {}
    found: dict[str, DeploymentResponse] = {}
    while True:
        page = client.read_deployments(work_pool_filter=only, limit=_PAGE, offset=len(found))
        for one in page:
            if one.flow_id not in flows:
                flows[one.flow_id] = client.read_flow(one.flow_id).name
            found[f"{flows[one.flow_id]}/{one.name}"] = one
        if len(page) < _PAGE:
            return {name: one for name, one in found.items() if any(t.startswith("panel:") for t in one.tags)}
