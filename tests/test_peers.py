"""What of the comparison with peers runs without their environment: the clock, the losses, the tables."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import night_clock, night_parts, training
from benchmarks.peers.nights import Night
from benchmarks.peers.usage import Usage
from benchmarks.peers.window_file import CONTEXT, HORIZON, WindowFile
from forecasting.quantiles import LEVELS


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clock's watch shows, one value a glance."""
    shown: list[float] = []
    monkeypatch.setattr(night_clock.time, "monotonic", lambda: shown.pop(0))
    return shown


def windows() -> WindowFile:
    bars = CONTEXT + HORIZON + 10
    rng = np.random.default_rng(0)
    return WindowFile(
        features=rng.normal(size=(bars, 6)).astype(np.float32),
        level=rng.normal(size=bars).cumsum(),
        scale=np.ones(bars),
        weights=np.ones(bars, np.float32),
        ds=np.arange(bars).astype("datetime64[D]").astype("datetime64[us]"),
        ids=np.array(["a"] * bars),
        training=np.array([CONTEXT]),
        held_out=np.array([CONTEXT + 3, CONTEXT + 5]),
    )


def test_a_part_inside_another_takes_its_time_from_that(seconds: list[float]) -> None:
    seconds += [1.0, 3.0, 10.0, 11.0]
    clock = night_clock.Clock(0.0, "imports")
    clock.turn("prefect")
    assert clock.timed("ingest", lambda: "done")() == "done"
    walls = {part: wall for part, (wall, _) in clock.stop().items()}
    assert walls == {"imports": 1.0, "prefect": 3.0, "ingest": 7.0}


def test_the_loss_is_the_mean_pinball_loss_in_scales() -> None:
    file = windows()
    perfect = file.targets(file.held_out)[..., None].repeat(len(LEVELS), axis=2)
    assert file.loss(perfect) == 0
    assert file.loss(perfect - 1) == pytest.approx(2 * LEVELS.mean())


def test_a_context_ends_at_its_origin_and_is_in_its_scale() -> None:
    file = windows()
    (context,) = file.contexts(np.array([CONTEXT + 3]))
    at_origin = file.features[CONTEXT + 3]
    assert context.shape == (CONTEXT, 6)
    assert context[-1, 0] == pytest.approx(at_origin[0] * np.exp(-at_origin[1]), rel=1e-5)
    assert context[-1, 1] == 0


def test_the_windows_survive_the_file(tmp_path: Path) -> None:
    windows().write(tmp_path)
    assert np.array_equal(WindowFile.read(tmp_path).held_out, windows().held_out)


def test_the_time_to_a_loss_is_the_first_at_which_it_is_reached() -> None:
    course = [(0, 1.0, 0.5, 3.0), (50, 2.0, 1.5, 2.0), (100, 3.0, 2.5, 1.0)]
    assert training.time_to(course, 2.0) == (2.0, 1.5)
    assert training.time_to(course, 0.5) is None


def test_the_picture_and_the_table_have_every_part(tmp_path: Path) -> None:
    parts = dict.fromkeys(night_parts.COLORS, (2.0, 1.0))
    found = {29: {night: Night(Usage(24.0, 12.0, 500.0), parts) for night in ("first", "second")}}
    night_parts.draw(found, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    named = {line.split(" | ")[0].strip("| ") for line in night_parts.table(found)}
    assert named >= {*night_parts.COLORS}


def test_every_part_of_a_night_has_a_colour() -> None:
    fixed = {night_clock.IMPORTS, night_clock.SERVER, night_clock.PREFECT}
    by_their_own_names = {"fit the EWMA walk", "forecast", "join shards"}
    assert {*night_clock.PARTS.values(), *by_their_own_names, *fixed} == {*night_parts.COLORS}
