from pathlib import Path

import numpy as np
import pytest

from forecasting.errors import PanelError
from forecasting.panel import Panel

MINIMAL = 'name = "tiny"\n[source]\nuri = "prices.csv"\n'


def write(folder: Path, text: str, name: str = "tiny") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def error_of(folder: Path, text: str) -> str:
    path = write(folder, text)
    with pytest.raises(PanelError) as caught:
        Panel.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_a_minimal_panel_has_the_designs_defaults(tmp_path: Path) -> None:
    panel = Panel.load(write(tmp_path, MINIMAL))
    assert (panel.forecast.horizon, panel.model.context, panel.model.units) == (72, 120, (32, 16))
    assert (panel.retrain.max_age_days, panel.retrain.holdout) == (7, 252)


def test_a_relative_source_lies_beside_the_panel_file(tmp_path: Path) -> None:
    assert Panel.load(write(tmp_path, MINIMAL)).source.uri == str(tmp_path / "prices.csv")


def test_a_source_with_a_scheme_is_left_as_it_is(tmp_path: Path) -> None:
    text = MINIMAL.replace("prices.csv", "s3://bucket/prices.csv")
    assert Panel.load(write(tmp_path, text)).source.uri == "s3://bucket/prices.csv"


def test_a_database_in_a_file_lies_beside_the_panel_file(tmp_path: Path) -> None:
    text = MINIMAL.replace("prices.csv", "sqlite:///prices.db?timeout=5")
    assert Panel.load(write(tmp_path, text)).source.uri == f"sqlite:///{tmp_path}/prices.db?timeout=5"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('encoding = "utf-9"', "source.encoding: no encoding 'utf-9'; use one such as"),
        ('time_zone = "Berlin"', "source.time_zone: no time zone 'Berlin'; use an IANA name"),
        ('query = "select 1"', "source.query: the query does not use :since; add a condition"),
        (
            'id_in_file_name = "prices"',
            "source.id_in_file_name: 'prices' must contain one * in place of the id",
        ),
        (
            'delimiter = ", "',
            'source.delimiter = ", " is not allowed; write at most 1 character(s)',
        ),
        ('decimal = "."\nstamp = "middle"', 'source.stamp = "middle" is not allowed; write'),
        ('stamp = "end"', 'source.stamp = "end" is for bars shorter than a day'),
        ('time_format = "%Y-%m-%e"', "source.time_format: '%Y-%m-%e' has the unknown directive \"%e\""),
        ('time_format = "%Y-%m-%d %m"', "source.time_format: '%Y-%m-%d %m' has the directive \"%m\" twice"),
        ('time_format = "%Y-%m-%"', "source.time_format: '%Y-%m-%' has the unknown directive"),
        ("time_column = 7", "source.time_column = 7 is not allowed; write text in quotes"),
        ('na_values = "N/A"', 'source.na_values = "N/A" is not allowed; write a list, like ["'),
    ],
)
def test_a_wrong_setting_of_the_source_says_what_to_write(tmp_path: Path, line: str, words: str) -> None:
    assert error_of(tmp_path, f"{MINIMAL}{line}\n").startswith(words)


def test_a_database_of_daily_instants_may_have_a_time_zone(tmp_path: Path) -> None:
    lines = 'query = "select * from bars where ds >= :since"\ntime_zone = "America/New_York"\n'
    assert Panel.load(write(tmp_path, MINIMAL + lines)).source.time_zone == "America/New_York"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "tiny.toml"
    path.write_bytes(MINIMAL.encode(encoding))
    assert Panel.load(path).name == "tiny"


