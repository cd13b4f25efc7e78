from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from forecasting.errors import ModelError
from forecasting.panel import Panel
from forecasting.prices.ingest import ingest
from forecasting.prices.snapshot import take_snapshot
from forecasting.progress import silent
from forecasting.publishing import publish
from forecasting.publishing.address import FORECAST, ForecastAddress
from forecasting.publishing.decisions import Decision, DecisionLog
from forecasting.publishing.manifest import Manifest
from forecasting.selection.challenger import load_decision, plan_training, retrain, retrain_reason
from forecasting.selection.promotion import list_versions, plan_rollback, promote, rollback
from forecasting.storage import Storage
from tests.workshop import Workshop

NOW = datetime(2026, 11, 20, 6, tzinfo=UTC)


@pytest.fixture
def panel(tiny_panel: Path, local_storage: Storage) -> Panel:
    """A panel whose prices, up to 2026-10-30, are in the store."""
    panel = Panel.load(tiny_panel)
    ingest(panel, local_storage, np.datetime64(NOW.replace(tzinfo=None), "us"))
    return panel


def train(panel: Panel, storage: Storage, as_of: str) -> Decision:
    snapshot = take_snapshot(panel, storage, as_of, NOW)
    return retrain(panel, storage, snapshot, plan_training(panel, storage, snapshot), silent)


def show(storage: Storage, as_of: str) -> None:
    """Make a forecast for that `as_of` the latest one."""
    address = ForecastAddress("tiny", as_of, "id1")
    storage.put(address.path(FORECAST), b"a forecast")
    publish.point_latest(
        storage, publish.commit(storage, Manifest.of(address, known_at="2026-11-01T00:00:00Z"))
    )


def is_due(panel: Panel, storage: Storage, as_of: str) -> bool:
    plan = plan_training(panel, storage, take_snapshot(panel, storage, as_of, NOW))
    return retrain_reason(panel, storage, as_of, plan) is not None


@pytest.fixture
def trained(panel: Panel, local_storage: Storage, workshop: Workshop) -> tuple[str, str, str]:
    """Three versions: the first published, then the second; the gate refused the third on 2026-10-24."""
    first, second = (train(panel, local_storage, f"2026-10-{day}") for day in (10, 17))
    workshop.shift = 30
    third = train(panel, local_storage, "2026-10-24")
    assert (second.version, third.version) == (second.challenger, second.version)
    return first.version, second.version, third.challenger


def test_the_list_tells_what_is_known_of_each_version(
    panel: Panel, local_storage: Storage, trained: tuple[str, str, str]
) -> None:
    local_storage.put("models/tiny/broken/model.keras", b"half")
    broken, *versions = list_versions(panel, local_storage)
    assert (broken.version, broken.is_whole, broken.training_end) == ("broken", False, "")
    assert [one.version for one in versions] == list(trained)
    assert [one.training_end[:10] for one in versions] == ["2026-08-11", "2026-08-18", "2026-08-25"]
    assert [one.publishes for one in versions] == [False, True, False]
    assert [one.is_best for one in versions] == [True, False, False]
    # The last decision tested the first two again, as best on record and as champion.
    assert [one.judged_as_of for one in versions] == ["2026-10-24"] * 3
    skills = [one.skill for one in versions]
    assert skills[0] is not None
    assert skills[2] is not None
    assert skills[0] > 0 > skills[2]


def test_a_promoted_version_publishes_until_the_next_challenger_is_due(
    panel: Panel, local_storage: Storage, trained: tuple[str, str, str]
) -> None:
    made = promote(panel, local_storage, trained[2], "the desk wants it.")
    assert made.reason == "Promoted by hand: the desk wants it."
    assert load_decision(panel, local_storage, "2026-10-24") == made
    assert (made.version, made.model, made.best) == (trained[2], "stacked_lstm", trained[2])
    assert "due after 2026-10-31" in made.next_step
    assert not is_due(panel, local_storage, "2026-10-30")


def test_a_promotion_does_not_put_off_the_next_challenger(
    panel: Panel, local_storage: Storage, trained: tuple[str, str, str]
) -> None:
    show(local_storage, "2026-10-30")
    made = promote(panel, local_storage, trained[0])
    assert (made.as_of, made.trained_for) == ("2026-10-30", "2026-10-24")
    log = DecisionLog(local_storage, "tiny")
    log.append(replace(made, as_of="2026-10-30", trained_for="2026-10-20"))
    assert is_due(panel, local_storage, "2026-10-30")


