"""A flow that the server starts when a panel's forecast is published, and that reads it with our reader.

    python -m deployments.examples.read_with_reader ecb_fx

serves it: it waits for the event `nightcast.forecast.published`, whose payload `docs/contract.md` lists.
"""

import sys

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.events import DeploymentEventTrigger
from prefect.logging import get_run_logger

from forecasting.publishing import reader
from forecasting.reports.markdown import escape_markdown

# The server fills these in from the event that starts the run.
_FROM_EVENT = {name: f"{{{{ event.payload.{name} }}}}" for name in ("panel", "as_of", "forecast_id", "store")}


def when_published(panel: str) -> DeploymentEventTrigger:
    """Start a run for each forecast that `latest/` of a panel comes to show."""
    return DeploymentEventTrigger(
        name=f"{panel} is published",
        expect={"nightcast.forecast.published"},
        match={"prefect.resource.id": f"nightcast.panel.{panel}"},
        parameters=_FROM_EVENT,
    )


@flow(name="read forecast")
def read_forecast(panel: str, as_of: str, forecast_id: str, store: str) -> int:
    """Read what was published, and show what each series is expected to do next; how many series there are.

    Raises:
        StoreError: there is no such forecast, or its bytes are not those that were published.
    """
    frame = reader.as_of(panel, as_of, store)
    if set(frame["forecast_id"]) != {forecast_id}:
        get_run_logger().info("%s has been replaced since, by one with an event of its own", forecast_id)
        return 0
    nearest = frame[frame["h"] == 1]
    create_table_artifact(
        key="next-bars",
        table=[
            {
                "unique_id": escape_markdown(str(row.unique_id)),  # the UI shows cells as Markdown
                "ds": f"{row.ds:%F %H:%M}",
                "median": row.y_hat,
                "from": row.q10,
                "to": row.q90,
            }
            for row in nearest.itertuples()
        ],
        description=f"{panel}, the bar after {as_of}: the median, and the range that holds 80%",
    )
    return len(nearest)


if __name__ == "__main__":
    served = sys.argv[1]
    read_forecast.serve(name=served, triggers=[when_published(served)])