def test_a_file_in_another_encoding_is_said(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_bytes(MINIMAL.replace("tiny", "t\u00efny").encode("cp1252"))
    with pytest.raises(PanelError, match=r"tiny\.toml: not text in UTF-8 .*; save it as UTF-8"):
        Panel.load(path)


def test_all_mistakes_are_told_at_once_in_words(tmp_path: Path) -> None:
    text = MINIMAL + 'url = "x"\ncalendar = "XNYS"\n[model]\nunits = 32\n[forecast]\nhorizon = "long"\n'
    said = error_of(tmp_path, text)
    assert said.startswith("4 mistakes: (1) ")
    for words in (
        "unknown key 'source.url'; did you mean 'uri'?",
        "unknown key 'source.calendar'; did you mean 'calendar' in [bars]?",
        "model.units = 32 is not allowed; write a list, like [32, 16]",
        'forecast.horizon = "long" is not allowed; write a whole number, like 72',
    ):
        assert words in said


@pytest.mark.parametrize("freq", ["1M", "1W", "1D", "12h", "4h", "90min", "30min", "1min"])
def test_bars_of_many_frequencies(tmp_path: Path, freq: str) -> None:
    assert Panel.load(write(tmp_path, MINIMAL + f'[bars]\nfreq = "{freq}"\n')).bars.freq == freq


@pytest.mark.parametrize("freq", ["7h", "1d", "2D", "0min", "25h", "daily", "11min"])
def test_a_frequency_must_divide_a_day(tmp_path: Path, freq: str) -> None:
    said = error_of(tmp_path, MINIMAL + f'[bars]\nfreq = "{freq}"\n')
    assert said.startswith(f"bars.freq: no frequency '{freq}'; use ")


def test_a_time_format_of_intraday_bars_has_an_hour(tmp_path: Path) -> None:
    text = MINIMAL + 'time_format = "%Y.%m.%d"\n[bars]\nfreq = "1h"\n'
    assert "has no hour, which bars of 1h need" in error_of(tmp_path, text)


def test_extra_days_change_the_calendar_and_the_identity(tmp_path: Path) -> None:
    plain = Panel.load(write(tmp_path, MINIMAL + '[bars]\ncalendar = "XNYS"\n'))
    days = 'extra_sessions = ["2020-07-04"]\nextra_holidays = [2020-07-02]\n'
    changed = Panel.load(write(tmp_path, MINIMAL + f'[bars]\ncalendar = "XNYS"\n{days}'))
    both = np.array(["2020-07-04", "2020-07-02"], "datetime64[us]")
    assert plain.calendar.contains(both).tolist() == [False, True]
    assert changed.calendar.contains(both).tolist() == [True, False]
    assert plain.digest != changed.digest
    assert "extra_sessions" not in plain.result_keys()["bars"]


def test_a_name_is_looked_up_in_the_folder(tmp_path: Path) -> None:
    write(tmp_path, MINIMAL)
    assert Panel.load("tiny", tmp_path).name == "tiny"


def test_all_panels_of_a_folder_come_by_name(tmp_path: Path) -> None:
    write(tmp_path, MINIMAL)
    (tmp_path / "other.toml").write_text(MINIMAL.replace("tiny", "other"), encoding="utf-8")
    panels, broken = Panel.load_all(tmp_path)
    assert [panel.name for panel in panels] == ["other", "tiny"]
    assert broken == {}


def test_a_file_that_is_not_valid_does_not_stop_the_others(tmp_path: Path) -> None:
    write(tmp_path, MINIMAL)
    (tmp_path / "bad.toml").write_text("name = ", encoding="utf-8")
    (tmp_path / "worse.toml").write_bytes(b"\xff\xfe\x00")
    panels, broken = Panel.load_all(tmp_path)
    assert [panel.name for panel in panels] == ["tiny"]
    assert list(broken) == ["bad", "worse"]
    assert str(broken["bad"]).startswith(f"{tmp_path / 'bad.toml'}: not valid TOML")
    assert str(broken["worse"]).startswith(f"{tmp_path / 'worse.toml'}: not text in UTF-8")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    write(tmp_path, MINIMAL)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PanelError, match=r"tiny\.toml: cannot be read \(Permission denied\); check its perm"):
        Panel.load("tiny", tmp_path)


def test_a_file_that_holds_a_panel_of_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(MINIMAL, encoding="utf-8")
    with pytest.raises(PanelError, match=r"other\.toml: contains the panel 'tiny'; rename it to tiny\.toml"):
        Panel.load_all(tmp_path)  # which has no other panel


def test_a_folder_without_panels_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PanelError, match=r"no panels in .*; set --panels or NIGHTCAST_PANELS"):
        Panel.load_all(tmp_path)


