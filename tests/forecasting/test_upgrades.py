"""A store that an earlier version wrote goes on under this one, and back; and a copy of a store goes on.

`store_of_0_1_0` was made by commit 1c380a1: two nights of a panel whose champion is a network trained from
scratch. Its charts and reports are left out for their size.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from forecasting.as_of import to_instant
from forecasting.models.registry import Registry
from forecasting.night import NightResult, decide, make_forecast
from forecasting.operations.freshness import assess
from forecasting.operations.run_record import read_run_record
from forecasting.panel import Panel
from forecasting.prices.ingest import ingest
from forecasting.prices.snapshot import take_snapshot
from forecasting.prices.sources.memory import Memory
from forecasting.prices.table import PriceTable
from forecasting.publishing import reader
from forecasting.publishing.decisions import DecisionLog
from forecasting.scoring.scorer import score_forecasts
from forecasting.scoring.track_record import read_tally
from forecasting.storage import Storage
from tests.conftest import write_prices

OLD = Path(__file__).parent / "store_of_0_1_0"
DOCS = Path(__file__).parents[2] / "docs" / "upgrading.md"
NOW = datetime(2026, 12, 1, 6, tzinfo=UTC)
CHAMPION = "e9261b4818464772"
LAST_ID = "136863c57f75b9ba"  # of the forecast as of 2026-10-29


@pytest.fixture
def panel(tmp_path: Path) -> Panel:
    """The panel of the old store, with the prices of its last night. The store is beside it."""
    shutil.copytree(OLD, tmp_path, dirs_exist_ok=True)
    prices_to(tmp_path, 29)
    return Panel.load(tmp_path / "tiny.toml")


def prices_to(folder: Path, day: int) -> None:
    """Let the source end in October 2026 at this day; a second series has the same bars."""
    bars = 270 + day
    write_prices(folder / "prices.csv", {"AAA": bars, "BBB": bars}, last=f"2026-10-{day}")


def store_of(panel: Panel) -> Storage:
    return Storage(str(Path(panel.source.uri).parent / "store"))


def night(panel: Panel, storage: Storage) -> NightResult:
    ingested = ingest(panel, storage, to_instant(NOW))
    score_forecasts(panel, storage, to_instant(NOW))
    snapshot = take_snapshot(panel, storage, None, NOW)
    return make_forecast(panel, storage, snapshot, decide(panel, storage, snapshot), ingested.findings)


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give the package another version. Call it after a night, which has imported all modules."""

    def change(version: str) -> None:
        for name, module in list(sys.modules.items()):
            if name.split(".")[0] == "forecasting" and hasattr(module, "__version__"):
                monkeypatch.setattr(module, "__version__", version)

    return change


def test_everything_in_an_old_store_is_read(panel: Panel) -> None:
    storage = store_of(panel)
    assert reader.latest("tiny", storage.uri).attrs["forecast_id"] == LAST_ID
    history = reader.history("tiny", "AAA", storage.uri)
    assert history.groupby("as_of").size().to_list() == [5, 5]
    (decision,) = DecisionLog(storage, "tiny").all()
    assert (decision.model, decision.version) == ("stacked_lstm", CHAMPION)
    assert Registry(storage, "tiny").is_intact(CHAMPION)
    assert Registry(storage, "tiny").load(panel, CHAMPION).name == "stacked_lstm"
    assert len(read_tally(storage, "tiny")) > 0
    record = read_run_record(storage, "tiny")
    assert record is not None
    assert record.forecast_id == LAST_ID
    assert assess(panel, storage, NOW).as_of == "2026-10-29"
    memory = Memory.model_validate_json(storage.get("sources/tiny.json"))
    assert memory.offered is not None
    assert memory.offered.rows == 598


