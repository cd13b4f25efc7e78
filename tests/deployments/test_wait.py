"""`nightcast wait`: exit codes and lines, without a Prefect server."""

from pathlib import Path

import pytest

from deployments import cli
from forecasting.storage import Storage
from tests.conftest import TINY_PANEL
from tests.imported import imported_by
from tests.published import write_pointer


@pytest.fixture
def store(tmp_path: Path) -> Storage:
    """A store whose pointer shows the panel tiny as of 2026-10-30."""
    (tmp_path / "tiny.toml").write_text(TINY_PANEL)
    store = Storage(str(tmp_path / "store"))
    write_pointer(store, "2026-10-30", panel="tiny")
    return store


def wait(store: Storage, panel: str, as_of: str) -> int:
    folder = str(Path(store.uri).parent)
    given = ["wait", panel, "--as-of", as_of, "--timeout", "0", "--store", store.uri, "--panels", folder]
    with pytest.raises(SystemExit) as end:
        cli.main(given)
    assert isinstance(end.value.code, int)
    return end.value.code


def test_a_published_forecast_is_exit_0(store: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    assert wait(store, "tiny", "2026-10-30") == 0
    out, err = capsys.readouterr()
    assert out.startswith("tiny: the forecast as of 2026-10-30 is published: ")
    assert out.endswith("forecasts/tiny/as_of=2026-10-30/id=x/forecast.parquet\n")
    assert err == ""


def test_a_provisional_forecast_says_so(store: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    write_pointer(store, "2026-10-30", panel="tiny", provisional="the source is late")
    assert wait(store, "tiny", "2026-10-30") == 0
    assert "is published (provisional: the source is late): " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("panel", "as_of", "reason"),
    [
        ("tiny", "2026-10-31", "the newest forecast is as of 2026-10-30"),
        ("tiny", "31.10.2026", "as_of '31.10.2026' is not a date"),
        ("nope", "2026-10-30", "no panel 'nope' in "),
    ],
)
def test_what_is_not_there_is_one_line_and_exit_1(
    store: Storage, capsys: pytest.CaptureFixture[str], panel: str, as_of: str, reason: str
) -> None:
    assert wait(store, panel, as_of) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert reason in err


def test_a_missing_store_is_named_and_not_created(
    tmp_path: Path, store: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "store").rename(tmp_path / "moved")
    assert wait(store, "tiny", "2026-10-30") == 1
    assert f"there is no store at {store.uri}" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_it_needs_neither_prefect_nor_tensorflow(store: Storage) -> None:
    words = ["wait", "tiny", "--as-of", "2026-10-30", "--timeout", "0", "--store", store.uri]
    imported = imported_by([*words, "--panels", str(Path(store.uri).parent)])
    assert "deployments" in imported
    assert imported & {"prefect", "tensorflow", "keras", "matplotlib"} == set()
