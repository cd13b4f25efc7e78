from typing import Any

import pytest

from forecasting.errors import ModelError
from forecasting.models.registry import Registry
from forecasting.operations import model_retention
from forecasting.publishing.address import MANIFEST
from forecasting.storage import Storage
from tests.shelf import NOW, Shelf, decision_of, panel_of, verdict_of


@pytest.fixture
def shelf(local_storage: Storage) -> Shelf:
    return Shelf(panel_of(model_days=180), local_storage)


def clear(shelf: Shelf) -> list[str]:
    found = model_retention.removable_versions(shelf.panel, shelf.storage, NOW)
    removed = [one for one in found if model_retention.remove_version(shelf.panel, shelf.storage, one, NOW)]
    return [one.folder.rsplit("/", 1)[1] for one in removed]


def test_a_version_of_long_ago_that_nothing_names_goes_whole(storage: Storage) -> None:
    shelf = Shelf(panel_of(model_days=180), storage)
    shelf.version("old", 181)
    shelf.version("young", 179)
    assert clear(shelf) == ["old"]
    assert shelf.registry.versions() == ["young"]
    assert shelf.registry.is_intact("young")


@pytest.mark.parametrize(
    "facts",
    [
        {"model_version": "old"},
        {"decision": decision_of(version="old")},
        {"decision": decision_of(version="1.0", best="old")},
        {"decision": decision_of(challenger="old")},
        {"decision": decision_of(verdict=verdict_of(champion="old"))},
    ],
)
def test_what_a_manifest_names_stays(shelf: Shelf, facts: dict[str, Any]) -> None:
    shelf.version("old", 500)
    shelf.forecast(400, "id1", **facts)
    assert clear(shelf) == []


def test_what_only_removed_forecasts_name_goes(shelf: Shelf) -> None:
    shelf.version("old", 500)
    address = shelf.forecast(400, "id1", model_version="old")
    shelf.forecast(0, "id2")
    gone = [model_retention.Removal("old forecast", address.folder, "")]
    (found,) = model_retention.removable_versions(shelf.panel, shelf.storage, NOW, without=gone)
    assert found.folder == "models/tiny/old"


def test_who_stands_at_the_oldest_forecast_and_since_stays(shelf: Shelf) -> None:
    for name, days in (("before", 900), ("then", 800), ("since", 600), ("now", 400)):
        shelf.version(name, days)
        shelf.decision(days, name)
    shelf.forecast(700, "oldest")
    shelf.forecast(0, "newest")
    assert clear(shelf) == ["before"]


def test_the_best_on_record_stays_while_a_baseline_publishes(shelf: Shelf) -> None:
    for name in ("best", "refused"):
        shelf.version(name, 500)
    shelf.decision(400, "1.0", best="best", model="ewma_walk")
    assert clear(shelf) == ["refused"]


def test_what_a_rollback_leads_back_to_stays(shelf: Shelf) -> None:
    for name, days in (("long ago", 900), ("before", 800), ("now", 700)):
        shelf.version(name, days)
        shelf.decision(days, name)
    shelf.forecast(0, "newest")
    assert clear(shelf) == ["long ago"]


def test_a_version_being_trained_stays(shelf: Shelf) -> None:
    shelf.storage.put("models/tiny/half/model.keras", b"a network")
    now = max(shelf.storage.list_times("models/tiny").values())
    assert model_retention.removable_versions(shelf.panel, shelf.storage, now) == []
    assert clear(shelf) == ["half"]  # two days later it was never finished


def test_damaged_metadata_has_the_age_of_the_file(shelf: Shelf) -> None:
    shelf.version("damaged", 500)
    shelf.storage.put("models/tiny/damaged/metadata.json", b"{}")
    assert clear(shelf) == ["damaged"]


def test_one_that_is_promoted_in_the_middle_stays(shelf: Shelf) -> None:
    for name, days in (("old", 500), ("now", 10)):
        shelf.version(name, days)
    shelf.decision(10, "now")
    (removal,) = model_retention.removable_versions(shelf.panel, shelf.storage, NOW)
    shelf.decision(0, "old")
    assert not model_retention.remove_version(shelf.panel, shelf.storage, removal, NOW)
    assert shelf.registry.is_intact("old")


def test_a_damaged_decision_stops_it(shelf: Shelf) -> None:
    shelf.version("old", 500)
    shelf.storage.put("models/tiny/promotions/2099-01-01_x.json", b"?")
    with pytest.raises(ModelError, match="it holds no decision"):
        clear(shelf)


def test_a_version_killed_between_its_deletes_is_not_whole(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.version("old", 500)
    delete, whole = shelf.storage.delete, []

    def watched(paths: list[str]) -> None:
        delete(paths)
        whole.append(Registry(shelf.storage, "tiny").is_intact("old"))

    monkeypatch.setattr(shelf.storage, "delete", watched)
    assert clear(shelf) == ["old"]
    assert whole == [False, False]


def test_no_version_goes_while_a_manifest_is_damaged(local_storage: Storage) -> None:
    shelf = Shelf(panel_of(model_days=180), local_storage)
    shelf.version("old", 181)
    address = shelf.forecast(1, "damaged")
    whole = shelf.storage.get(address.path(MANIFEST))
    shelf.storage.put(address.path(MANIFEST), b"junk")
    assert clear(shelf) == []
    shelf.storage.put(address.path(MANIFEST), whole)
    assert clear(shelf) == ["old"]
