"""Panel: a named group of series with one source, frequency, calendar and model, read from a TOML file.

`docs/panel.md` describes every key and its default.
"""

import codecs
import os
import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import (
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from forecasting.as_of import as_of_label, parse_as_of
from forecasting.calendar import (
    BarCalendar,
    bar_calendar,
    bar_step,
    check_frequency,
    is_intraday,
)
from forecasting.digests import digest_record
from forecasting.errors import PanelError
from forecasting.panel_errors import explain
from forecasting.panel_settings import (
    AuditSettings,
    BarSettings,
    ChartSettings,
    Engine,
    ForecastSettings,
    ModelSettings,
    Retention,
    RetrainSettings,
    Schedule,
    Scoring,
    Section,
    Source,
)
from forecasting.schedule import due_times, last_due
from forecasting.time_formats import has_hour

DEFAULT_FOLDER = "deployments/panels"

_SQLITE = "sqlite:///"
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Panel(Section):
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
    charts: ChartSettings = ChartSettings()
    engine: Engine = Engine()
    retention: Retention = Retention()
    _file: Path | None = PrivateAttr(None)

    @property
    def file(self) -> Path | None:
        """The absolute path of the TOML file that the panel was loaded from; None if it was not loaded."""
        return self._file

    @model_validator(mode="before")
    @classmethod
    def _count_intraday_bars(cls, given: Any) -> Any:
        """Set the defaults that count bars for intraday bars.

        The audit's are whole days, so that nights and holidays are no gaps. The holdout has two months, and
        at least twenty horizons: on ten days of hourly bars the gate could tell nothing.
        """
        match given:
            case {"bars": {"freq": str() as freq}}:
                day = _bars_a_day(freq)
                if day is None:
                    return given
                horizon = _horizon_of(given)
                defaults = {
                    "audit": {
                        "stale_bars": 2 * day,
                        "flat_bars": 2 * day + day // 2,
                        "max_gap_bars": 5 * day,
                    },
                    "retrain": {"holdout": max(60 * day, 20 * horizon)},
                }
                sections = {name: given.get(name, {}) for name in defaults}
                merged = {
                    name: {**defaults[name], **section} if isinstance(section, dict) else section
                    for name, section in sections.items()
                }
                return {**given, **merged}
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

    def check_reach(self, now: np.datetime64) -> None:
        """Check that the calendar knows all bars that a forecast from `now` on needs.

        Raises:
            PanelError: the calendar ends within the horizon, or has no bars of this frequency.
        """
        calendar, horizon = self.calendar, self.forecast.horizon
        known = calendar.known_after(now)
        if known < horizon:
            raise PanelError(
                f"forecast.horizon = {horizon} reaches beyond the calendar {self.bars.calendar!r}, "
                f"which ends on {calendar.end}, {known} bars from now; set horizon to {known} or less, "
                "upgrade exchange_calendars, or choose another calendar from docs/calendars.md"
            )

    def result_keys(self) -> dict[str, Any]:
        """Return the settings that can change a forecast. Source and schedule are not among them."""
        keys = self.model_dump(
            mode="json",
            include={
                "name": True,
                "bars": True,
                "forecast": {"horizon", "transform", "target"},
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
        return keys | {"pretrained": True} if self.model.is_pretrained else keys

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
    def load_all(cls, folder: str | Path | None = None) -> tuple[list[Self], dict[str, PanelError]]:
        """Load every panel in `folder`. A file that is not valid does not stop the others.

        Without `folder`, the folder is `NIGHTCAST_PANELS`, or else `deployments/panels`.

        Returns:
            the valid panels, sorted by name, and the error of each other file, by its name without `.toml`.

        Raises:
            PanelError: there are no panel files, or none is valid.
        """
        loaded, broken = [], {}
        for name in cls.names(folder):
            try:
                loaded.append(cls.load_named(name, folder))
            except PanelError as error:
                broken[name] = error
        if not loaded:
            raise PanelError("; ".join(str(error) for error in broken.values()))
        return loaded, broken

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
            PanelError: there is no such file, it cannot be read, or it is not a valid panel.

        Example:
            >>> Panel.load("deployments/panels/ecb_fx.toml").name
            'ecb_fx'
        """
        path = _find(str(reference), panels_folder(folder))
        given = file_settings(path)
        try:
            panel = cls.model_validate(given)
        except ValidationError as error:
            raise PanelError(f"{path}: {explain(error, cls)}") from error
        source = panel.source.model_copy(update={"uri": _absolute(panel.source.uri, path.parent)})
        loaded = panel.model_copy(update={"source": source})
        loaded._file = path.resolve()  # noqa: SLF001 - its own class
        try:
            loaded.check_reach(np.datetime64("now", "us"))
        except PanelError as error:
            raise PanelError(f"{path}: {error}") from error
        return loaded


def file_settings(path: Path) -> dict[str, Any]:
    """Return the settings of a panel file as they are written, unchecked.

    Raises:
        PanelError: the file cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(_text(path))
    except OSError as error:
        raise PanelError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except UnicodeDecodeError as error:
        raise PanelError(f"{path}: not text in UTF-8 ({error}); save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise PanelError(f"{path}: not valid TOML ({error}); correct that line") from error


def _horizon_of(given: dict[str, Any]) -> int:
    """The horizon in a panel that is not validated yet; the default where it is absent or no number."""
    section = given.get("forecast", {})
    horizon = section.get("horizon") if isinstance(section, dict) else None
    return horizon if isinstance(horizon, int) else int(ForecastSettings.model_fields["horizon"].default)


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
