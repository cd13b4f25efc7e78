"""Keep the landing page: gather what it shows of a panel, and write it to the store.

Each panel's runs write that panel's data only. `index.html` names the data of all panels. Runs of two panels
may end at once: whoever writes the page looks again afterwards, and writes again until the page names what
the store has. So the last one to write has seen all.
"""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

import numpy as np

from forecasting.errors import NightcastError, StoreError, first_line
from forecasting.operations.expected_states import due_soon, expected_states
from forecasting.operations.freshness import Evidence, Freshness
from forecasting.operations.run_record import read_run_record
from forecasting.panel import Panel
from forecasting.publishing.address import (
    INDEX,
    MANIFEST,
    REPORT,
    as_of_folder,
    forecasts_folder,
    latest_table,
)
from forecasting.publishing.manifest import Manifest
from forecasting.publishing.publish import find_published, latest_manifest
from forecasting.reports.assets import put_assets
from forecasting.reports.landing import (
    DATA,
    LatestForecast,
    Moods,
    PanelCard,
    StateChange,
    TrackRecord,
    card_path,
    card_script,
    dates_path,
    dates_script,
    panel_of_card,
    render_landing_page,
)
from forecasting.reports.moods import by_mood
from forecasting.reports.outlook import Outlook, find_outlooks
from forecasting.reports.report_warnings import find_warnings
from forecasting.scoring.track_record import Realised, realised, try_tally
from forecasting.storage import Storage

_log = logging.getLogger(__name__)

# Due times that the page may have to name before the next run writes it again.
_DUE_SHOWN = 12
_SERIES_SHOWN = 5
_SCORED_DAYS = 365
# Each panel that writes at the same moment can cost one more attempt.
_ATTEMPTS = 200


def try_update_landing_page(panel: Panel, storage: Storage, now: datetime) -> None:
    """Do what `update_landing_page` does. A failure is logged as a warning and raises nothing.

    The page is a view of what is published. That it cannot be written must not fail a night.
    """
    try:
        update_landing_page(panel, storage, now)
    except Exception as error:  # noqa: BLE001 - see above
        kind = "" if isinstance(error, NightcastError) else f"{type(error).__name__}: "
        _log.warning(
            "landing page: not updated for %s, the next run tries again: %s%s",
            panel.name,
            kind,
            first_line(error),
        )


def update_landing_page(panel: Panel, storage: Storage, now: datetime) -> None:
    """Write what the landing page shows of a panel, and the page. `now` is in UTC.

    A panel that has no forecast any more, and whose last run did not fail, leaves the page.

    Raises:
        StoreError: the page changed at every attempt to write it.
    """
    put_assets(storage, plotly=False)
    if panel.name in _published(storage) or _has_failed(storage, panel.name):
        reports = find_reports(storage, panel.name)
        card = replace(make_card(panel, storage, now), reports=len(reports))
        storage.put(dates_path(panel.name), dates_script(panel.name, reports))
        storage.put(card_path(panel.name), card_script(card))
    write_index(storage)


def write_index(storage: Storage) -> None:
    """Write `index.html` over all panels that stand on it, until it names what the store has.

    Raises:
        StoreError: the page changed at every attempt.
    """
    for _ in range(_ATTEMPTS):
        page = render_landing_page(_standing(storage)).encode()
        if storage.find(INDEX) == page:
            return
        storage.put(INDEX, page)
    raise StoreError(f"{storage.display(INDEX)} changed at each of {_ATTEMPTS} attempts to write it")


def find_reports(storage: Storage, panel: str) -> list[tuple[str, str]]:
    """Return the `as_of` and the id of the report that counts for each date, oldest first.

    One listing finds them. Only dates with several forecasts need their manifests read.
    """
    found: dict[str, list[str]] = {}
    objects = set(storage.list(forecasts_folder(panel)))
    for path in sorted(objects):
        folder, _, name = path.rpartition("/")
        if name == MANIFEST and f"{folder}/{REPORT}" in objects:
            as_of, forecast_id = (part.partition("=")[2] for part in folder.rsplit("/", 2)[1:])
            found.setdefault(as_of, []).append(forecast_id)
    return [(as_of, _counting(storage, panel, as_of, ids)) for as_of, ids in sorted(found.items())]


