"""Panel: a named group of series with one source, frequency, calendar and model, read from a TOML file.

`docs/panel.md` describes every key and its default.
"""

import codecs
import json
import os
import tomllib
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import available_timezones

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from forecasting.as_of import as_of_label, parse_as_of
from forecasting.calendar import (
    BarCalendar,
    bar_calendar,
    bar_step,
    check_calendar,
    check_frequency,
    is_intraday,
)
from forecasting.digests import digest_record
from forecasting.errors import PanelError
from forecasting.panel_errors import explain
from forecasting.schedule import check_cron, due_times, last_due
from forecasting.time_formats import check_time_format, has_hour

PriceColumn = Literal["open", "high", "low", "close", "volume"]

DEFAULT_FOLDER = "deployments/panels"

_SQLITE = "sqlite:///"
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

# What `preset = "lecture"` sets: the recipe of the lecture that this project comes from, with windows of 720
# bars sampled every 6th. The panel file may change the training budget, but not the keys in `_LECTURE_FIXED`.
_LECTURE: dict[str, Any] = {
    "context": 120,
    "sampling_step": 6,
    "units": [32, 16],
    "training_steps": 2000,
    "batch_size": 256,
    "loss": "mae",
}
_LECTURE_FIXED = ("context", "sampling_step", "units", "loss")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Section):
    """The source of the prices, and how to read it. Empty values are detected from the source."""

    uri: str = Field(min_length=1)
    layout: Literal["wide", "long", "grid"] = "long"
    column_names: tuple[str, ...] = ()
    time_column: str | Annotated[tuple[str, ...], Field(min_length=1)] = "ds"
    id_column: str = "unique_id"
    id_in_file_name: str = "*"
    columns: dict[PriceColumn, str] = {}
    na_values: tuple[str, ...] = ()
    prefix: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    delimiter: Annotated[str, Field(max_length=1)] = ""
    decimal: Literal["", ".", ","] = ""
    encoding: str = ""
    time_format: str = ""
    time_zone: str = ""
    stamp: Literal["start", "end"] = "start"
    query: str = ""
    overlap_days: Annotated[int, Field(ge=1)] = 30
    max_megabytes: Annotated[float, Field(gt=0)] = 1024
    time_limit_minutes: Annotated[float, Field(gt=0)] = 10

    @field_validator("id_in_file_name")
    @classmethod
    def _has_one_place_for_the_id(cls, pattern: str) -> str:
        if pattern.count("*") != 1:
            raise ValueError(f'{pattern!r} must contain one * in place of the id, such as "prices_*_daily"')
        return pattern

    @field_validator("encoding")
    @classmethod
    def _encoding_exists(cls, name: str) -> str:
        try:
            return codecs.lookup(name).name if name else name
        except LookupError as error:
            raise ValueError(f'no encoding {name!r}; use one such as "cp1252", or leave it out') from error

    @field_validator("time_format")
    @classmethod
    def _time_format_is_readable(cls, form: str) -> str:
        check_time_format(form)
        return form

    @field_validator("time_zone")
    @classmethod
    def _time_zone_exists(cls, name: str) -> str:
        return _check_time_zone(name) if name else name

    @property
    def time_columns(self) -> tuple[str, ...]:
        """The columns that hold the time: one, or the date and the time of day."""
        return (self.time_column,) if isinstance(self.time_column, str) else self.time_column

    @field_validator("query")
    @classmethod
    def _query_is_incremental(cls, query: str) -> str:
        if query and ":since" not in query:
            raise ValueError('the query does not use :since; add a condition such as "where ds >= :since"')
        return query


class BarSettings(_Section):
    """The frequency of the bars, and the calendar that they follow."""

    freq: Annotated[str, AfterValidator(check_frequency)] = "1D"
    calendar: str = "24/7"
    extra_sessions: tuple[date, ...] = ()
    extra_holidays: tuple[date, ...] = ()

    @property
    def intraday(self) -> bool:
        """Whether bars are shorter than a day, so that times of day count."""
        return is_intraday(self.freq)

    @property
    def step(self) -> np.timedelta64:
        """The length of a bar."""
        return bar_step(self.freq)

    @field_validator("calendar")
    @classmethod
    def _calendar_exists(cls, name: str) -> str:
        check_calendar(name)
        return name


