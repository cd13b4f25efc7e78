"""What a time without `serve` has left, on a real Prefect server."""

import asyncio
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.recovery import LEFT_OVER, Deployed, pause_left_over
from tests.prefect_server import PrefectServer


async def _served_paused(folder: str) -> tuple[list[str], dict[str, bool]]:
    """What is paused of deployments of a flow of ours, when only `kept` is served from `folder`.

    The panel file of `broken` is there, but not valid.
    """
    async with get_client() as client:
        flow = await client.create_flow_from_name("left-over")
        await client.create_work_pool(WorkPoolCreate(name="left-over", type="process"))
        ids = {
            name: await client.create_deployment(
                flow, name, tags=[f"panel:{name}"], parameters={"panels": panels}, work_pool_name=pool
            )
            for name, panels, pool in [
                ("kept", folder, None),
                ("gone", folder, None),
                ("broken", folder, None),
                ("elsewhere", "/other", None),
                ("in a pool", folder, "left-over"),
            ]
        }
        served = [Deployed(ids["kept"], "left-over/kept", None)]
        named = await pause_left_over(client, served, ["left-over"], folder, broken=["broken"])
        found = {name: await client.read_deployment(one) for name, one in ids.items()}
        assert {name for name, one in found.items() if LEFT_OVER in one.tags} == {"gone"}
        return named, {name: one.paused for name, one in found.items()}


def test_what_no_panel_has_any_more_is_paused_and_named(server: PrefectServer, tmp_path: Path) -> None:
    with temporary_settings({PREFECT_API_URL: server.api}):
        named, paused = asyncio.run(_served_paused(str(tmp_path)))
    left_alone = dict.fromkeys(("kept", "broken", "elsewhere", "in a pool"), False)
    assert paused == {**left_alone, "gone": True}
    assert named == ["gone"]