def _counting(storage: Storage, panel: str, as_of: str, ids: list[str]) -> str:
    """Of several forecasts for one `as_of`, the one that counts."""
    if len(ids) == 1:
        return ids[0]
    ranked = [published.forecast_id for _, published in find_published(storage, as_of_folder(panel, as_of))]
    return next((one for one in reversed(ranked) if one in ids), ids[-1])


def _standing(storage: Storage) -> list[str]:
    """The panels that have data for the page and stand on it. The data of the others are removed."""
    listed = [panel for name in storage.names(DATA) if (panel := panel_of_card(name)) is not None]
    published = _published(storage)
    gone = [panel for panel in listed if panel not in published and not _has_failed(storage, panel)]
    storage.delete([path for panel in gone for path in (card_path(panel), dates_path(panel))])
    return [panel for panel in listed if panel not in gone]


def _published(storage: Storage) -> tuple[str, ...]:
    """The panels that have forecasts."""
    return storage.names(forecasts_folder("").rstrip("/"))


def _has_failed(storage: Storage, panel: str) -> bool:
    try:
        record = read_run_record(storage, panel)
    except StoreError:  # a damaged record is worth seeing
        return True
    return record is not None and record.outcome == "failed"


def make_card(panel: Panel, storage: Storage, now: datetime) -> PanelCard:
    """Return what the landing page shows of a panel; if something cannot be read, only that and why."""
    card = PanelCard(panel.name, _text(now), panel.bars.freq, panel.forecast.horizon, ())
    try:
        evidence = Evidence.read(panel, storage)
        states = tuple(_change(at, found) for at, found in expected_states(evidence, now))
        manifest = latest_manifest(storage, panel.name)
        moods = None if manifest is None else _moods(find_outlooks(storage, manifest.address))
        warnings = [] if manifest is None else find_warnings(storage, manifest)
    except NightcastError as error:
        return replace(card, states=(StateChange(_text(now), "unreadable", first_line(error)),))
    return replace(
        card,
        states=states,
        due=tuple(_text(due) for due in islice(due_soon(panel, now), _DUE_SHOWN)),
        last_run=evidence.record.ended_at if evidence.record else None,
        warnings=tuple(warnings),
        forecast=None if manifest is None else _forecast(manifest),
        moods=moods,
        scores=() if manifest is None else _scores(panel, storage, manifest.as_of),
    )


def _change(at: datetime, found: Freshness) -> StateChange:
    return StateChange(_text(at), found.state, found.reason, found.notes)


def _forecast(manifest: Manifest) -> LatestForecast:
    decision, score = manifest.decision, None
    if decision is not None and decision.verdict is not None:
        score = decision.verdict.score
    return LatestForecast(
        as_of=manifest.as_of,
        published_at=manifest.published_at,
        model=manifest.model,
        reason=decision.reason if decision else "",
        next_step=decision.next_step if decision else "",
        is_baseline=decision.is_baseline if decision else False,
        series=manifest.series,
        left_out=len(manifest.left_out),
        holdout_skill=score.skill if score else None,
        holdout_coverage=score.coverage_80 if score else None,
        report=manifest.address.path(REPORT),
        table=latest_table(manifest.panel),
    )


def _moods(outlooks: dict[str, Outlook]) -> Moods | None:
    compared = sum(outlook.mood is not None for outlook in outlooks.values())
    if not compared:
        return None
    nervous, calm = by_mood(outlooks, "nervous"), by_mood(outlooks, "calm")
    return Moods(
        compared, len(nervous), len(calm), tuple(nervous[:_SERIES_SHOWN]), tuple(calm[:_SERIES_SHOWN])
    )


def _scores(panel: Panel, storage: Storage, as_of: str) -> tuple[TrackRecord, ...]:
    """The realised scores over 90 and 365 days, of live forecasts where there are any."""
    since = panel.instant(as_of) - np.timedelta64(_SCORED_DAYS, "D")
    tally = try_tally(storage, panel.name, since=since)
    spans = [] if tally is None else [span for span in realised(panel, tally) if span.days is not None]
    return tuple(_track(span) for span in spans if span.origin == spans[0].origin)


def _track(span: Realised) -> TrackRecord:
    return TrackRecord(
        origin=span.origin,
        days=span.days or _SCORED_DAYS,
        forecasts=span.forecasts,
        independent=span.independent,
        skill=span.skill.value,
        skill_error=span.skill.error,
        coverage=span.coverage_80.value,
        coverage_error=span.coverage_80.error,
    )


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds")
