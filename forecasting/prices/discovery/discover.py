"""Discover: the panel that describes a source, tried out on its first rows."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from glob import has_magic
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from forecasting.calendar import calendar_zone, is_intraday
from forecasting.errors import SourceError, UnclearDecimalError
from forecasting.panel import Panel
from forecasting.panel_errors import explain
from forecasting.prices.audit.rows import RowAudit, audit_rows
from forecasting.prices.discovery.calendars import Fit, find_frequency, fit_daily, fit_intraday
from forecasting.prices.discovery.databases import database_uri, sample_database
from forecasting.prices.discovery.names import file_pattern, panel_name
from forecasting.prices.discovery.samples import Sample, from_columns, sample_csv, text_columns
from forecasting.prices.order import instants, order_bars, ranked
from forecasting.prices.sources import SCHEMES, open_source
from forecasting.prices.sources.allowance import Allowance
from forecasting.prices.sources.documents import Document, documents_in
from forecasting.prices.sources.lake_tables import is_delta, read_delta
from forecasting.prices.sources.uris import fill_in, scheme_of, shown
from forecasting.time_formats import fitting_formats, has_hour

_SHOWN_ROWS = 5
# Rows that are looked at: all of most files.
_MOST_ROWS = 200_000
_CRON = {"1D": "0 6 * * {days}", "1W": "0 6 * * 1", "1M": "0 6 1 * *"}


@dataclass(frozen=True)
class Discovery:
    """A panel that describes a source.

    Attributes:
        panel: the settings, as its file has them.
        rows: the first rows, as they were understood.
        series: number of series among the rows that were looked at.
        audit: what the audit says of them.
        unsure: what was guessed, in sentences.
    """

    panel: dict[str, Any]
    rows: pa.Table
    series: int
    audit: RowAudit
    unsure: tuple[str, ...] = field(default=())


def discover(uri: str, now: np.datetime64, name: str = "") -> Discovery:
    """Look at prices and find the panel that describes them.

    Args:
        uri: a path, or a URI as `[source].uri` has it.
        now: datetime64[us], UTC.
        name: of the panel; empty: after the source.

    Raises:
        SourceError: there is nothing at `uri`, or nothing in it that can be read as prices.
        PanelError: `name` is not allowed.
    """
    here = database_uri(uri)
    if "://" not in here:
        here = str(Path(here).expanduser().resolve())
        if not (Path(here).exists() or has_magic(here)):
            raise SourceError(f"no file or folder at {here}; check the path")
    sample, paths = _sample(fill_in(here))
    source = {"uri": here, **sample.source}
    if not source.get("id_column") and source.get("layout", "long") == "long":
        pattern = file_pattern(paths)
        if pattern != "*":
            source["id_in_file_name"] = pattern
    panel: dict[str, Any] = {"name": name or panel_name(here), "source": source}
    dated, guesses = _settle_decimal(panel)
    unsure = [*sample.unsure, *guesses, *_settle_times(panel, dated)]
    fit = _fit(panel)
    unsure += fit.unsure
    panel["bars"] = {"freq": fit.freq, "calendar": fit.calendar}
    if fit.zone:
        source["time_zone"] = fit.zone
    elif not is_intraday(fit.freq):
        source.pop("stamp", None)
    audit = _tried(panel, now, unsure)
    panel["schedule"] = _schedule(fit)
    good = audit.good
    ordered = good.slice(0, _SHOWN_ROWS)
    return Discovery(panel, ordered, len(pc.unique(good["unique_id"])), audit, tuple(unsure))


def _sample(uri: str) -> tuple[Sample, list[str]]:
    """How the first document is to be read, and the names of all."""
    if scheme_of(uri) not in SCHEMES:
        return sample_database(uri), [uri]
    if scheme_of(uri) == "file" and is_delta(Path(uri)):
        batch = next(read_delta(uri, uri), None)
        if batch is None:
            raise SourceError(f"{uri} has no rows")
        return from_columns(text_columns(pa.Table.from_batches([batch])), {}, uri), [uri]
    with _documents(uri) as (documents, names):
        document = documents[0]
        if document.is_csv:
            return sample_csv(document), names
        with document.opened() as stream:
            try:
                file = pa.parquet.ParquetFile(stream)
                batch = next(file.iter_batches(1000), None)
            except (pa.ArrowException, OSError) as error:
                raise SourceError(f"{document.name} is not Parquet, or is damaged ({error})") from error
        if batch is None:
            raise SourceError(f"{document.name} has no rows")
        return from_columns(text_columns(pa.Table.from_batches([batch])), {}, document.name), names


@contextmanager
def _documents(uri: str) -> Iterator[tuple[list[Document], list[str]]]:
    """The documents of the first file of a source, and the names of all its files."""
    panel = Panel.model_validate({"name": "looked-at", "source": {"uri": uri}})
    source = open_source(panel)
    with source.files() as files:
        if not files:
            raise SourceError(f"no file at {shown(uri)}")
        with files[0].local() as path:
            documents = documents_in(path, files[0].name, Allowance(panel.source))
            members = [document.name for document in documents] if len(documents) > 1 else []
            yield documents, members or [file.name for file in files]


def _settle_times(panel: dict[str, Any], dated: pa.Table) -> list[str]:
    """Set `time_format` where times of the rows are not ISO 8601; what was guessed."""
    source = panel["source"]
    texts = _unread_times(dated)
    if not texts:
        return []
    forms = fitting_formats(texts)
    if not forms:
        raise SourceError(
            f"{shown(source['uri'])}: the time {texts[0]!r} is of no known form; write a panel with "
            "[source].time_format by hand (docs/panel.md)"
        )
    form = forms[0]
    guessed = []
    if len(forms) > 1:
        form = min(forms, key=lambda one: _disorder(panel, one))
        guessed.append(
            f"the time format: {form} was taken; {' and '.join(one for one in forms if one != form)} fit too"
        )
    source["time_format"] = form
    return guessed


def _settle_decimal(panel: dict[str, Any]) -> tuple[pa.Table, list[str]]:
    """Set `decimal` where the numbers do not prove it; the rows read as dates, and what was guessed."""
    source = panel["source"]
    try:
        dated = _offered(_as_dates(panel))
    except UnclearDecimalError:
        source["decimal"] = ","
        guess = "the decimal mark: a comma was taken, so that a point separates thousands"
        return _offered(_as_dates(panel)), [guess]
    raw = dated["raw"].drop_null().to_pylist()
    if any(re.search(r'close="[^"]*\d,\d{3}[^"\d]*"', text) for text in raw):
        source["decimal"] = "."
        return dated, ["the decimal mark: a point was taken, so that a comma separates thousands"]
    return dated, []


def _as_dates(panel: dict[str, Any]) -> dict[str, Any]:
    """The panel with daily bars, whose times are read whether they have a time of day or not."""
    source = {key: value for key, value in panel["source"].items() if key != "stamp"}
    return {**panel, "source": source, "bars": {"freq": "1D"}}


def _unread_times(dated: pa.Table) -> list[str]:
    """The times of rows, as they are written, that are not read without a format."""
    raw = dated["raw"].drop_null().to_pylist()
    found = (re.match(r'ds="([^"]+)"', text) for text in raw)
    texts = [match[1] for match in found if match]
    # A few such rows are a footer, or mistakes: the others say how times are written.
    return texts if len(texts) > dated.num_rows / 2 else []


def _disorder(panel: dict[str, Any], form: str) -> float:
    """How unevenly the times lie apart if they are of a form: the wrong one makes them jump."""
    source = {**panel["source"], "time_format": form}
    ds = instants(_offered(_as_dates({**panel, "source": source}))["ds"])
    steps = np.abs(np.diff(ds[~np.isnat(ds)])).astype(np.float64)
    return float(steps.sum()) if len(steps) else 0.0


def _fit(panel: dict[str, Any]) -> Fit:
    """Frequency, calendar and zone."""
    bare = {**panel, "bars": {"freq": "1min"}}
    source = dict(panel["source"])
    is_end = source.pop("stamp", "") == "end"
    form = source.get("time_format", "")
    if form and not has_hour(form):
        bare["bars"] = {"freq": "1D"}
    offered = _offered({**bare, "source": source})
    if offered["ds"].null_count == offered.num_rows:  # dates without a time of day
        offered = _offered({**bare, "source": source, "bars": {"freq": "1D"}})
    offered = offered.filter(offered["ds"].is_valid())
    if not offered.num_rows:
        _raise_unread(panel, offered)
    ordered = offered.take(pa.array(order_bars(offered).rows))
    ds, series = instants(ordered["ds"]), ranked(ordered["unique_id"])[0]
    ids = [str(one) for one in pc.unique(ordered["unique_id"]).to_pylist()]
    freq = find_frequency(series, ds, shown(panel["source"]["uri"]))
    days = np.unique(ds.astype("datetime64[D]"))
    if freq is None and bool((ds == ds.astype("datetime64[D]")).all()):
        freq = "1D"
    if freq is None:
        raise SourceError(
            f"{shown(panel['source']['uri'])}: its times lie no fixed time apart; write a panel with "
            "[bars].freq by hand (docs/panel.md)"
        )
    if not is_intraday(freq):
        if bool((ds == ds.astype("datetime64[D]")).all()):
            return fit_daily(days, ids, freq)
        return _fit_dates({**panel, "source": source}, freq, ids, days)
    zoned = ordered["zoned"]
    all_zoned = zoned.null_count == 0 and bool(pc.all(zoned).as_py())
    stamps = np.unique(ds)
    if is_end:
        step = np.timedelta64(1, "us") * int(np.median(np.diff(stamps).astype(np.int64)))
        stamps = stamps + np.timedelta64(500, "ms") - step
        stamps = stamps.astype("datetime64[s]").astype("datetime64[us]")
    return fit_intraday(stamps, freq, ids, zoned=all_zoned)


def _fit_dates(panel: dict[str, Any], freq: str, ids: list[str], days: np.ndarray) -> Fit:
    """The calendar of daily bars; one in whose zone the times are midnights, where they are none in UTC."""
    fit = fit_daily(days, ids, freq)
    if freq != "1D":
        return fit
    tried: dict[str, np.ndarray] = {}
    for name in (
        "XNYS",
        "XTKS",
        "XSHG",
        "XETR",
        "XLON",
        "XASX",
        "XBOM",
        "XNZE",
        "FX",
        "XHKG",
        "XKRX",
        "XTSE",
    ):
        zone = calendar_zone(name)
        if zone in tried:
            continue
        read = _offered({**panel, "bars": {"freq": "1D", "calendar": name}})
        note = read["note"][0].as_py() if read.num_rows else None
        if note and note.startswith("midnight "):
            tried[zone] = np.unique(instants(read["ds"]).astype("datetime64[D]"))
    for zone, shifted in tried.items():
        better = fit_daily(shifted[~np.isnat(shifted)], ids, freq)
        if calendar_zone(better.calendar) == zone:
            return Fit(
                freq, better.calendar, zone, [*better.unsure, f"the dates: times are midnights in {zone}"]
            )
    return fit


def _offered(panel: dict[str, Any]) -> pa.Table:
    """The first rows that a source offers under these settings.

    Raises:
        SourceError: it cannot be read.
        PanelError: a setting is not allowed.
    """
    batches: list[pa.Table] = []
    rows = 0
    for batch in open_source(_panel(panel)).read():
        batches.append(batch)
        rows += batch.num_rows
        if rows > _MOST_ROWS:
            break
    return pa.concat_tables(batches).unify_dictionaries().combine_chunks() if batches else pa.table({})


def _panel(panel: dict[str, Any]) -> Panel:
    try:
        return Panel.model_validate(panel)
    except ValidationError as error:
        raise SourceError(
            f"cannot describe {shown(panel['source']['uri'])}: {explain(error, Panel)}"
        ) from error


def _tried(panel: dict[str, Any], now: np.datetime64, unsure: list[str]) -> RowAudit:
    """The audit of the first rows; with `transform = "diff"` set where prices need it.

    Raises:
        SourceError: not one row is good.
    """
    offered = _offered(panel)
    low = pc.min(offered["close"]).as_py()
    if low is not None and low <= 0:
        panel["forecast"] = {"transform": "diff"}
        unsure.append(f"the transform: prices go down to {low:g}, so changes are differences and not ratios")
    settings = _panel(panel)
    audit = audit_rows(offered, settings, settings.calendar, now)
    if not audit.good.num_rows:
        worst = max(audit.findings, key=lambda finding: finding.rows, default=None)
        why = f"{worst.code} {worst.name}: {worst.detail}" if worst else "it has no rows"
        raise SourceError(f"no row of {shown(panel['source']['uri'])} can be read as a price; {why}")
    return audit


def _raise_unread(panel: dict[str, Any], offered: pa.Table) -> None:
    raise SourceError(
        f"no time in {shown(panel['source']['uri'])} can be read ({offered.num_rows} rows); write a panel "
        "by hand (docs/panel.md)"
    )


def _schedule(fit: Fit) -> dict[str, Any]:
    """A night on which the bars of the day before are there."""
    zone = calendar_zone(fit.calendar)
    days = "2-6" if zone else "*"
    cron = _CRON.get(fit.freq, "15 0 * * *").format(days=days)
    return {"cron": cron, "timezone": zone or "UTC"}
