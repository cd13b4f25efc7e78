"""Headlines: the few lines, figures and charts of a published forecast that fit where a person glances."""

from typing import Any

import pyarrow.compute as pc

from forecasting.publishing import contract
from forecasting.publishing.formats import format_change, format_percent, format_price, price_size
from forecasting.publishing.publish import CHARTS, FORECAST, REPORT, ForecastAddress
from forecasting.storage import Storage

# Artifacts live in Prefect's database: a few charts, not a panel's worth.
_CHARTS_SHOWN = 4


def summary_lines(storage: Storage, manifest: dict[str, Any]) -> list[str]:
    """What was published, who made it and why, how it compares, and where to look: Markdown, a line each."""
    address = ForecastAddress(manifest["panel"], manifest["as_of"], manifest["forecast_id"])
    count, left_out, version = manifest["series"], len(manifest["left_out"]), manifest["model_version"]
    return [
        f"**{manifest['panel']} as of {manifest['as_of']}**: {count} series forecast, {left_out} left out",
        f"**Published by {manifest['model']}** (`{version}`): {manifest['decision']['reason']}",
        skill_line(manifest),
        *(f"**{f['code']} {f['name']}**: {f['detail']}" for f in manifest["findings"] if _is_of_panel(f)),
        f"Forecast: `{storage.display(address.path(FORECAST))}`",
        f"Report: `{storage.display(address.path(REPORT))}`",
        f"Charts: `{storage.display(address.path(CHARTS))}/`",
    ]


def _is_of_panel(finding: dict[str, Any]) -> bool:
    return bool(finding["code"].startswith("P2"))


def skill_line(manifest: dict[str, Any]) -> str:
    """How what was published compares with the random walk, in one sentence."""
    verdict = manifest["decision"]["verdict"]
    scores = [row for row in verdict.get("table", ()) if row["candidate"] == verdict["publishes"]]
    if not scores:
        return "It has not been compared with the random walk: there is no holdout to do it on."
    score = scores[0]
    return (
        f"Against the random walk, on {score['windows']} windows it was not trained on: "
        f"skill {format_percent(score['skill'], signed=True)}; "
        f"{format_percent(score['coverage_80'])} of prices inside the 80% band, "
        f"{format_percent(score['coverage_90'])} inside the 90% band"
    )


def series_rows(
    storage: Storage, address: ForecastAddress, manifest: dict[str, Any]
) -> list[dict[str, str | None]]:
    """One row a series: where it stands, where it is expected at the horizon, and what that was worth."""
    measured = manifest["decision"]["verdict"].get("series", {})
    rows = []
    for row in _at_horizon(storage, address):
        size = price_size(row["y_cutoff"], row["q10"], row["q90"])
        worth = measured.get(row["unique_id"], {})
        rows.append(
            {
                "unique_id": row["unique_id"],
                "last bar": f"{row['cutoff']:%Y-%m-%d}",
                "last price": format_price(row["y_cutoff"], size),
                "median": format_price(row["q50"], size),
                "change": format_change(row["q50"], row["y_cutoff"]),
                "80% range": f"{format_price(row['q10'], size)} to {format_price(row['q90'], size)}",
                "skill": format_percent(worth.get("skill"), signed=True),
                "model": row["model"],
            }
        )
    return rows


def charts_worth_seeing(storage: Storage, address: ForecastAddress) -> list[tuple[str, bytes]]:
    """The charts of the series whose median is expected to move most, in widths of their own 80% range."""
    ends = _at_horizon(storage, address)
    ends.sort(key=lambda row: -abs(row["q50"] - row["y_cutoff"]) / max(row["q90"] - row["q10"], 1e-300))
    names = [row["unique_id"] for row in ends[:_CHARTS_SHOWN]]
    return [(name, storage.get(address.chart(name))) for name in names]


def _at_horizon(storage: Storage, address: ForecastAddress) -> list[dict[str, Any]]:
    """The forecast's rows of the last step ahead, one a series."""
    table = contract.from_bytes(storage.get(address.path(FORECAST)), address.path(FORECAST))
    rows: list[dict[str, Any]] = table.filter(pc.equal(table["h"], pc.max(table["h"]))).to_pylist()
    return rows
