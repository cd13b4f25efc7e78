"""`nightcast open`: which page it shows, and where."""

import subprocess
import sys
import webbrowser
from pathlib import Path

import httpx
import pytest

from deployments import cli
from forecasting.publishing.address import INDEX, REPORT, ForecastAddress
from forecasting.storage import Storage
from tests.conftest import TINY_PANEL
from tests.imported import imported_by
from tests.published import write_pointer

PAGE = ForecastAddress("tiny", "2026-10-30", "x").path(REPORT)


def fill(storage: Storage) -> Storage:
    """Write a landing page, and the report of the panel tiny that the pointer names."""
    write_pointer(storage, "2026-10-30", panel="tiny")
    storage.put(PAGE, b"<html>report")
    storage.put(INDEX, b"<html>all")
    return storage


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a browser was asked to open, on a machine that has one."""
    asked: list[str] = []

    def ask(address: str) -> bool:
        asked.append(address)
        return True

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", ask)
    return asked


@pytest.fixture
def store(local_storage: Storage) -> Storage:
    return fill(local_storage)


def call(storage: Storage, *words: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(["open", *words, "--store", storage.uri])
    assert isinstance(end.value.code, int)
    return end.value.code


def test_it_opens_the_landing_page_of_a_local_store_as_a_file(store: Storage, opened: list[str]) -> None:
    assert call(store) == 0
    assert opened == [f"file://{store.uri}/index.html"]


def test_it_opens_the_newest_report_of_a_panel_by_name_or_file(
    store: Storage, opened: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "any.toml"
    file.write_text(TINY_PANEL, encoding="utf-8")
    assert call(store, "tiny") == call(store, str(file)) == 0
    wanted = f"file://{store.uri}/forecasts/tiny/as_of%3D2026-10-30/id%3Dx/_report.html"
    assert opened == [wanted, wanted]


@pytest.mark.parametrize("words", [("--print",), ()])
def test_with_print_or_without_a_display_it_only_says_where(
    store: Storage,
    opened: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
) -> None:
    if not words:
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
            monkeypatch.delenv(name, raising=False)
    assert call(store, *words) == 0
    assert opened == []
    assert capsys.readouterr().out == f"{store.uri}/index.html\n"


def test_a_browser_that_does_not_start_is_said(
    store: Storage,
    opened: list[str],  # noqa: ARG001 - there is a display
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    assert call(store) == 0
    assert "No browser could be started" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "removed", "reason"),
    [
        (("nope",), "", "no forecast of panel 'nope' in"),
        (("../tiny",), "", "no forecast of panel '../tiny' in"),
        (("tiny",), PAGE, "_report.html is missing; delete"),
        ((), INDEX, "has no index.html yet: the next run writes it, or now: nightcast score tiny --store"),
    ],
)
def test_what_is_not_there_is_one_line_and_exit_1(
    store: Storage,
    opened: list[str],
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    removed: str,
    reason: str,
) -> None:
    store.put("forecasts/tiny/as_of=2026-10-29/id=y/forecast.parquet", b"")
    store.delete([removed])
    assert call(store, *words) == 1
    err = capsys.readouterr().err
    assert reason in err
    assert len(err.splitlines()) == 1
    assert opened == []


def test_an_empty_store_has_nothing_to_open(
    local_storage: Storage, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(local_storage) == call(local_storage, "tiny") == 1
    first, second = capsys.readouterr().err.splitlines()
    assert "nothing is published in" in first
    assert "it has no forecasts at all" in second
    assert opened == []


def test_a_remote_store_with_an_address_is_opened_there(
    s3_storage: Storage, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTCAST_PUBLIC_URL", "https://x.org/store")
    assert call(fill(s3_storage), "tiny") == 0
    assert opened == [f"https://x.org/store/{PAGE}"]


def test_print_names_the_object_of_a_remote_store(
    s3_storage: Storage, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(fill(s3_storage), "--print") == 0
    assert capsys.readouterr().out == f"{s3_storage.uri}/index.html\n"
    assert opened == []


def test_a_remote_store_is_served_on_this_machine_until_ctrl_c(s3_storage: Storage) -> None:
    fill(s3_storage)
    program = str(Path(sys.executable).parent / "nightcast")
    words = [program, "open", "tiny", "--store", s3_storage.uri]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        address = serving.stdout.readline().split()[0]
        assert address.startswith("http://127.0.0.1:")
        assert address.endswith(f"/{PAGE}")
        answer = httpx.get(address)
        serving.send_signal(2)
        _, err = serving.communicate(timeout=30)
    assert (answer.text, answer.headers["Content-Type"]) == ("<html>report", "text/html")
    assert serving.returncode == 130
    assert len(err.splitlines()) == 1


def test_it_needs_neither_prefect_nor_tensorflow(store: Storage) -> None:
    imported = imported_by(["open", "--print", "--store", store.uri])
    assert "deployments" in imported
    assert imported & {"prefect", "tensorflow", "keras", "matplotlib"} == set()
