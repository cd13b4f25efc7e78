import json

import pytest

from forecasting.errors import ModelError
from forecasting.evaluation.verdict import Verdict
from forecasting.publishing.decisions import Decision, DecisionLog
from forecasting.storage import Storage

VERDICT = Verdict(
    "stacked_lstm", "stacked_lstm", "stacked_lstm", "because", gated=True, training_end="2026-01-01"
)


def decision(as_of: str, version: str, decided_at: str = "2026-10-30T06:00:00.000000+00:00") -> Decision:
    return Decision(
        as_of=as_of,
        decided_at=decided_at,
        challenger=version,
        model="stacked_lstm",
        version=version,
        settings="s",
        reason="because",
        verdict=VERDICT,
    )


def test_a_decision_is_read_back_as_it_was_made(storage: Storage) -> None:
    made = decision("2026-10-30", "a")
    DecisionLog(storage, "fx").append(made)
    assert DecisionLog(storage, "fx").standing("2026-10-30") == made


def test_a_panel_without_a_decision_has_none(storage: Storage) -> None:
    assert DecisionLog(storage, "fx").standing("2026-10-30") is None


def test_the_champion_at_a_date_is_what_was_decided_by_then(storage: Storage) -> None:
    log = DecisionLog(storage, "fx")
    log.append(decision("2026-10-30", "new"))
    log.append(decision("2026-10-01", "old", "2026-11-05T06:00:00.000000+00:00"))  # backfilled later
    found = {day: log.standing(day) for day in ("2026-09-30", "2026-10-01", "2026-10-29", "2026-11-30")}
    assert {day: known.version if known else None for day, known in found.items()} == {
        "2026-09-30": None,
        "2026-10-01": "old",
        "2026-10-29": "old",
        "2026-11-30": "new",
    }


def test_of_two_decisions_for_a_date_the_later_one_stands(storage: Storage) -> None:
    log = DecisionLog(storage, "fx")
    log.append(decision("2026-10-30", "b", "2026-10-30T08:00:00.000000+00:00"))
    log.append(decision("2026-10-30", "a", "2026-10-30T09:00:00.000000+00:00"))
    stands = log.standing("2026-10-30")
    assert stands is not None
    assert stands.version == "a"


def test_two_decisions_for_a_date_at_the_same_instant_are_both_kept_and_the_later_one_stands(
    storage: Storage,
) -> None:
    log = DecisionLog(storage, "fx")
    made = [log.append(decision("2026-10-30", version)) for version in ("b", "a", "a")]
    assert [one.decided_at[-15:-6] for one in made] == ["00.000000", "00.000001", "00.000002"]
    assert log.all() == made
    assert log.standing("2026-10-30") == made[-1]


def test_a_decision_made_by_a_clock_that_is_behind_stands_all_the_same(storage: Storage) -> None:
    log = DecisionLog(storage, "fx")
    log.append(decision("2026-10-30", "a", "2026-10-30T09:00:00.000000+00:00"))
    behind = log.append(decision("2026-10-30", "b", "2026-10-30T08:00:00.000000+00:00"))
    assert behind.decided_at == "2026-10-30T09:00:00.000001+00:00"
    assert log.standing("2026-10-30") == behind


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b"3", b"{}", b"\xff\xfe"])
def test_a_damaged_decision_is_named_with_what_to_do(local_storage: Storage, junk: bytes) -> None:
    log = DecisionLog(local_storage, "fx")
    log.append(decision("2026-10-01", "old"))
    local_storage.put("models/fx/promotions/2026-10-30_x_y.json", junk)
    with pytest.raises(
        ModelError, match=r"promotions/2026-10-30_x_y\.json is damaged: it holds no decision; remove it"
    ):
        log.standing("2026-10-30")
    assert log.standing("2026-10-29") is not None


def test_a_decision_of_an_earlier_nightcast_is_read(local_storage: Storage) -> None:
    made = decision("2026-10-30", "a")
    kept = {
        name: made.to_record()[name] for name in ("as_of", "decided_at", "challenger", "model", "version")
    }
    record = {**kept, "settings": "s", "reason": "because", "verdict": VERDICT.to_record(), "more": 1}
    local_storage.put("models/fx/promotions/2026-10-30_x_a.json", json.dumps(record).encode())
    assert DecisionLog(local_storage, "fx").standing("2026-10-30") == made
