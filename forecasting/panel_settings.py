"""The sections of a panel file, each a set of keys with their defaults and checks.

`docs/panel.md` describes every key.
"""

import codecs
import json
from datetime import date
from typing import Annotated, Any, Literal, Self
from zoneinfo import available_timezones

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from forecasting.calendar import bar_step, check_calendar, check_frequency, is_intraday
from forecasting.schedule import check_cron
from forecasting.time_formats import check_time_format

PriceColumn = Literal["open", "high", "low", "close", "volume"]

# The pretrained network was trained on histories from this length on, and pads the rest of its context.
LEAST_BARS = 60

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


class Section(BaseModel):
    """A section of a panel file: no unknown keys, and no change once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Section):
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


class BarSettings(Section):
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


class ForecastSettings(Section):
    """The target column, its transform, the horizon in bars, required series, and moves whose odds are shown.

    A night without one of the series in `required` publishes, and ends as failed. `odds` are shares of the
    last price under `log`, and price units under `diff`, where no default fits.
    """

    horizon: Annotated[int, Field(ge=1, le=250)] = 72
    transform: Literal["log", "diff"] = "log"
    target: PriceColumn = "close"
    odds: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = Field(
        (0.01, 0.05, 0.10), max_length=5
    )
    required: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _price_units_have_no_default_odds(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("transform") == "diff":
            return {"odds": (), **given}
        return given

    @model_validator(mode="after")
    def _odds_are_in_order(self) -> Self:
        listed = json.dumps(list(self.odds))
        if list(self.odds) != sorted(set(self.odds)):
            raise ValueError(f"odds = {listed} must increase; write odds = {sorted(set(self.odds))}")
        if self.transform == "log" and self.odds and self.odds[-1] >= 1:
            raise ValueError(f"odds = {listed} must be shares below 1; for 5% of the last price write 0.05")
        return self


class AuditSettings(Section):
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


class ModelSettings(Section):
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
    def is_pretrained(self) -> bool:
        """Whether the package ships the network: the settings that shape it are the defaults."""
        shipped = ModelSettings.model_fields
        shape = ("preset", "context", "sampling_step", "units", "loss")
        return all(getattr(self, key) == shipped[key].default for key in shape)

    @property
    def context_bars(self) -> int:
        """The length of a context in bars."""
        return self.context * self.sampling_step


class RetrainSettings(Section):
    """When a model is retrained, how many bars are held out, and how long training may take."""

    max_age_days: Annotated[int, Field(ge=0)] = 7
    holdout: Annotated[int, Field(ge=1)] = 252
    time_limit_minutes: Annotated[float, Field(gt=0)] = 60


class Schedule(Section):
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


class Scoring(Section):
    """How bad the scores of published forecasts may get before the next run retrains."""

    days: Annotated[int, Field(ge=1)] = 365
    min_skill: Annotated[float, Field(lt=1)] = -0.1
    max_coverage_gap: Annotated[float, Field(gt=0, le=1)] = 0.1
    rest_days: Annotated[int, Field(ge=0)] = 30


class ChartSettings(Section):
    """Of which series of a panel of more than 50 the night draws a picture: the named ones, or all."""

    png: Literal["all"] | tuple[str, ...] = ()

    @field_validator("png", mode="before")
    @classmethod
    def _is_all_or_ids(cls, given: Any) -> Any:
        if given == "all" or (isinstance(given, list | tuple) and all(isinstance(one, str) for one in given)):
            return given
        raise ValueError(
            f'{json.dumps(given)} is not allowed; write "all", or a list of ids, like ["EURUSD"]'
        )


class Engine(Section):
    """Where the shards of a night are worked on: `dask` is the address of a Dask scheduler."""

    dask: str = ""

    @field_validator("dask")
    @classmethod
    def _is_scheduler_address(cls, address: str) -> str:
        if address and not address.startswith(("tcp://", "tls://")):
            raise ValueError(
                f"{json.dumps(address)} is no address of a Dask scheduler; write one like "
                '"tcp://scheduler.example.org:8786"'
            )
        return address


class Retention(Section):
    """How long forecasts and model versions are kept after nothing needs them any more."""

    forecast_days: Annotated[int, Field(ge=1)] = 730
    superseded_days: Annotated[int, Field(ge=1)] = 30
    model_days: Annotated[int, Field(ge=1)] = 180


def _check_time_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f'no time zone {name!r}; use an IANA name such as "Europe/Berlin"')
    return name


def _listed(value: Any) -> list[Any]:
    """Return a list, a tuple or a single value as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]
