import json
from collections.abc import Callable
from dataclasses import replace
from statistics import mean, stdev

import numpy as np
import pandas as pd
import pytest

from forecasting.calendar import BarCalendar, bar_calendar
from forecasting.errors import PanelError
from forecasting.evaluation.verdict import Duel, Verdict
from forecasting.models.baselines import RandomWalk
from forecasting.models.forecaster import Forecaster
from forecasting.models.windows import Windows, build_windows
from forecasting.panel import Panel
from forecasting.panel_settings import ModelSettings
from forecasting.prices.bars import Bars
from forecasting.selection import gate
from forecasting.selection.gate import Incumbents, choose, duel, holdout_origins, judge, training_end

START = np.datetime64("2020-01-01", "us")
DAY = np.timedelta64(1, "D")
# Five series of 400 bars, of which the last 150 are held out.
SPANS = ((0, 400),) * 5
END = START + 249 * DAY

MakeBars = Callable[..., Bars]
MakeWindows = Callable[[Bars], Windows]
Fit = Callable[..., Forecaster]
JudgeAltered = Callable[..., Verdict]


@pytest.fixture
def windows_of(panel: Panel, calendar: BarCalendar) -> MakeWindows:
    return lambda bars: build_windows(panel, bars, calendar)


@pytest.fixture
def judge_altered(
    panel: Panel, make_bars: MakeBars, windows_of: MakeWindows, fit_altered: Fit
) -> JudgeAltered:
    """Judge an EWMA walk with wider or shifted quantiles, without a champion."""

    def judge_one(bars: Bars | None = None, end: np.datetime64 = END, **alterations: float) -> Verdict:
        bars = bars or make_bars(*SPANS)
        return judge(panel, fit_altered(bars, END, **alterations), windows_of(bars), end)

    return judge_one


def test_training_ends_before_as_many_bars_of_the_calendar_as_are_held_out() -> None:
    # TARGET is closed from Good Friday, 2026-04-03, to Easter Monday; four of its days follow to 04-10.
    ecb = bar_calendar("ECB", "1D")
    assert training_end(ecb, np.datetime64("2026-04-10", "us"), 4) == np.datetime64("2026-04-02")
    assert training_end(ecb, np.datetime64("2026-04-12", "us"), 5) == np.datetime64("2026-04-01")


def test_training_of_intraday_bars_ends_by_the_bar() -> None:
    always = bar_calendar("24/7", "1h")
    assert training_end(always, np.datetime64("2026-04-10T05:00", "us"), 7) == np.datetime64(
        "2026-04-09T22:00"
    )


def test_a_holdout_longer_than_the_calendar_is_refused() -> None:
    with pytest.raises(PanelError, match="24/7"):
        training_end(bar_calendar("24/7", "1D"), np.datetime64("2026-04-10", "us"), 100_000)


def test_holdout_windows_start_from_every_eleventh_date_and_end_with_the_bars(
    make_bars: MakeBars, windows_of: MakeWindows
) -> None:
    windows = windows_of(make_bars((0, 400), (0, 400)))
    origins = holdout_origins(windows, END)
    dates = windows.bars.ds[origins].reshape(2, -1)
    # The last date with six bars after it is day 393, the end of training day 249.
    expected = START + np.arange(393, 248, -11)[::-1] * DAY
    np.testing.assert_array_equal(dates, [expected, expected])


def test_no_holdout_target_is_one_that_was_trained_on(make_bars: MakeBars, windows_of: MakeWindows) -> None:
    windows = windows_of(make_bars(*SPANS))
    first_targets = windows.bars.ds[holdout_origins(windows, END) + 1]
    assert first_targets.min() > windows.target_end(windows.before(END)).max()


