"""Headlines: the few lines, figures and charts of a published forecast that fit where a person glances."""

from datetime import UTC, datetime
from typing import Any

import pyarrow.compute as pc

from forecasting import contract
from forecasting.formats import format_change, format_percent, format_price, price_size
from forecasting.publishing.publish import CHARTS, FORECAST, REPORT, ForecastAddress
from forecasting.storage import Storage

# Artifacts live in Prefect's database: a few charts, not a panel's worth.
_CHARTS_SHOWN = 4


def summary_lines(storage: Storage, manifest: dict[str, Any]) -> list[str]:
    """What was published, who made it and why, how it compares, and where to look: Markdown, a line each."""
    address = ForecastAddress(manifest["panel"], manifest["as_of"], manifest["forecast_id"])
    count, left_out, version = manifest["series"], len(manifest["left_out"]), manifest["model_version"]
    provisional, standing = manifest.get("provisional"), manifest.get("standing")
    return [
        *([f"**{standing}**"] if standing else []),
        f"**{manifest['panel']} as of {manifest['as_of']}**: {count} series forecast, {left_out} left out",
        *([f"**{provisional_line(provisional)}**"] if provisional else []),
        f"**Published by {manifest['model']}** (`{version}`): {manifest['decision']['reason']}",
        skill_line(manifest),
        *gate_lines(manifest["decision"]),
        *(f"**{f['code']} {f['name']}**: {f['detail']}" for f in manifest["findings"] if _is_of_panel(f)),
        f"Forecast: `{storage.display(address.path(FORECAST))}`",
        f"Report: `{storage.display(address.path(REPORT))}`",
        f"Charts: `{storage.display(address.path(CHARTS))}/`",
    ]


def provisional_line(reason: str) -> str:
    """That a forecast is provisional, and why, in one sentence."""
    return f"Provisional: {reason}. A final forecast for this as_of takes its place when it comes."


def standing_line(manifest: dict[str, Any]) -> str:
    """That a run found its forecast published already, and which one that is, in one sentence."""
    published = datetime.fromisoformat(manifest["published_at"]).astimezone(UTC)
    return (
        f"Nothing new: the prices up to {manifest['as_of']} and the model are those of forecast "
        f"{manifest['forecast_id']}, published {published:%Y-%m-%d %H:%M} UTC, which stands."
    )


def _is_of_panel(finding: dict[str, Any]) -> bool:
    return bool(finding["code"].startswith("P2"))


def skill_line(manifest: dict[str, Any]) -> str:
    """How what was published compares with the random walk, in one sentence."""
    verdict = manifest["decision"]["verdict"]
    scores = [row for row in verdict.get("table", ()) if row["candidate"] == verdict["publishes"]]
    if not scores:
        by_hand = manifest["decision"].get("by_hand", False)
        why = "it was chosen by hand" if by_hand else "there is no holdout to do it on"
        return f"It has not been compared with the random walk: {why}."
    score = scores[0]
    return (
        f"Against the random walk, on {score['windows']} windows it was not trained on: "
        f"skill {format_percent(score['skill'], signed=True)}; "
        f"{format_percent(score['coverage_80'])} of prices inside the 80% band, "
        f"{format_percent(score['coverage_90'])} inside the 90% band"
    )


def gate_lines(decision: dict[str, Any]) -> list[str]:
    """What the gate measured of whom, and what happens next: a sentence each."""
    verdict, lines = decision["verdict"], []
    if verdict.get("duels"):
        duels = "; ".join(_duel(one, verdict.get("versions", {})) for one in verdict["duels"])
        lines.append(
            f"The gate, on {verdict['windows']} windows from {verdict['dates']} dates, in differences of "
            f"loss as shares of the random walk's, below zero being better: {duels}."
        )
    return lines + [line for line in (decision.get("next_step"),) if line]


def _duel(duel: dict[str, Any], versions: dict[str, str]) -> str:
    first, second = (
        f"{name} {versions[name]}" if name in versions else name
        for name in (duel["candidate"], duel["opponent"])
    )
    difference = format_percent(duel["difference"], 2, signed=True)
    error = duel["standard_error"]
    noise = "" if error is None else f", give or take {format_percent(error, 2)}"
    return f"{first} to {second} {difference}{noise}"


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
