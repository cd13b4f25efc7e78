import json
from pathlib import Path
from typing import Any

import pytest

from forecasting.digests import digest_bytes
from forecasting.errors import StoreError
from forecasting.panel import Panel
from forecasting.publishing import publish
from forecasting.publishing.address import FORECAST, MANIFEST, REPORT, ForecastAddress, as_of_folder
from forecasting.publishing.manifest import Manifest
from forecasting.storage import Storage


def publish_one(
    storage: Storage,
    as_of: str = "2026-10-30",
    forecast_id: str = "id1",
    known_at: str = "2026-10-31T06:00:00Z",
    provisional: str | None = None,
    origin: str = "live",
) -> dict[str, Any]:
    address = ForecastAddress("fx", as_of, forecast_id)
    storage.put(address.path(FORECAST), f"forecast {forecast_id}".encode())
    storage.put(address.path(REPORT), b"<html>")
    record = {"known_at": known_at, "provisional": provisional, "origin": origin}
    return publish.commit(storage, Manifest.of(address, **record))


def pointer(storage: Storage) -> dict[str, Any]:
    return json.loads(storage.get("latest/fx.json"))


def test_the_manifest_names_the_digest_of_every_object(storage: Storage) -> None:
    manifest = publish_one(storage)
    assert manifest.objects == {FORECAST: digest_bytes(b"forecast id1"), REPORT: digest_bytes(b"<html>")}


def test_a_folder_without_a_manifest_is_not_a_forecast(storage: Storage) -> None:
    address = ForecastAddress("fx", "2026-10-30", "id1")
    storage.put(address.path(FORECAST), b"half a night's work")
    assert publish.find_manifest(storage, address) is None
    assert publish.find_published(storage, as_of_folder("fx", "2026-10-30")) == []


def test_nothing_is_committed_without_a_forecast(storage: Storage) -> None:
    with pytest.raises(
        StoreError, match=r"has no forecast\.parquet, so there is nothing to publish; run: nightcast run fx"
    ):
        publish.commit(storage, Manifest.of(ForecastAddress("fx", "2026-10-30", "id1"), known_at="x"))


def test_the_command_for_a_damaged_forecast_names_the_panels_folder(storage: Storage, tmp_path: Path) -> None:
    file = tmp_path / "my panels" / "fx.toml"
    file.parent.mkdir()
    file.write_text('name = "fx"\n[source]\nuri = "x.csv"\n', encoding="utf-8")
    published = publish_one(storage)
    storage.put(published.address.path(FORECAST), b"junk")
    with pytest.raises(StoreError) as error:
        publish.point_latest(storage, published, Panel.load(file))
    assert str(error.value).endswith(f"--panels '{file.parent}'")


def test_committing_again_keeps_the_first_manifest(storage: Storage) -> None:
    first = publish_one(storage)
    assert publish_one(storage, known_at="2027-01-01T00:00:00Z") == first


@pytest.mark.parametrize(("name", "junk"), [(FORECAST, b"junk"), (MANIFEST, b"")])
def test_a_damaged_forecast_is_made_again(storage: Storage, name: str, junk: bytes) -> None:
    address = ForecastAddress("fx", "2026-10-30", "id1")
    publish_one(storage)
    storage.put(address.path(name), junk)
    assert publish.find_manifest(storage, address) is None
    if name == MANIFEST:
        assert publish.find_published(storage, as_of_folder("fx", "2026-10-30")) == []
    again = publish_one(storage)
    assert publish.find_manifest(storage, address) == again
    assert publish.point_latest(storage, again)


def test_an_object_beside_the_forecast_that_is_damaged_is_made_again(storage: Storage) -> None:
    first = publish_one(storage)
    address = first.address
    assert publish.find_whole(storage, address) == first
    storage.put(address.path(REPORT), b"<htmm>")
    assert publish.find_manifest(storage, address) == first
    assert publish.find_whole(storage, address) is None
    publish_one(storage, known_at="2027-01-01T00:00:00Z")
    assert publish.find_whole(storage, address) == first
    storage.put(address.path(REPORT), b"<html>, as a newer version writes it")
    mended = publish.commit(storage, first)
    assert (mended.digest, mended.published_at) == (first.digest, first.published_at)
    assert publish.find_whole(storage, address) == mended