def test_an_unknown_name_says_which_panels_there_are(tmp_path: Path) -> None:
    write(tmp_path, MINIMAL)
    with pytest.raises(PanelError, match=r"no panel 'tinny' in .*; known panels: tiny"):
        Panel.load("tinny", tmp_path)


def test_a_missing_folder_says_how_to_set_it(tmp_path: Path) -> None:
    with pytest.raises(PanelError, match="--panels or NIGHTCAST_PANELS"):
        Panel.load("tiny", tmp_path / "none")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PanelError, match=r"no panel file at .*none\.toml"):
        Panel.load(tmp_path / "none.toml")


def test_an_unknown_key_suggests_the_nearest_one(tmp_path: Path) -> None:
    assert error_of(tmp_path, MINIMAL + "[forecast]\nhorizont = 3\n") == (
        "unknown key 'forecast.horizont'; did you mean 'horizon'?"
    )


def test_an_unknown_section_lists_the_known_ones(tmp_path: Path) -> None:
    assert "known here: name, source, bars" in error_of(tmp_path, MINIMAL + "[zzz]\n")


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    assert error_of(tmp_path, 'name = "tiny"\n[source]\n') == "the key 'source.uri' is missing; add it"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[forecast]\nhorizon = 251\n",
            "forecast.horizon = 251 is not allowed; write a number that is at most",
        ),
        (
            '[forecast]\ntransform = "sqrt"\n',
            "forecast.transform = \"sqrt\" is not allowed; write 'log' or 'diff'",
        ),
        ('[bars]\ncalendar = "XNYZ"\n', "bars.calendar: "),
        ('[model]\npreset = "lecture"\ncontext = 60\n', 'preset = "lecture" fixes context = 120'),
        (
            '[model]\npreset = "lecture"\nloss = "huber"\n',
            'model: preset = "lecture" fixes loss = "mae"; remove loss, or use preset = "default"',
        ),
        ('[schedule]\ncron = "0 25 * * *"\n', "schedule.cron: '0 25 * * *' is not a cron line"),
        ('[schedule]\ntimezone = "Berlin"\n', "schedule.timezone: no time zone 'Berlin'; use an IANA name"),
        ("[forecast]\nodds = [0.05, 0.01]\n", "odds = [0.05, 0.01] must increase; write odds = [0.01, 0.05]"),
        ("[forecast]\nodds = [1, 5]\n", "forecast: odds = [1.0, 5.0] must be shares below 1; for 5% of"),
        ("[forecast]\nodds = [0]\n", "forecast.odds.0 = 0 is not allowed; write a number"),
        (
            '[charts]\npng = "some"\n',
            'charts.png: "some" is not allowed; write "all", or a list of ids, like ["EURUSD"]',
        ),
        ("[charts]\npng = [1]\n", "charts.png: [1] is not allowed; write "),
        ('[model]\nloss = "mse"\n', "model.loss = \"mse\" is not allowed; write 'pinball', 'mae' or 'huber'"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(tmp_path: Path, text: str, words: str) -> None:
    assert words in error_of(tmp_path, MINIMAL + text)


def test_an_unsafe_name_is_refused(tmp_path: Path) -> None:
    assert 'name = "../x" is not allowed; write a name of lower-case letters' in error_of(
        tmp_path, MINIMAL.replace("tiny", "../x")
    )


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    assert "line 1" in error_of(tmp_path, "name = \n")


def test_the_lecture_preset_brings_its_own_windows(tmp_path: Path) -> None:
    panel = Panel.load(write(tmp_path, MINIMAL + '[model]\npreset = "lecture"\n'))
    assert (panel.model.context_bars, panel.model.sampling_step, panel.model.context) == (720, 6, 120)
    assert panel.model.loss == "mae"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ('[schedule]\ncron = "0 1 * * *"\n', True),
        ("[retrain]\nmax_age_days = 30\n", True),
        ("[retrain]\nholdout = 100\n", False),
        ("[forecast]\nhorizon = 10\n", False),
        ("[model]\nseed = 1\n", False),
        ('[model]\nloss = "mae"\n', False),
        ("[audit]\nflat_bars = 10\n", False),
        ("[forecast]\nodds = [0.02]\n", True),
    ],
)
def test_the_digest_follows_the_keys_that_change_a_result(tmp_path: Path, change: str, same: bool) -> None:
    before = Panel.load(write(tmp_path, MINIMAL)).digest
    after = Panel.load(write(tmp_path, MINIMAL + change)).digest
    assert (before == after) is same