def test_the_holdout_of_a_large_panel_is_the_same_sample_of_its_series(
    make_bars: MakeBars, windows_of: MakeWindows, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = windows_of(make_bars(*SPANS))
    monkeypatch.setattr(gate, "MAX_WINDOWS", 30)
    origins = holdout_origins(windows, END)
    assert len(np.unique(windows.bars.series[origins])) == 2
    assert len(origins) == 28
    np.testing.assert_array_equal(holdout_origins(windows, END), origins)


@pytest.mark.parametrize("broken", [{"shift": 30.0}, {"width": 8.0}, {"width": 0.01}, {"shift": np.nan}])
def test_a_broken_challenger_is_refused(judge_altered: JudgeAltered, broken: dict[str, float]) -> None:
    verdict = judge_altered(**broken)
    assert verdict.model == verdict.publishes == "ewma_walk"
    assert verdict.gated
    assert verdict.reason.startswith("ewma_walk publishes instead of altered: on 70 held-out windows ")


def test_a_tie_goes_to_the_model(judge_altered: JudgeAltered) -> None:
    verdict = judge_altered(width=1.0)
    assert verdict.model == "altered"
    assert verdict.gated


@pytest.mark.parametrize(
    ("difference", "error", "lost"),
    [(0.02, 0.01, True), (0.02, 0.03, False), (0.0005, 0.0, False), (-0.5, 0.01, False), (0.5, None, False)],
    ids=["worse", "within noise", "by rounding", "better", "no standard error"],
)
def test_a_duel_is_lost_by_more_than_noise_and_rounding(
    difference: float, error: float | None, lost: bool
) -> None:
    assert Duel("model", "ewma_walk", difference, error).lost is lost


def test_a_model_that_is_worse_within_noise_publishes(judge_altered: JudgeAltered) -> None:
    verdict = judge_altered(shift=0.2)
    last = verdict.duels[-1]
    assert last.difference is not None
    assert last.standard_error is not None
    assert 0 < last.difference < last.standard_error
    assert verdict.model == "altered"
    assert verdict.reason.startswith(
        "altered publishes, because a tie goes to the model: on 70 held-out windows the loss of altered was "
        f"{last.difference:.1%} higher than that of {last.opponent} (uncertainty {last.standard_error:.1%})"
    )


def test_a_model_that_knows_more_publishes(
    panel: Panel, make_bars: MakeBars, windows_of: MakeWindows, fit_altered: Fit
) -> None:
    bars = make_bars(*SPANS)
    windows = windows_of(bars)

    class Clairvoyant:
        name = "clairvoyant"

        def predict(self, windows: Windows, origins: np.ndarray) -> np.ndarray:
            return np.repeat(windows.targets(origins)[..., None], 11, axis=-1)

    verdict = judge(panel, Clairvoyant(), windows, END, Incumbents(fit_altered(bars, END)))
    assert verdict.publishes == verdict.model == "clairvoyant"
    assert [score.skill for score in verdict.series.values()] == pytest.approx([1.0] * 5)


def test_a_champion_that_is_better_than_the_challenger_stays(
    panel: Panel, make_bars: MakeBars, windows_of: MakeWindows, fit_altered: Fit
) -> None:
    bars = make_bars(*SPANS)
    broken, champion = fit_altered(bars, END, shift=30.0), fit_altered(bars, END)
    verdict = judge(panel, broken, windows_of(bars), END, Incumbents(champion))
    assert (verdict.publishes, verdict.model) == ("champion", "altered")
    assert [(one.candidate, one.opponent) for one in verdict.duels] == [
        ("altered", "champion"),
        ("champion", "random_walk"),
        ("champion", "ewma_walk"),
    ]


def test_ties_with_the_champion_go_to_the_challenger(
    panel: Panel, make_bars: MakeBars, windows_of: MakeWindows, fit_altered: Fit
) -> None:
    bars = make_bars(*SPANS)
    challenger, champion = fit_altered(bars, END), fit_altered(bars, END)
    assert judge(panel, challenger, windows_of(bars), END, Incumbents(champion)).publishes == "altered"


def test_a_champion_that_fell_behind_makes_way_for_the_best_on_record(
    panel: Panel, make_bars: MakeBars, windows_of: MakeWindows, fit_altered: Fit
) -> None:
    bars = make_bars(*SPANS)
    incumbents = Incumbents(fit_altered(bars, END, shift=5.0), best=fit_altered(bars, END))
    verdict = judge(panel, fit_altered(bars, END, shift=30.0), windows_of(bars), END, incumbents)
    assert (verdict.publishes, verdict.best) == ("best", "best")
    refusal = verdict.reason.partition("; the challenger was refused, because ")[2]
    lost = next(one for one in verdict.duels if (one.candidate, one.opponent) == ("altered", "champion"))
    assert refusal == (
        f"the loss of altered was {lost.difference:.1%} higher than that of the champion "
        f"(uncertainty {lost.standard_error:.1%})."
    )


def test_a_challenger_that_ties_publishes_and_leaves_the_record_alone(
    panel: Panel, make_bars: MakeBars, windows_of: MakeWindows, fit_altered: Fit
) -> None:
    bars = make_bars(*SPANS)
    incumbents = Incumbents(fit_altered(bars, END), best=fit_altered(bars, END))
    verdict = judge(panel, fit_altered(bars, END), windows_of(bars), END, incumbents)
    assert (verdict.publishes, verdict.best) == ("altered", "best")


def test_a_challenger_that_is_better_beyond_luck_is_the_record(
    panel: Panel, make_bars: MakeBars, windows_of: MakeWindows, fit_altered: Fit
) -> None:
    bars = make_bars(*SPANS)
    champion = fit_altered(bars, END, shift=5.0)
    verdict = judge(panel, fit_altered(bars, END), windows_of(bars), END, Incumbents(champion))
    assert (verdict.publishes, verdict.best) == ("altered", "altered")


def test_an_incumbent_with_forecasts_that_are_not_finite_does_not_compete(
    panel: Panel, make_bars: MakeBars, windows_of: MakeWindows, fit_altered: Fit
) -> None:
    bars = make_bars(*SPANS)
    incumbents = Incumbents(fit_altered(bars, END, shift=np.nan))
    verdict = judge(panel, fit_altered(bars, END), windows_of(bars), END, incumbents)
    assert (verdict.publishes, verdict.best) == ("altered", "altered")


# By how much the model's loss exceeds the EWMA walk's; the standard error is 0.01.
@pytest.mark.parametrize(
    ("more", "stand_in", "publishes"),
    [
        (0.005, None, "model"),
        (0.005, "ewma_walk", "ewma_walk"),
        (0.02, None, "ewma_walk"),
        (-0.001, "ewma_walk", "model"),
        (0.005, "random_walk", "random_walk"),
        (-0.001, "random_walk", "model"),
    ],
    ids=["a tie", "baseline publishes", "worse", "better", "other walk publishes", "better than both"],
)
def test_a_baseline_publishes_until_a_model_is_better(
    more: float, stand_in: str | None, publishes: str
) -> None:
    # The random walk is worse than the EWMA walk, but not by more than noise.
    loss = {"model": 1 + more, "ewma_walk": 1.0, "random_walk": 1.008}
    choice = choose(lambda a, b: Duel(a, b, loss[a] - loss[b], 0.01), "model", [], stand_in)
    assert choice.publishes == publishes


def test_a_baseline_that_is_worse_than_the_other_by_more_than_noise_makes_way() -> None:
    loss = {"model": 1.005, "ewma_walk": 1.0, "random_walk": 1.02}
    choice = choose(lambda a, b: Duel(a, b, loss[a] - loss[b], 0.01), "model", [], "random_walk")
    assert choice.publishes == "ewma_walk"


@pytest.mark.parametrize(
    ("alteration", "said"),
    [
        ({"shift": 0.2}, "ewma_walk keeps publishing, because no model is better: on 70 held-out windows "),
        ({"shift": 30.0}, "ewma_walk publishes instead of altered: "),
    ],
)
def test_the_reason_says_whether_a_baseline_keeps_publishing(
    panel: Panel,
    make_bars: MakeBars,
    windows_of: MakeWindows,
    fit_altered: Fit,
    alteration: dict[str, float],
    said: str,
) -> None:
    bars = make_bars(*SPANS)
    challenger = fit_altered(bars, END, **alteration)
    verdict = judge(panel, challenger, windows_of(bars), END, Incumbents(stand_in="ewma_walk"))
    assert verdict.reason.startswith(said)


def test_a_broken_model_publishes_untested_without_a_whole_window(judge_altered: JudgeAltered) -> None:
    verdict = judge_altered(end=START + 395 * DAY, shift=30.0)
    assert (verdict.model, verdict.gated, verdict.windows) == ("altered", False, 0)
    assert "untested" in verdict.reason


def test_a_model_publishes_untested_where_the_holdout_is_too_short_for_a_standard_error(
    judge_altered: JudgeAltered,
) -> None:
    verdict = judge_altered(end=START + 390 * DAY, shift=30.0)
    assert (verdict.model, verdict.gated, verdict.windows) == ("altered", False, 5)
    assert "too short for a test" in verdict.reason


def test_forecasts_that_are_not_finite_are_refused_however_short_the_holdout(
    judge_altered: JudgeAltered,
) -> None:
    verdict = judge_altered(end=START + 390 * DAY, shift=np.nan)
    assert (verdict.model, verdict.gated) == ("ewma_walk", True)


def test_the_lectures_network_publishes_whatever_its_loss(
    panel: Panel, make_bars: MakeBars, windows_of: MakeWindows, fit_altered: Fit
) -> None:
    bars = make_bars(*SPANS)
    lecture = panel.model_copy(update={"model": ModelSettings(preset="lecture")})
    verdict = judge(lecture, fit_altered(bars, END, shift=30.0), windows_of(bars), END)
    assert (verdict.model, verdict.gated) == ("altered", False)
    assert verdict.reason.startswith("The preset publishes whatever its loss: on ")


def test_a_verdict_reports_every_candidate_and_every_series(judge_altered: JudgeAltered) -> None:
    record = json.loads(json.dumps(judge_altered().to_record(), allow_nan=False))
    assert [score["candidate"] for score in record["table"]] == ["altered", "ewma_walk", "random_walk"]
    assert sorted(record["series"]) == ["s0", "s1", "s2", "s3", "s4"]
    assert record["series"]["s0"].keys() == {"skill", "coverage_80", "coverage_90", "windows"}
    assert record["series"]["s0"]["windows"] == 14
    assert (record["dates"], record["windows"]) == (14, 70)


def test_a_record_of_a_refusal_holds_no_nan(judge_altered: JudgeAltered) -> None:
    json.dumps(judge_altered(shift=np.nan).to_record(), allow_nan=False)


def test_no_price_after_the_as_of_changes_a_verdict(judge_altered: JudgeAltered, make_bars: MakeBars) -> None:
    as_of = START + 370 * DAY
    bars = make_bars(*SPANS)
    changed = replace(bars, y=np.where(bars.ds > as_of, 7.0, bars.y))
    assert judge_altered(bars.until(as_of)) == judge_altered(changed.until(as_of))


def test_the_random_walk_is_fitted_once_for_each_series_at_its_first_window(
    judge_altered: JudgeAltered, make_bars: MakeBars, windows_of: MakeWindows, monkeypatch: pytest.MonkeyPatch
) -> None:
    origins = holdout_origins(windows_of(make_bars(*SPANS)), END)
    looked_at = []
    predict = RandomWalk.predict

    def spy(self: RandomWalk, windows: Windows, origins: np.ndarray) -> np.ndarray:
        looked_at.extend(origins)
        return predict(self, windows, origins)

    monkeypatch.setattr(RandomWalk, "predict", spy)
    judge_altered()
    assert looked_at == list(origins.reshape(5, -1)[:, 0])


def losses_by_date(model: list[float], walk: list[float]) -> pd.DataFrame:
    """Losses of two candidates on one series, one window for each date."""
    one = {"unique_id": "a", "as_of": range(len(model))}
    return pd.concat(
        [
            pd.DataFrame({"candidate": name, "scaled_quantile_loss": loss, **one})
            for name, loss in (("model", model), ("random_walk", walk))
        ]
    )


def test_a_duel_scales_series_by_their_random_walk_loss_and_weighs_dates_equally() -> None:
    # The walk's mean loss is 2 on series a and 20 on b. The model's is higher by 1 on a at both dates, and
    # lower by 5 on b at the first date.
    losses = pd.DataFrame(
        [
            *(("model", "a", date, 3.0) for date in (1, 2)),
            *(("random_walk", "a", date, 2.0) for date in (1, 2)),
            ("model", "b", 1, 15.0),
            ("random_walk", "b", 1, 20.0),
        ],
        columns=["candidate", "unique_id", "as_of", "scaled_quantile_loss"],
    )
    found = duel(losses, "model", "random_walk", overlap=1.0)
    assert found.difference == pytest.approx(((0.5 - 0.25) / 2 + 0.5) / 2)


def test_a_duel_without_overlap_has_the_ordinary_standard_error_of_a_mean() -> None:
    model, walk = [2.0, 5.0, 3.0, 4.0], [1.0, 3.0, 2.0, 2.0]
    found = duel(losses_by_date(model, walk), "model", "random_walk", overlap=1.0)
    shares = [(mine - theirs) / mean(walk) for mine, theirs in zip(model, walk, strict=True)]
    assert found.difference == pytest.approx(mean(shares))
    assert found.standard_error == pytest.approx(stdev(shares) / 2)


def test_the_standard_error_of_overlapping_targets_is_the_spread_of_the_mean() -> None:
    # Each date's loss is a sum of six shocks that neighbours share; 400 means, each of 60 dates.
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        losses = np.convolve(rng.normal(size=65), np.ones(6), "valid") + 100
        found.append(duel(losses_by_date(list(losses), [100.0] * 60), "model", "random_walk", overlap=6.0))
    spread = np.std([one.difference for one in found])
    typical = np.sqrt(np.mean([one.standard_error**2 for one in found if one.standard_error]))
    assert typical == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize(
    ("series", "absurd", "lost"), [(29, 1, False), (29, 3, True), (5, 1, False), (3, 1, True)]
)
def test_one_absurd_series_does_not_lose_the_gate_for_its_sisters(
    series: int, absurd: int, lost: bool
) -> None:
    rng = np.random.default_rng(0)
    walk = rng.uniform(0.9, 1.1, (40, series))
    model = walk - 0.01  # a little better on every series
    model[:, :absurd] = 100  # except on these, by far
    index = pd.MultiIndex.from_product([range(40), [f"s{n}" for n in range(series)]])
    frames = [
        pd.DataFrame({"as_of": index.get_level_values(0), "unique_id": index.get_level_values(1)}).assign(
            candidate=name, scaled_quantile_loss=losses.ravel()
        )
        for name, losses in (("model", model), ("random_walk", walk))
    ]
    found = duel(pd.concat(frames), "model", "random_walk", overlap=1.0)
    assert found.lost is lost
