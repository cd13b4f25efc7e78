"""The command line, in this process where that is enough, and as a user starts it where it is not."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from deployments import cli
from forecasting.contract import SCHEMA
from forecasting.digests import digest_bytes
from forecasting.models.registry import ModelMetadata, Registry
from forecasting.models.training import TrainedNetwork
from forecasting.panel import Panel
from forecasting.publishing.decisions import Decision, DecisionLog
from forecasting.selection.challenger import settings_digest
from forecasting.storage import Storage
from tests.conftest import TINY_PANEL, write_prices
from tests.hostile import write_hostile_modules
from tests.prefect_home import used_home
from tests.published import DAY, FIRST_DAY, add_prices, publish_walk, small_panel, walks

NIGHTCAST = Path(sys.executable).parent / "nightcast"


def call(*words: str) -> int:
    """Run a command in this process; its exit code."""
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert isinstance(end.value.code, int)
    return end.value.code


def start(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user would; on a machine that has never run Prefect, unless the test made a home."""
    environment = {**os.environ, "PREFECT_HOME": str(folder / "prefect"), "HOME": str(folder)}
    process = subprocess.Popen(
        [NIGHTCAST, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    out, err = process.communicate(timeout=240)
    with pytest.raises(ProcessLookupError):  # nothing that it started is left
        os.killpg(process.pid, 0)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def test_a_run_ends_clean_and_says_where_to_look(trained_panel: Path) -> None:
    write_hostile_modules(trained_panel.parent)  # Prefect's temporary server and the training start there
    done = start(trained_panel.parent, "run", "tiny.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "training: step 20/20" in done.stdout
    assert "against the random walk; " in done.stdout
    report = next(line for line in done.stdout.splitlines() if line.startswith("Report: "))
    assert (trained_panel.parent / report.removeprefix("Report: ")).is_file()
    assert not [word for word in ("Traceback", "prefect.", "TF_", "oneDNN", "WARNING") if word in done.stdout]


def test_the_demo_ends_with_a_command_that_shows_what_it_made(tmp_path: Path) -> None:
    used_home(tmp_path / "prefect")
    done = start(tmp_path, "demo", "--store", "a store")
    assert (done.returncode, done.stderr) == (0, "")
    explained, last = done.stdout.splitlines()[-1].split(": ", 1)
    assert explained == "To look at it, run"
    words = [*shlex.split(last), "--print"]
    shown = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert (tmp_path / shown.stdout.strip()).name == "_report.html"
    assert (tmp_path / shown.stdout.strip()).is_file()


def test_a_run_that_fails_says_why_in_one_line(tiny_panel: Path) -> None:
    (tiny_panel.parent / "prices.csv").unlink()
    used_home(tiny_panel.parent / "prefect")
    done = start(tiny_panel.parent, "run", "tiny.toml")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "prices.csv" in done.stderr
    assert "Traceback" not in done.stdout
    assert not (tiny_panel.parent / "store" / "latest").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["run", "nope"], "no panel 'nope'"),
        (["run", "nope.toml"], "no panel file at nope.toml"),
        (["run", "bad.toml"], "unknown key 'forecast.horizont'; did you mean 'horizon'?"),
        (["run", "tiny.toml", "--as-of", "30.10.2026"], "as_of '30.10.2026' is not a date"),
        (["run", "tiny.toml", "--mode", "zap"], 'Invalid value "zap" for --mode'),
        (["run"], "PANEL"),
        (["backtest", "tiny.toml", "--refit", "often"], "--refit 'often' is neither"),
        (["backtest", "tiny.toml", "--output", "."], "--output . is a folder; give a file in it"),
        (["backtest", "tiny.toml", "--output", "/dev/null/x.parquet"], "x.parquet cannot be written"),
        (
            ["backtest", "tiny.toml", "--output", "x.html"],
            "x.html is the name of the report; give a file for the predictions, such as x.parquet",
        ),
        (
            ["ingest", "tiny.toml", "--store", "/dev/null/x"],
            "cannot use the store /dev/null/x: a file is where a folder must be",
        ),
        (["ingest", "empty.toml"], "empty.csv"),
        (["ingest", "columns.toml"], "wrong.csv"),
        (["ingest", "tiny.toml", "--store", "nope://x"], "cannot open the store nope://x"),
        (
            ["ingest", "tiny.toml", "--export", "s3://bucket/x.parquet"],
            "--export s3://bucket/x.parquet is no",
        ),
        (["ingest", "tiny.toml", "--export", "."], "--export '.' is a folder; give a file in it"),
        (["models", "tiny.toml", "promote"], "models PANEL promote takes a VERSION; list shows them"),
        (["models", "tiny.toml", "rollback", "a"], "models PANEL rollback takes none"),
        (["models", "tiny.toml", "promote", "a"], "panel tiny has no model yet; run: nightcast run tiny"),
        (["models", "tiny.toml", "rollback"], "panel tiny has no model yet; run: nightcast run tiny"),
        (["models", "tiny.toml", "demote"], 'Invalid value "demote" for ACTION'),
    ],
)
def test_a_mistake_is_one_clear_line(
    tiny_panel: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    reason: str,
) -> None:
    folder = tiny_panel.parent
    (folder / "bad.toml").write_text(TINY_PANEL.replace("horizon", "horizont"))
    (folder / "empty.csv").write_text("")
    (folder / "empty.toml").write_text(TINY_PANEL.replace("prices.csv", "empty.csv"))
    (folder / "wrong.csv").write_text("a,b\n1,2\n")
    (folder / "columns.toml").write_text(TINY_PANEL.replace("prices.csv", "wrong.csv"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NIGHTCAST_PANELS", str(folder))
    assert call(*words) == 1
    out, err = capsys.readouterr()
    assert reason in err
    assert len(err.splitlines()) == 1
    assert "Traceback" not in out + err


def test_an_interrupt_is_one_line_and_exit_130(
    tiny_panel: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("deployments.commands.prices.Storage", interrupt)
    assert call("ingest", str(tiny_panel)) == 130
    assert capsys.readouterr().err == "nightcast: interrupted; run the same command again to go on\n"


def test_a_reader_that_stops_reading_is_no_error(tiny_panel: Path, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, "HOME": str(tmp_path)}
    ended = subprocess.run(
        [NIGHTCAST, "audit", tiny_panel, "--store", tmp_path / "store"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment,
        timeout=120,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (cli.BROKEN_PIPE, b"")


def test_what_nobody_expected_is_one_line_too_and_keeps_its_traceback(
    tiny_panel: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("boom\nand more")

    monkeypatch.setattr("deployments.commands.prices.Storage", break_down)
    assert call("ingest", str(tiny_panel)) == 1
    err = capsys.readouterr().err
    assert err.startswith("nightcast: unexpected RuntimeError: boom; the traceback is in ")
    log = Path(err.strip().rsplit(" ", 1)[1])
    assert "RuntimeError: boom" in log.read_text()
    log.unlink()


def test_ingest_says_what_became_of_the_rows(tiny_panel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("ingest", str(tiny_panel), "--store", str(tiny_panel.parent / "store"))
    assert call(*words) == 0
    assert "1200 rows offered; 1200 new" in capsys.readouterr().out
    assert call(*words) == 0
    assert "1200 rows offered; 0 new, of which 0 revise a bar; 1200 already stored" in capsys.readouterr().out


@pytest.mark.parametrize("where", ["local_storage", "s3_storage"])
def test_ingest_prints_the_findings_and_exports_the_prices(
    where: str, tiny_panel: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    storage, export = request.getfixturevalue(where), tiny_panel.parent / "out" / "prices.parquet"
    with (tiny_panel.parent / "prices.csv").open("a") as source:
        source.write("AAA,2026-10-30,-5\n")
    assert call("ingest", str(tiny_panel), "--store", storage.uri, "--export", str(export)) == 0
    out = capsys.readouterr().out
    assert "P006 zero or negative: " in out
    assert f"1200 bars, the newest value of each: {export}" in out
    assert pq.read_table(export).num_rows == 1200
    assert call("audit", str(tiny_panel), "--store", storage.uri) == 0
    assert "P006 zero or negative: " in capsys.readouterr().out


def test_an_export_that_cannot_be_is_told_before_anything_is_ingested(tiny_panel: Path) -> None:
    store = tiny_panel.parent / "store"
    assert call("ingest", str(tiny_panel), "--store", str(store), "--export", str(tiny_panel.parent)) == 1
    assert not (store / "prices").exists()


def test_audit_prints_the_findings(tiny_panel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_prices(tiny_panel.parent / "prices.csv", {"AAA": 400, "BBB": 400, "SHORT": 30})
    assert call("audit", str(tiny_panel), "--store", str(tiny_panel.parent / "store")) == 0
    out = capsys.readouterr().out
    assert "As of 2026-10-30: 2 series for the model, 0 for a baseline, 1 left out" in out
    assert "P101" in out
    assert "SHORT" in out


def test_audit_prints_the_findings_that_stop_a_run(
    tiny_panel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_prices(tiny_panel.parent / "prices.csv", {"AAA": 400, "SHORT": 30, "SHORTER": 20})
    with (tiny_panel.parent / "prices.csv").open("a") as prices:
        prices.write("AAA,2026-10-12x,1.5\n")
    assert call("audit", str(tiny_panel), "--store", str(tiny_panel.parent / "store")) == 1
    out, err = capsys.readouterr()
    assert [code for code in ("P001", "P101", "P201") if code in out] == ["P001", "P101", "P201"]
    assert err.startswith("nightcast: P201 too many left out: 2 of 3 live series")


def test_backtest_prints_the_table_and_writes_every_prediction_and_a_report(
    tiny_panel: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    output = tmp_path / "out" / "predictions.parquet"
    options = ("--cutoffs", "3", "--stride", "5", "--output", str(output))
    assert call("backtest", str(tiny_panel), "--store", str(tmp_path / "store"), *options) == 0
    out = capsys.readouterr().out
    assert "3 cutoffs from 2026-10-15 to 2026-10-25, 3 series, 9 windows of 5 bars" in out
    assert {"ewma_walk", "random_walk", "stacked_lstm"} <= set(out.split())
    assert "too few cutoffs to tell" in out
    assert "cutoff 1 of 3, 2026-10-15, training 1 of 1: " in out
    assert "<title>tiny 2026-10-15 to 2026-10-25: backtest</title>" in output.with_suffix(".html").read_text()
    predictions = pq.read_table(output)
    assert set(SCHEMA.names) <= set(predictions.column_names)
    assert predictions.num_rows == 3 * 3 * 5 * 3


def test_models_of_a_panel_that_never_ran(tiny_panel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("models", str(tiny_panel), "--store", str(tiny_panel.parent / "store")) == 0
    folder = tiny_panel.parent
    assert capsys.readouterr().out == (
        f"tiny has no model yet; run: nightcast run tiny --store {folder}/store --panels {folder}\n"
    )


def test_models_lists_promotes_and_rolls_back(
    tiny_panel: Path, local_storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    panel, registry = Panel.load(tiny_panel), Registry(local_storage, "tiny")
    network = TrainedNetwork(b"a network", {}, {}, {})
    for version, day in (("aaaa", "20"), ("bbbb", "27")):
        metadata = ModelMetadata(
            version=version,
            sha256=digest_bytes(network.model_bytes),
            settings=panel.model_keys(),
            training_end=f"2026-08-{day}T00:00:00.000000",
            trained_at=f"2026-10-{day}T06:00:00+00:00",
        )
        registry.save(network, metadata)
        as_of, settings = f"2026-10-{day}", settings_digest(panel)
        decided_at = f"{as_of}T06:00:00.000000+00:00"
        DecisionLog(local_storage, "tiny").append(
            Decision(as_of, decided_at, version, "stacked_lstm", version, settings, "It won.", None, version)
        )
    words = ("models", str(tiny_panel), "--store", local_storage.uri)

    assert call(*words) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["aaaa", "2026-08-20", "2026-10-20T06:00", *3 * "\N{EN DASH}"] in lines
    assert [
        "bbbb",
        "publishes,",
        "best",
        "on",
        "record",
        "2026-08-27",
        "2026-10-27T06:00",
        *3 * "\N{EN DASH}",
    ] in lines
    assert ["2026-10-20", "2026-10-20T06:00:00", "stacked_lstm", "aaaa", "It", "won."] in lines

    assert call(*words[:2], "promote", "aaaa", *words[2:]) == 1  # there is no terminal to ask on
    assert "nothing was changed: there is no terminal to ask on; add --yes" in capsys.readouterr().err
    assert call(*words[:2], "promote", "aaaa", "--reason", "calmer", "--yes", *words[2:]) == 0
    said = "From 2026-10-27 on, stacked_lstm aaaa publishes. Promoted by hand: calmer."
    out = capsys.readouterr().out
    assert said in out
    assert "From 2026-10-27 on, stacked_lstm aaaa will publish instead of stacked_lstm bbbb." in out
    assert call(*words[:2], "rollback", "--yes", *words[2:]) == 0
    assert "From 2026-10-27 on, stacked_lstm bbbb publishes." in capsys.readouterr().out


def test_a_damaged_decision_is_one_line(tiny_panel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tiny_panel.parent / "store"
    (store / "models" / "tiny" / "promotions").mkdir(parents=True)
    (store / "models" / "tiny" / "promotions" / "2026-10-30_x_y.json").write_text("junk")
    assert call("models", str(tiny_panel), "--store", str(store)) == 1
    err = capsys.readouterr().err
    assert "2026-10-30_x_y.json is damaged: it holds no decision; remove it" in err
    assert len(err.splitlines()) == 1


def test_every_command_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help") == 0
    out = capsys.readouterr().out
    for command in cli.COMMANDS:
        assert command.__name__.rstrip("_") in out


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version") == 0
    assert capsys.readouterr().out.strip() == "0.1.0"


def test_score_prints_what_forecasts_turned_out_to_be_worth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    panel, storage = small_panel(), Storage(str(tmp_path / "store"))
    file = tmp_path / "small.toml"
    file.write_text('name = "small"\n[source]\nuri = "x"\n[forecast]\nhorizon = 5\n', encoding="utf-8")
    words = ("score", str(file), "--store", storage.uri)
    assert call(*words) == 1
    assert "small has no published forecast in" in capsys.readouterr().err
    add_prices(panel, storage, walks(100))
    publish_walk(panel, storage, "2026-04-10")
    assert call(*words) == 0
    assert "Nothing is scored yet" in capsys.readouterr().out
    add_prices(panel, storage, {name: y[-2:] for name, y in walks(102).items()}, FIRST_DAY + 100 * DAY)
    assert call(*words) == 0
    out = capsys.readouterr().out
    assert "small: 6 scores added; 1 forecasts published, 1 of them were waiting for bars" in out
    assert re.search(r"live, 90 days +1 +1 +3 ", out)
    assert 'data-panel="small"' in storage.get("index.html").decode()
    assert "is missing where there are too few of them" in out
