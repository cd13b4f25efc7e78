"""Real training processes: their results, failures and ends."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forecasting.errors import ModelError
from forecasting.models import training
from forecasting.models.presets import preset_of
from forecasting.models.training import load_network, train_network
from forecasting.models.windows import feature_count
from forecasting.panel import Panel
from forecasting.progress import silent
from tests.forecasting.models.conftest import END, Trained, make_bars, make_lecture_panel, make_panel, train
from tests.hostile import write_hostile_modules

PATIENCE = 60.0

# Trains for a very long time, and prints the id of the training process once it has started to train.
ENDLESS = """
import subprocess, sys
import numpy as np
from forecasting.prices.bars import Bars
from forecasting.models import training
from forecasting.panel import Panel

class Told(subprocess.Popen):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.__class__.told = self.pid

training.subprocess.Popen = Told
panel = Panel.model_validate_json(sys.argv[1])
days = np.datetime64("2015-01-01", "us") + np.arange(400) * np.timedelta64(1, "D")
prices = np.exp(np.random.default_rng(0).normal(size=400) / 100)
bars = Bars(("S",), np.array([0, 400]), days, prices)
training.train_network(panel, bars, days[-1], lambda *_, **__: print(Told.told, flush=True))
"""


def changed(panel: Panel, section: str, **changes: object) -> Panel:
    """Return the panel with changed values in one section."""
    record = panel.model_dump()
    record[section] |= changes
    return Panel.model_validate(record)


def describe(panel: Panel) -> str:
    steps, features, horizon = panel.model.context, feature_count(panel), panel.forecast.horizon
    return f"stacked_lstm from {steps} steps of {features} features to {horizon} steps ahead"


def is_running(process: int) -> bool:
    command = ["ps", "-o", "stat=", "-p", str(process)]
    state = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return bool(state) and not state.startswith("Z")


# --- What comes out --------------------------------------------------------------------------------------


def test_the_same_input_gives_the_same_weights_in_another_process(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever modules are in its working directory, and whatever the prices after the training are."""
    write_hostile_modules(tmp_path)
    monkeypatch.chdir(tmp_path)
    bars = trained.bars
    again = train(trained.panel, replace(bars, y=np.where(bars.ds > END, 7.0, bars.y)))
    assert again.network.facts["weights_digest"] == trained.network.facts["weights_digest"]
    assert again.network.history == trained.network.history


def test_progress_and_facts_say_what_happened(trained: Trained) -> None:
    assert trained.progress == [(10, 40), (20, 40), (30, 40), (40, 40)]
    history, facts = trained.network.history, trained.network.facts
    assert {name: len(values) for name, values in history.items()} == {"step": 1, "loss": 1, "val_loss": 1}
    # 301 days minus 20 + 6, for each of three series.
    assert facts["training_windows"] == 3 * (301 - 26)
    assert facts["seconds"] > 0
    json.dumps([facts, trained.network.state], allow_nan=False)


def test_what_is_trained_is_never_worse_than_its_start_on_the_validation_windows(trained: Trained) -> None:
    facts = trained.network.facts
    assert 0 < facts["validation_loss"] <= facts["start_validation_loss"]


def test_a_network_out_of_a_process_forecasts_the_same_bits_each_time_it_is_loaded(trained: Trained) -> None:
    one, other = (
        load_network(trained.panel, trained.network.model_bytes, trained.network.state) for _ in range(2)
    )
    assert one.name == "stacked_lstm"
    forecast = one.predict(trained.windows, trained.bars.last)
    assert (np.diff(forecast, axis=-1) > 0).all()
    np.testing.assert_array_equal(other.predict(trained.windows, trained.bars.last), forecast)


# Keras 3.15 saves variables with a feature that numpy 2.4 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_saved_network_forecasts_the_same_bits(trained: Trained, tmp_path: Path) -> None:
    module = preset_of(trained.panel).module
    network, state, _ = module.train(trained.windows, END, trained.panel, silent)
    network.save(tmp_path / "model.keras")
    loaded = load_network(trained.panel, (tmp_path / "model.keras").read_bytes(), state)
    expected = module.load(network, state).predict(trained.windows, trained.bars.last)
    np.testing.assert_array_equal(loaded.predict(trained.windows, trained.bars.last), expected)


# --- What goes wrong -------------------------------------------------------------------------------------


def test_a_training_that_takes_too_long_is_stopped_and_names_the_key() -> None:
    hasty = changed(make_panel(), "retrain", time_limit_minutes=0.01)
    started = time.monotonic()
    with pytest.raises(ModelError) as caught:
        train_network(hasty, make_bars(), END, silent)
    assert str(caught.value) == (
        "training small took longer than 0.01 minutes and was stopped; raise time_limit_minutes in [retrain] "
        "of the panel, or lower training_steps in [model]"
    )
    assert time.monotonic() - started < PATIENCE


def test_a_training_process_that_dies_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "BARS", "elsewhere.npz")
    with pytest.raises(ModelError) as caught:
        train_network(make_panel(), make_bars(), END, silent)
    line = str(caught.value)
    assert line.startswith("training small died with exit code 1: FileNotFoundError: ")
    assert line.endswith("bars.npz'; check that the machine has enough memory, and run again")
    assert "\n" not in line


def test_what_a_training_process_refuses_is_told_as_it_said_it() -> None:
    with pytest.raises(ModelError, match=r"^no price changes before 2020-10-27") as caught:
        train_network(make_panel(), replace(make_bars(), y=np.full(1200, 5.0)), END, silent)
    assert "\n" not in str(caught.value)


def test_a_parent_that_is_killed_leaves_no_training_process() -> None:
    command = [sys.executable, "-c", ENDLESS, make_panel(training_steps=10**9).model_dump_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    if is_running(child):
        os.kill(child, signal.SIGKILL)
        pytest.fail("the training process outlived its parent")


# --- What is not a model of the panel --------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_file_cut_short_is_refused(trained: Trained, share: float) -> None:
    whole = trained.network.model_bytes
    expected = r"^the model of panel small cannot be read: .*; run with --mode retrain$"
    with pytest.raises(ModelError, match=expected):
        load_network(trained.panel, whole[: int(share * len(whole))], {})


def test_a_file_with_a_changed_byte_is_refused(trained: Trained) -> None:
    damaged = bytearray(trained.network.model_bytes)
    damaged[len(damaged) // 2] ^= 0xFF
    with pytest.raises(ModelError, match="cannot be read: it is damaged"):
        load_network(trained.panel, bytes(damaged), {})


@pytest.mark.parametrize(
    ("section", "changes"),
    [("forecast", {"horizon": 7}), ("model", {"context": 24}), ("bars", {"freq": "1h"})],
)
def test_a_model_that_does_not_fit_is_refused_by_what_it_has_and_what_is_wanted(
    trained: Trained, section: str, changes: dict[str, object]
) -> None:
    other = changed(trained.panel, section, **changes)
    with pytest.raises(ModelError) as caught:
        load_network(other, trained.network.model_bytes, {})
    assert str(caught.value) == (
        f"the model of panel small does not fit it: found {describe(trained.panel)}, "
        f"but the panel needs {describe(other)}; run with --mode retrain"
    )


def test_a_model_of_the_other_preset_is_refused(trained: Trained) -> None:
    with pytest.raises(ModelError, match="needs lecture_lstm from 120 steps of 1 features to 6 steps ahead"):
        load_network(make_lecture_panel(), trained.network.model_bytes, {})


def test_training_does_not_import_tensorflow_into_the_run() -> None:
    code = "import sys, forecasting.models.training; print({'tensorflow', 'keras'} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