@pytest.mark.parametrize("key", ["odds = [0.02]", 'required = ["EURUSD"]'])
def test_odds_and_required_series_belong_neither_to_the_result_nor_to_the_model(
    tmp_path: Path, key: str
) -> None:
    panel = Panel.load(write(tmp_path, f"{MINIMAL}[forecast]\n{key}\n"))
    expected = {"horizon": 72, "transform": "log", "target": "close"}
    assert panel.result_keys()["forecast"] == panel.model_keys()["forecast"] == expected


@pytest.mark.parametrize(
    ("keys", "odds"),
    [("", (0.01, 0.05, 0.10)), ('transform = "diff"', ()), ('transform = "diff"\nodds = [2, 10]', (2, 10))],
)
def test_odds_default_to_shares_and_in_price_units_to_none(
    tmp_path: Path, keys: str, odds: tuple[float, ...]
) -> None:
    assert Panel.load(write(tmp_path, f"{MINIMAL}[forecast]\n{keys}\n")).forecast.odds == odds


def test_where_the_prices_lie_does_not_change_the_digest(tmp_path: Path) -> None:
    here = Panel.load(write(tmp_path, MINIMAL)).digest
    there = Panel.load(write(tmp_path, MINIMAL.replace("prices.csv", "other/file.parquet"))).digest
    assert here == there


def test_intraday_panels_count_the_audits_limits_in_days(tmp_path: Path) -> None:
    hourly = MINIMAL + '[bars]\nfreq = "1h"\n'
    audit = Panel.load(write(tmp_path, hourly)).audit
    assert (audit.stale_bars, audit.flat_bars, audit.max_gap_bars) == (48, 60, 120)
    given = Panel.load(write(tmp_path, hourly + "[audit]\nstale_bars = 7\n")).audit
    assert (given.stale_bars, given.max_gap_bars) == (7, 120)


@pytest.mark.parametrize(
    ("freq", "horizon", "holdout"),
    [("1h", 72, 1440), ("1h", 250, 5000), ("15min", 72, 5760), ("1D", 72, 252)],
)
def test_an_intraday_holdout_has_two_months_and_at_least_twenty_horizons(
    freq: str, horizon: int, holdout: int
) -> None:
    given = {"name": "p", "source": {"uri": "x"}, "bars": {"freq": freq}, "forecast": {"horizon": horizon}}
    assert Panel.model_validate(given).retrain.holdout == holdout
    own = Panel.model_validate(given | {"retrain": {"holdout": 300, "max_age_days": 1}})
    assert (own.retrain.holdout, own.retrain.max_age_days) == (300, 1)


def test_a_horizon_beyond_the_end_of_the_calendar_is_refused_with_the_longest_that_fits() -> None:
    given = {"name": "p", "source": {"uri": "x"}, "bars": {"calendar": "XBOM"}}
    panel = Panel.model_validate(given)
    last = panel.calendar.bars(np.datetime64("1997-01-02"), panel.calendar.end.astype("datetime64[us]"))[-1]
    panel.check_reach(panel.calendar.back(last, 72))
    with pytest.raises(
        PanelError, match=r"reaches beyond the calendar 'XBOM', which ends on .*, 71 bars from now"
    ):
        panel.check_reach(panel.calendar.back(last, 71))


def test_a_panel_file_whose_calendar_ends_too_soon_is_refused_when_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.toml"
    path.write_text(MINIMAL + "[forecast]\nhorizon = 250\n", encoding="utf-8")
    assert Panel.load(path).forecast.horizon == 250
    monkeypatch.setattr("forecasting.calendar.BarCalendar.known_after", lambda *_: 22)
    with pytest.raises(PanelError, match=r"p\.toml: forecast\.horizon = 250 .* set horizon to 22 or less"):
        Panel.load(path)