def test_a_promoted_version_meets_the_next_challenger_as_champion(
    panel: Panel, local_storage: Storage, trained: tuple[str, str, str], workshop: Workshop
) -> None:
    promote(panel, local_storage, trained[0])
    workshop.shift = 20
    decision = train(panel, local_storage, "2026-10-30")
    assert decision.version == trained[0]
    assert decision.verdict.versions["champion"] == trained[0]
    assert "best" not in decision.verdict.versions


def test_what_a_person_decided_is_not_undone_by_training_the_same_again(
    panel: Panel, local_storage: Storage, trained: tuple[str, str, str]
) -> None:
    made = promote(panel, local_storage, trained[2])
    assert train(panel, local_storage, "2026-10-24") == made


def test_a_past_date_neither_knows_of_a_promotion_nor_moves_it(
    panel: Panel, local_storage: Storage, trained: tuple[str, str, str], workshop: Workshop
) -> None:
    show(local_storage, "2026-10-29")
    made = promote(panel, local_storage, trained[0])
    workshop.shift = 0
    assert load_decision(panel, local_storage, "2026-10-28").version == trained[1]
    past = train(panel, local_storage, "2026-10-26")
    assert past.verdict.versions["champion"] == trained[1]
    assert load_decision(panel, local_storage, "2026-10-28") == past
    assert load_decision(panel, local_storage, "2026-10-30") == made


def test_a_rollback_leads_to_what_published_before_and_a_second_one_back(
    panel: Panel, local_storage: Storage, trained: tuple[str, str, str]
) -> None:
    back = rollback(panel, local_storage, "looks odd")
    assert (back.version, back.as_of, back.by_hand) == (trained[0], "2026-10-24", True)
    assert back.reason == "Rolled back by hand to what was decided as of 2026-10-10: looks odd."
    assert back.verdict.dates == 6
    assert load_decision(panel, local_storage, "2026-10-24") == back
    assert rollback(panel, local_storage).version == trained[1]


def test_a_rollback_may_lead_to_the_baseline_that_stood_in(
    panel: Panel, local_storage: Storage, workshop: Workshop
) -> None:
    workshop.shift = 30
    stood_in = train(panel, local_storage, "2026-10-10").model
    workshop.shift = 0
    assert train(panel, local_storage, "2026-10-20").model == "stacked_lstm"
    assert rollback(panel, local_storage).model == stood_in


def test_a_rollback_passes_over_what_a_run_for_a_past_date_decided(
    panel: Panel, local_storage: Storage, workshop: Workshop
) -> None:
    first, second = (train(panel, local_storage, f"2026-10-{day}") for day in (10, 20))
    past = train(panel, local_storage, "2026-10-15")
    assert len(workshop.trained) == 3
    assert past.version not in {first.version, second.version}
    planned = plan_rollback(panel, local_storage)
    assert (planned.as_of, planned.version) == ("2026-10-20", first.version)
    assert DecisionLog(local_storage, "tiny").all()[-1] == second  # nothing is written yet
    assert rollback(panel, local_storage).version == first.version


def test_a_rollback_needs_something_to_go_back_to(
    panel: Panel, local_storage: Storage, workshop: Workshop
) -> None:
    version = train(panel, local_storage, "2026-10-10").version
    assert workshop.trained
    with pytest.raises(ModelError, match=f"tiny has only ever published live with stacked_lstm {version}; "):
        rollback(panel, local_storage)


def test_what_cannot_publish_is_refused(
    panel: Panel, local_storage: Storage, trained: tuple[str, str, str]
) -> None:
    before = local_storage.list("models/tiny/promotions")
    with pytest.raises(
        ModelError,
        match=r"panel tiny has no model nope; to list the models, run: nightcast models .* --store ",
    ):
        promote(panel, local_storage, "nope")
    other = panel.model_copy(update={"model": panel.model.model_copy(update={"seed": 1})})
    with pytest.raises(ModelError, match="was made with other settings than panel tiny has now"):
        promote(other, local_storage, trained[0])
    local_storage.put(f"models/tiny/{trained[0]}/model.keras", b"half")
    with pytest.raises(ModelError, match="is damaged or not whole; choose another"):
        promote(panel, local_storage, trained[0])
    with pytest.raises(ModelError, match="is damaged or not whole; choose another"):
        rollback(panel, local_storage)
    assert local_storage.list("models/tiny/promotions") == before


def test_a_panel_that_never_ran_has_nothing_to_promote(panel: Panel, local_storage: Storage) -> None:
    assert list_versions(panel, local_storage) == []
    with pytest.raises(
        ModelError, match=r"panel tiny has no model yet; run: nightcast run tiny --store .* --panels "
    ):
        promote(panel, local_storage, "a")