class ForecastSettings(_Section):
    """The target column, its transform and the horizon, in bars."""

    horizon: Annotated[int, Field(ge=1, le=72)] = 72
    transform: Literal["log", "diff"] = "log"
    target: PriceColumn = "close"


class AuditSettings(_Section):
    """The limits of the audit. All counts are bars of the calendar.

    These defaults are for daily bars; `Panel` sets others for intraday bars. `spike_scales` and
    `split_scales` are multiples of a series' own median absolute change.
    """

    min_bars: Annotated[int, Field(ge=2)] = 60
    stale_bars: Annotated[int, Field(ge=1)] = 10
    flat_bars: Annotated[int, Field(ge=2)] = 60
    max_gap_bars: Annotated[int, Field(ge=1)] = 10
    max_left_out: Annotated[float, Field(gt=0, le=1)] = 0.5
    max_shrink: Annotated[float, Field(gt=0, le=1)] = 0.5
    spike_scales: Annotated[float, Field(gt=1)] = 20
    split_scales: Annotated[float, Field(gt=0)] = 3
    revision_tolerance: Annotated[float, Field(ge=0, lt=0.01)] = 1e-6
    adjust_splits: bool = False
    readjust: bool = True


class ModelSettings(_Section):
    """The network and its training. `context` counts steps, `sampling_step` the bars between two steps."""

    preset: Literal["default", "lecture"] = "default"
    context: Annotated[int, Field(ge=8, le=2000)] = 120
    sampling_step: Annotated[int, Field(ge=1, le=100)] = 1
    units: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = Field((32, 16), min_length=1, max_length=4)
    training_steps: Annotated[int, Field(ge=1)] = 400
    batch_size: Annotated[int, Field(ge=8)] = 256
    loss: Literal["pinball", "mae", "huber"] = "pinball"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @model_validator(mode="before")
    @classmethod
    def _apply_lecture_recipe(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("preset") != "lecture":
            return given
        for key in _LECTURE_FIXED:
            if key in given and _listed(given[key]) != _listed(_LECTURE[key]):
                fixed = f"{key} = {json.dumps(_LECTURE[key])}"
                raise ValueError(f'preset = "lecture" fixes {fixed}; remove {key}, or use preset = "default"')
        return _LECTURE | given

    @property
    def context_bars(self) -> int:
        """The length of a context in bars."""
        return self.context * self.sampling_step


class RetrainSettings(_Section):
    """When a model is retrained, how many bars are held out, and how long training may take."""

    max_age_days: Annotated[int, Field(ge=0)] = 7
    holdout: Annotated[int, Field(ge=1)] = 252
    time_limit_minutes: Annotated[float, Field(gt=0)] = 60


class Schedule(_Section):
    """When the nightly run starts, and the deadline by which it must publish a forecast."""

    cron: str = "0 6 * * *"
    timezone: str = "UTC"
    deadline_minutes: Annotated[float, Field(ge=0)] = 0

    @field_validator("cron")
    @classmethod
    def _cron_is_readable(cls, line: str) -> str:
        check_cron(line)
        return line

    @field_validator("timezone")
    @classmethod
    def _time_zone_exists(cls, name: str) -> str:
        return _check_time_zone(name)


class Scoring(_Section):
    """How bad the scores of published forecasts may get before the next run retrains."""

    days: Annotated[int, Field(ge=1)] = 365
    min_skill: Annotated[float, Field(lt=1)] = -0.1
    max_coverage_gap: Annotated[float, Field(gt=0, le=1)] = 0.1
    rest_days: Annotated[int, Field(ge=0)] = 30


class Retention(_Section):
    """How long forecasts and model versions are kept after nothing needs them any more."""

    forecast_days: Annotated[int, Field(ge=1)] = 730
    superseded_days: Annotated[int, Field(ge=1)] = 30
    model_days: Annotated[int, Field(ge=1)] = 180


class Panel(_Section):
    """A panel; `docs/panel.md` describes every key.

    Example:
        >>> panel = Panel.model_validate({"name": "mine", "source": {"uri": "prices.csv"}})
        >>> panel.forecast.horizon, panel.bars.freq, panel.label(np.datetime64("2026-10-30"))
        (72, '1D', '2026-10-30')
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    source: Source
    bars: BarSettings = BarSettings()
    forecast: ForecastSettings = ForecastSettings()
    audit: AuditSettings = AuditSettings()
    model: ModelSettings = ModelSettings()
    retrain: RetrainSettings = RetrainSettings()
    schedule: Schedule = Schedule()
    scoring: Scoring = Scoring()
    retention: Retention = Retention()
    _file: Path | None = PrivateAttr(None)

    @property
    def file(self) -> Path | None:
        """The absolute path of the TOML file that the panel was loaded from; None if it was not loaded."""
        return self._file

    @model_validator(mode="before")
    @classmethod
    def _count_intraday_bars(cls, given: Any) -> Any:
        """Set the audit's defaults for intraday bars: whole days, so that nights and holidays are no gaps."""
        match given:
            case {"bars": {"freq": str() as freq}} if isinstance(given.get("audit", {}), dict):
                day = _bars_a_day(freq)
                if day is None:
                    return given
                defaults = {"stale_bars": 2 * day, "flat_bars": 2 * day + day // 2, "max_gap_bars": 5 * day}
                return {**given, "audit": {**defaults, **given.get("audit", {})}}
        return given

    @model_validator(mode="after")
    def _times_of_day_are_intraday(self) -> Self:
        if not self.bars.intraday and self.source.stamp == "end":
            raise ValueError(
                'source.stamp = "end" is for bars shorter than a day, and has no effect on bars of '
                f"{self.bars.freq}; remove it, or set bars.freq"
            )
        form = self.source.time_format
        if self.bars.intraday and form and not has_hour(form):
            raise ValueError(
                f'source.time_format = "{form}" has no hour, which bars of {self.bars.freq} need; add it, '
                "such "
                'as " %H:%M:%S" (where date and time are in two columns, set source.time_column to both, '
                "such "
                'as ["Date", "Time"])'
            )
        return self

    def result_keys(self) -> dict[str, Any]:
        """Return the settings that can change a forecast. Source and schedule are not among them."""
        keys = self.model_dump(
            mode="json",
            include={
                "name": True,
                "bars": True,
                "forecast": True,
                "audit": {"min_bars", "stale_bars", "flat_bars", "max_gap_bars", "max_left_out"},
                "model": True,
                "retrain": {"holdout"},
            },
        )
        for key in ("extra_sessions", "extra_holidays"):
            if not keys["bars"][key]:  # so that panels without them keep their identity
                del keys["bars"][key]
        return keys

    def model_keys(self) -> dict[str, Any]:
        """Return the settings that a trained model depends on. A model fits only panels with equal ones."""
        keys = self.result_keys()
        del keys["audit"]
        return keys

    def due_times(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the due times (UTC) of the nightly run after `after`, up to and including `until`."""
        return due_times(self.schedule.cron, self.schedule.timezone, after, until)

    def last_due(self, now: datetime) -> datetime | None:
        """Return the newest due time (UTC) of the nightly run that is not later than `now`."""
        return last_due(self.schedule.cron, self.schedule.timezone, now)

    @property
    def calendar(self) -> BarCalendar:
        """The calendar of the bars.

        Raises:
            PanelError: the calendar has no bars of this frequency.
        """
        bars = self.bars
        return bar_calendar(bars.calendar, bars.freq, bars.extra_sessions, bars.extra_holidays)

    def label(self, instant: np.datetime64) -> str:
        """Format `instant` as the panel's paths and records do: `2026-10-30`, intraday `2026-10-30T1400Z`."""
        return as_of_label(instant, self.bars.freq)

    def instant(self, label: str) -> np.datetime64:
        """Parse an `as_of` label; on intraday panels, a bare date means the last minute of that day (UTC).

        Raises:
            NightcastError: `label` is neither a date nor, on an intraday panel, a UTC time.
        """
        return parse_as_of(label, self.bars.freq)

    @property
    def digest(self) -> str:
        """The digest of `result_keys`."""
        return digest_record(self.result_keys())

    @staticmethod
    def names(folder: str | Path | None = None) -> list[str]:
        """Return the sorted names of the panel files in `folder`. The files are not read.

        Raises:
            PanelError: there are no panel files.
        """
        where = panels_folder(folder)
        found = sorted(path.stem for path in where.glob("*.toml"))
        if not found:
            raise PanelError(f"no panels in {where}; set --panels or NIGHTCAST_PANELS")
        return found

    @classmethod
    def load_all(cls, folder: str | Path | None = None) -> list[Self]:
        """Load every panel in `folder`, sorted by name.

        Without `folder`, the folder is `NIGHTCAST_PANELS`, or else `deployments/panels`.

        Raises:
            PanelError: there are no panel files, a file is not valid, or a panel and its file have different
                names.
        """
        return [cls.load_named(name, folder) for name in cls.names(folder)]

    @classmethod
    def load_named(cls, name: str, folder: str | Path | None = None) -> Self:
        """Load the panel `name` of `folder`, as `load_all` does.

        Raises:
            PanelError: there is no such file, it is not valid, or the panel has another name than its file.
        """
        where = panels_folder(folder)
        panel = cls.load(name, where)
        if panel.name != name:
            path = where / f"{name}.toml"
            raise PanelError(f"{path}: contains the panel {panel.name!r}; rename it to {panel.name}.toml")
        return panel

    @classmethod
    def load(cls, reference: str | Path, folder: str | Path | None = None) -> Self:
        """Load a panel by its name in `folder`, or from the path of a TOML file.

        Without `folder`, the folder is `NIGHTCAST_PANELS`, or else `deployments/panels`.

        Raises:
            PanelError: there is no such file, or it is not a valid panel.

        Example:
            >>> Panel.load("deployments/panels/ecb_fx.toml").name
            'ecb_fx'
        """
        path = _find(str(reference), panels_folder(folder))
        try:
            given = tomllib.loads(_text(path))
        except UnicodeDecodeError as error:
            raise PanelError(f"{path}: not text in UTF-8 ({error}); save it as UTF-8") from error
        except tomllib.TOMLDecodeError as error:
            raise PanelError(f"{path}: not valid TOML ({error}); correct that line") from error
        try:
            panel = cls.model_validate(given)
        except ValidationError as error:
            raise PanelError(f"{path}: {explain(error, cls)}") from error
        source = panel.source.model_copy(update={"uri": _absolute(panel.source.uri, path.parent)})
        loaded = panel.model_copy(update={"source": source})
        loaded._file = path.resolve()  # noqa: SLF001 - its own class
        return loaded


def _check_time_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f'no time zone {name!r}; use an IANA name such as "Europe/Berlin"')
    return name


def _listed(value: Any) -> list[Any]:
    """Return a list, a tuple or a single value as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]


def panels_folder(given: str | Path | None = None) -> Path:
    """Return the folder of panels: `given`, or `NIGHTCAST_PANELS`, or else `deployments/panels`."""
    return Path(given or os.environ.get("NIGHTCAST_PANELS", DEFAULT_FOLDER))


def _find(reference: str, folder: Path) -> Path:
    if reference.endswith(".toml") or "/" in reference:
        path = Path(reference)
        if not path.is_file():
            raise PanelError(f"no panel file at {path}; give a path to a TOML file, or a panel's name")
        return path
    path = folder / f"{reference}.toml"
    if path.is_file():
        return path
    if not folder.is_dir():
        raise PanelError(f"no folder of panels at {folder}; set --panels or NIGHTCAST_PANELS")
    known = sorted(file.stem for file in folder.glob("*.toml"))
    listing = f"known panels: {', '.join(known)}" if known else "it contains no panels"
    raise PanelError(f"no panel {reference!r} in {folder}; {listing}")


def _absolute(uri: str, folder: Path) -> str:
    if uri.startswith(_SQLITE):  # also a file, but with options
        path, mark, options = uri.removeprefix(_SQLITE).partition("?")
        return f"{_SQLITE}{(folder / path).resolve()}{mark}{options}"
    if "://" in uri:
        return uri
    return str((folder / Path(uri).expanduser()).resolve())


def _text(path: Path) -> str:
    """The text of a panel file: UTF-8 with or without a byte order mark, or UTF-16 with one."""
    data = path.read_bytes()
    return data.decode("utf-16" if data.startswith(_UTF16_MARKS) else "utf-8-sig")


def _bars_a_day(freq: str) -> int | None:
    """The bars of a day of 24 hours; None for longer bars, or where there is no such frequency."""
    try:
        check_frequency(freq)
    except ValueError:
        return None
    return int(np.timedelta64(1, "D") // bar_step(freq)) if is_intraday(freq) else None