def test_a_pointer_whose_date_a_flipped_bit_moved_is_replaced(storage: Storage) -> None:
    publish.point_latest(storage, publish_one(storage))
    storage.put("latest/fx.json", storage.get("latest/fx.json").replace(b'"2026-10-30"', b'"2826-10-30"'))
    assert publish.point_latest(storage, publish_one(storage, "2026-11-02", "id2"))
    assert (pointer(storage)["as_of"], storage.get("latest/fx.parquet")) == ("2026-11-02", b"forecast id2")


def test_a_forecast_made_again_with_other_bytes_is_shown_with_its_new_digest(storage: Storage) -> None:
    publish.point_latest(storage, publish_one(storage))
    address = ForecastAddress("fx", "2026-10-30", "id1")
    storage.put(address.path(FORECAST), b"the same forecast, as a newer pyarrow writes it")
    assert publish.find_manifest(storage, address) is None
    again = publish.commit(storage, Manifest.of(address, known_at="2026-10-31T06:00:00Z"))
    assert publish.point_latest(storage, again)
    digest = digest_bytes(b"the same forecast, as a newer pyarrow writes it")
    assert (again.digest, pointer(storage)["sha256"]) == (digest, digest)
    assert digest_bytes(storage.get("latest/fx.parquet")) == digest


def test_a_damaged_forecast_is_never_copied_to_latest(storage: Storage) -> None:
    publish.point_latest(storage, publish_one(storage))
    older = publish_one(storage, "2026-10-29", "id0")
    storage.put(pointer(storage)["path"], b"junk")
    storage.put("latest/fx.parquet", b"junk")
    with pytest.raises(StoreError, match=r"is damaged; run: nightcast run fx --as-of 2026-10-30"):
        publish.point_latest(storage, older)


def test_latest_is_a_copy_and_a_pointer_to_it(storage: Storage) -> None:
    assert publish.point_latest(storage, publish_one(storage))
    assert storage.get("latest/fx.parquet") == b"forecast id1"
    assert storage.get(pointer(storage)["path"]) == b"forecast id1"
    assert pointer(storage)["sha256"] == digest_bytes(b"forecast id1")


@pytest.mark.parametrize(
    ("as_of", "known_at", "shown"),
    [
        ("2026-10-29", "2026-11-30T06:00:00Z", "id1"),  # an older date, however late it was learnt
        ("2026-10-30", "2026-10-31T05:00:00Z", "id1"),  # the same date, from older knowledge
        ("2026-10-30", "2026-10-31T06:00:00Z", "id2"),  # the same knowledge, another model: the later run
        ("2026-10-30", "2026-10-31T07:00:00Z", "id2"),  # late data for the same date
        ("2026-11-02", "2026-10-31T05:00:00Z", "id2"),  # a later date
    ],
)
def test_the_pointer_moves_only_forward(storage: Storage, as_of: str, known_at: str, shown: str) -> None:
    publish.point_latest(storage, publish_one(storage))
    moved = publish.point_latest(storage, publish_one(storage, as_of, "id2", known_at))
    assert moved is (shown == "id2")
    assert pointer(storage)["forecast_id"] == shown
    assert storage.get("latest/fx.parquet") == f"forecast {shown}".encode()


def test_a_run_killed_between_copy_and_pointer_is_mended_by_the_next(storage: Storage) -> None:
    publish.point_latest(storage, publish_one(storage))
    newer = publish_one(storage, "2026-11-02", "id2")
    storage.put("latest/fx.parquet", b"forecast id2")
    assert pointer(storage)["forecast_id"] == "id1"
    publish.point_latest(storage, newer)
    assert pointer(storage)["forecast_id"] == "id2"


@pytest.mark.parametrize("junk", [b"", b"\xff", b"[]", b'{"as_of": "2026-10-30"}'])
def test_a_damaged_pointer_is_made_anew_to_the_latest_there_is(storage: Storage, junk: bytes) -> None:
    older = publish_one(storage, "2026-10-29", "id0")
    publish.point_latest(storage, publish_one(storage))
    storage.put("latest/fx.json", junk)
    with pytest.raises(
        StoreError, match=r"latest/fx.json is damaged: .* the next run replaces it: nightcast run fx"
    ):
        publish.find_pointer(storage, "fx")
    assert not publish.point_latest(storage, older)
    assert pointer(storage)["forecast_id"] == "id1"


