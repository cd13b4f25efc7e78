"""Records that version 0.1.0 wrote are read, and what is read is checked."""

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from forecasting.models.registry import ModelMetadata
from forecasting.operations.run_record import RunRecord
from forecasting.publishing.decisions import Decision
from forecasting.publishing.manifest import Manifest, Pointer, Published
from forecasting.records import AsOf, Instant, Record, instant_of, seal

OLD = Path(__file__).parent / "records_of_0_1_0"
KINDS = {
    "manifest": Manifest,
    "decision": Decision,
    "decision_untested": Decision,
    "model_metadata": ModelMetadata,
    "pointer": Pointer,
    "run_record": RunRecord,
}


def old(name: str) -> dict[str, Any]:
    return json.loads((OLD / f"{name}.json").read_text())


@pytest.mark.parametrize("name", KINDS)
def test_a_record_of_version_0_1_0_is_read_and_keeps_every_value(name: str) -> None:
    record = KINDS[name].from_json((OLD / f"{name}.json").read_bytes())
    assert known(json.loads(record.to_json()), old(name)) == old(name)


def known(written: Any, before: Any) -> Any:
    """What was `written`, without the fields that later versions added to `before`."""
    if isinstance(before, dict):
        return {key: known(written[key], value) for key, value in before.items() if key in written}
    return written


def test_what_readers_need_of_an_old_manifest_is_read() -> None:
    published = Published.from_record(old("manifest"))
    assert (published.as_of, published.model, published.is_final) == ("2026-10-30", "ewma_walk", True)
    assert published.digest == "3c691663580acab94d939c4f2c9855e61986fb929f86e207368c33760591f386"


def test_an_old_verdict_is_read_whole() -> None:
    verdict = Decision.from_record(old("decision")).verdict
    assert verdict is not None
    assert verdict.score is not None
    assert verdict.score.candidate == "ewma_walk"
    assert verdict.duels[-1].lost
    assert verdict.series["EURAUD"].windows == 17


@dataclass(frozen=True)
class Example(Record):
    as_of: AsOf
    at: Instant
    count: int = 1


GOOD = {"as_of": "2026-10-30", "at": "2026-10-30T06:00:00+00:00"}


def test_unknown_fields_are_ignored_and_absent_ones_have_their_defaults() -> None:
    assert Example.from_record(GOOD | {"more": 1}) == Example(**GOOD, count=1)


@pytest.mark.parametrize(
    "change",
    [
        {"as_of": "2026-13-01"},
        {"as_of": "yesterday"},
        {"as_of": 20261030},
        {"at": "soon"},
        {"at": "2026-10-30T06:00:00"},
        {"at": None},
        {"count": "many"},
    ],
)
def test_a_value_of_another_kind_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        Example.from_record(GOOD | change)


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b"3", b"{}", b"\xff\xfe"])
def test_what_is_no_record_is_refused(junk: bytes) -> None:
    with pytest.raises(ValueError, match="Example"):
        Example.from_json(junk)


def test_no_flipped_bit_of_a_record_changes_what_is_read() -> None:
    record = Example.from_record(GOOD)
    data = record.to_json()
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with suppress(ValueError):
            assert Example.from_json(bytes(flipped)) == record


@pytest.mark.parametrize("field", ["at", "as_of"])
def test_an_unsealed_record_is_not_dated_later_than_the_clock(field: str) -> None:
    later = GOOD | {field: GOOD[field].replace("2026", "2826")}
    with pytest.raises(ValueError, match=f"no Example: {field}: .*lies in the future"):
        Example.from_json(json.dumps(later).encode())
    assert Example.from_json(seal(later)).to_record() == Example.from_record(later).to_record()


def test_an_instant_is_aware() -> None:
    assert instant_of("2026-10-30T06:00:00Z") == datetime(2026, 10, 30, 6, tzinfo=UTC)