def test_the_first_night_trains_nothing_and_finds_or_continues_what_is_published(panel: Panel) -> None:
    storage = store_of(panel)
    same = night(panel, storage)
    assert same.manifest.forecast_id == LAST_ID
    assert reader.history("tiny", "AAA", storage.uri).groupby("as_of").size().to_list() == [5, 5]
    prices_to(Path(panel.source.uri).parent, 30)
    following = night(panel, storage)
    assert (following.is_new, following.manifest.as_of) == (True, "2026-10-30")
    assert following.manifest.model_version == CHAMPION
    assert len(DecisionLog(storage, "tiny").all()) == 1
    assert reader.history("tiny", "AAA", storage.uri).groupby("as_of").size().to_list() == [5, 5, 5]
    assert read_tally(storage, "tiny")["as_of"].nunique() == 2


def test_a_new_version_publishes_a_date_again_under_its_own_id_and_going_back_loses_nothing(
    panel: Panel, become: Callable[[str], None]
) -> None:
    storage = store_of(panel)
    prices_to(Path(panel.source.uri).parent, 30)
    old = night(panel, storage).manifest
    become("9.9.9")
    new = night(panel, storage)
    assert (new.is_new, new.manifest.as_of, new.manifest.model_version) == (True, "2026-10-30", CHAMPION)
    assert new.manifest.forecast_id != old.forecast_id
    assert reader.latest("tiny", storage.uri).attrs["forecast_id"] == new.manifest.forecast_id
    become(old.package_version)
    back = night(panel, storage)
    assert (back.is_new, back.manifest.forecast_id) == (False, old.forecast_id)
    assert reader.latest("tiny", storage.uri).attrs["forecast_id"] == old.forecast_id
    of_the_date = reader.as_of("tiny", "2026-10-30", storage.uri)
    assert of_the_date.attrs["forecast_id"] == new.manifest.forecast_id  # published later, so it counts
    prices_to(Path(panel.source.uri).parent, 31)
    following = night(panel, storage).manifest
    assert reader.latest("tiny", storage.uri).attrs["forecast_id"] == following.forecast_id
    assert len(DecisionLog(storage, "tiny").all()) == 1


def backup_commands() -> list[str]:
    """The two commands of the page that copy a store, in their order."""
    block = re.search(r"```sh\ncd store\n(tar .*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    return block[1].replace("\\\n", "").splitlines()


@pytest.mark.parametrize(("first", "second"), [(0, 9), (1, 4), (3, 5), (6, 99)])
def test_a_copy_made_while_a_night_runs_goes_on(
    panel: Panel, monkeypatch: pytest.MonkeyPatch, first: int, second: int
) -> None:
    """The commands run before the writes of these numbers, counted over a night; 0 is before the night."""
    folder, storage = Path(panel.source.uri).parent, store_of(panel)
    moments = dict(zip((first, second), backup_commands(), strict=True))
    written = 0

    def copy_at(moment: int) -> None:
        if moment in moments:
            subprocess.run(["bash", "-c", moments.pop(moment)], cwd=folder / "store", check=True)  # noqa: S607

    put = Storage.put

    def slowly(self: Storage, path: str, data: bytes, **options: bool) -> None:
        nonlocal written
        written += 1
        copy_at(written)
        put(self, path, data, **options)

    prices_to(folder, 30)
    copy_at(0)
    monkeypatch.setattr(Storage, "put", slowly)
    during = night(panel, storage).manifest
    monkeypatch.setattr(Storage, "put", put)
    for moment in sorted(moments):
        copy_at(moment)

    (folder / "restored").mkdir()
    subprocess.run(["tar", "-xf", "store/backup.tar", "-C", "restored"], cwd=folder, check=True)  # noqa: S607
    restored = Storage(str(folder / "restored"))
    assert reader.latest("tiny", restored.uri).attrs["as_of"] in ("2026-10-29", "2026-10-30")
    again = night(panel, restored).manifest
    assert (again.as_of, again.forecast_id) == ("2026-10-30", during.forecast_id)
    prices_to(folder, 31)
    assert night(panel, restored).manifest.as_of == "2026-10-31"
    assert PriceTable(restored, "tiny").newest().num_rows == 2 * 301
    assert reader.history("tiny", "BBB", restored.uri)["as_of"].nunique() == 4