def test_a_manifest_that_is_removed_meanwhile_is_not_among_them(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_one(storage)
    paths = storage.list("forecasts")
    publish_one(storage, "2026-10-29", "id0")
    monkeypatch.setattr(storage, "list", lambda _: [*paths, "forecasts/fx/as_of=x/id=gone/_manifest.json"])
    assert [manifest.forecast_id for _, manifest in publish.find_published(storage, "forecasts/fx")] == [
        "id1"
    ]


def test_a_loser_of_a_race_puts_the_winners_copy_back(storage: Storage) -> None:
    older = publish_one(storage, "2026-10-29", "id0")
    publish.point_latest(storage, publish_one(storage))
    storage.put("latest/fx.parquet", b"forecast id0")  # as the older one would, just before it loses
    assert not publish.point_latest(storage, older)
    assert storage.get("latest/fx.parquet") == b"forecast id1"


def test_of_two_publishers_at_once_the_later_forecast_wins_on_s3(
    s3_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish.point_latest(s3_storage, publish_one(s3_storage, "2026-10-28", "id0"))
    older, newer = publish_one(s3_storage, "2026-10-29", "id1"), publish_one(s3_storage, "2026-10-30", "id2")
    put_if = s3_storage.put_if

    def overtaken(path: str, data: bytes, tag: str | None) -> bool:
        monkeypatch.setattr(s3_storage, "put_if", put_if)
        publish.point_latest(s3_storage, newer)  # the other run, in the moment before our put
        return put_if(path, data, tag)

    monkeypatch.setattr(s3_storage, "put_if", overtaken)
    assert not publish.point_latest(s3_storage, older)
    assert pointer(s3_storage)["forecast_id"] == "id2"
    assert s3_storage.get("latest/fx.parquet") == b"forecast id2"


def test_the_manifest_is_plain_json_at_its_path(storage: Storage) -> None:
    publish_one(storage)
    path = f"forecasts/fx/as_of=2026-10-30/id=id1/{MANIFEST}"
    assert json.loads(storage.get(path))["forecast_id"] == "id1"


LATE = "the training was late"


def test_the_final_forecast_takes_the_place_of_a_provisional_one_and_keeps_it(storage: Storage) -> None:
    early = publish_one(storage, forecast_id="early", provisional=LATE)
    assert publish.point_latest(storage, early)
    assert pointer(storage)["provisional"] == LATE
    assert publish.point_latest(storage, publish_one(storage, forecast_id="final"))
    assert "provisional" not in pointer(storage)
    later = publish_one(storage, forecast_id="later", known_at="2026-11-01T06:00:00Z", provisional=LATE)
    assert not publish.point_latest(storage, early)
    assert not publish.point_latest(storage, later)
    assert storage.get("latest/fx.parquet") == b"forecast final"


def test_a_provisional_forecast_of_a_later_date_is_the_latest(storage: Storage) -> None:
    publish.point_latest(storage, publish_one(storage))
    assert publish.point_latest(storage, publish_one(storage, "2026-10-31", "early", provisional=LATE))


def test_of_one_date_a_final_forecast_counts_before_provisional_ones(storage: Storage) -> None:
    publish_one(storage, forecast_id="final")
    publish_one(storage, forecast_id="early", known_at="2026-11-01T06:00:00Z", provisional=LATE)
    found = publish.find_published(storage, as_of_folder("fx", "2026-10-30"))
    assert [manifest.forecast_id for _, manifest in found] == ["early", "final"]


def test_of_one_date_a_live_forecast_counts_before_a_backfilled_one_that_knew_more(storage: Storage) -> None:
    live, early = publish_one(storage), publish_one(storage, forecast_id="early", provisional=LATE)
    later = {"known_at": "2026-11-05T06:00:00Z", "origin": "backfill"}
    backfilled = publish_one(storage, forecast_id="backfilled", **later)
    found = publish.find_published(storage, as_of_folder("fx", "2026-10-30"))
    assert [manifest.forecast_id for _, manifest in found] == ["early", "backfilled", "id1"]
    shown = [publish.point_latest(storage, one) for one in (early, backfilled, early, live, backfilled)]
    assert shown == [True, True, False, True, False]
    assert pointer(storage)["origin"] == "live"
