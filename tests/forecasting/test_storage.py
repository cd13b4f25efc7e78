from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.errors import StoreError
from forecasting.storage import Storage, file_name


def test_what_is_put_is_got(storage: Storage) -> None:
    storage.put("a/b.txt", b"one")
    storage.put("a/b.txt", b"two")
    assert storage.get("a/b.txt") == b"two"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a/page.html", "text/html; charset=utf-8"),
        ("a/page.css", "text/css; charset=utf-8"),
        ("a/page.js", "text/javascript; charset=utf-8"),
        ("a/data.json", "application/json"),
        ("a/chart.png", "image/png"),
    ],
)
def test_s3_knows_what_browsers_need_to_know_of_an_object(
    s3_storage: Storage, name: str, content_type: str
) -> None:
    s3_storage.put(name, b"once")
    s3_storage.put_if(name, b"again", s3_storage.find_tagged(name)[1])
    found = obstore.get(s3_storage._objects, name)  # noqa: SLF001 - a reader of ours needs no content type
    assert found.attributes["Content-Type"] == content_type


def test_a_missing_object_is_none_to_find_and_an_error_to_get(storage: Storage) -> None:
    assert storage.find("none") is None
    with pytest.raises(StoreError, match="no object none in the store"):
        storage.get("none")


def test_put_new_leaves_what_is_there(storage: Storage) -> None:
    assert storage.put_new("a", b"one")
    assert not storage.put_new("a", b"two")
    assert storage.get("a") == b"one"


def test_put_if_writes_over_the_state_it_was_shown(storage: Storage) -> None:
    storage.put("a", b"one")
    _, tag = storage.find_tagged("a")
    assert storage.put_if("a", b"two", tag)
    assert storage.get("a") == b"two"


def test_put_if_absent_fails_where_something_is(storage: Storage) -> None:
    storage.put("a", b"one")
    assert not storage.put_if("a", b"two", None)


def test_put_if_fails_on_s3_when_the_object_has_changed(s3_storage: Storage) -> None:
    s3_storage.put("a", b"one")
    _, tag = s3_storage.find_tagged("a")
    s3_storage.put("a", b"changed meanwhile")
    assert not s3_storage.put_if("a", b"two", tag)
    assert s3_storage.get("a") == b"changed meanwhile"


def test_list_names_everything_below_a_folder(storage: Storage) -> None:
    for path in ("f/b", "f/a/c", "g"):
        storage.put(path, b"")
    assert storage.list("f") == ["f/a/c", "f/b"]
    assert storage.list("none") == []


def test_folders_names_those_right_below_and_no_object(storage: Storage) -> None:
    assert storage.folders("a") == []
    for path in ("a/file", "a/b=1/file", "a/b=1/deep/file", "a/b=2/file", "ab/file"):
        storage.put(path, b"x")
    assert storage.folders("a") == ["a/b=1", "a/b=2"]


def test_a_folder_with_a_space_and_a_percent_sign_works(tmp_path: Path) -> None:
    Storage(str(tmp_path / "my store%20")).put("a", b"one")
    assert (tmp_path / "my store%20" / "a").read_bytes() == b"one"


def test_a_store_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(StoreError, match=r"cannot open the store nope://x: .*; check --store"):
        Storage("nope://x")


def test_the_default_store_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTCAST_STORE", str(tmp_path / "elsewhere"))
    assert Storage().uri == str(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("unique_id", "name"),
    [("EURUSD", "EURUSD"), ("BRK/B", "BRK%2FB"), ("../x", "%2E.%2Fx"), (".", "%2E"), ("EUR=X", "EUR=X")],
)
def test_file_names_are_safe(unique_id: str, name: str) -> None:
    assert file_name(unique_id) == name


@given(st.lists(st.text(min_size=1), unique=True, max_size=20))
def test_file_names_are_one_to_one_and_stay_in_their_folder(ids: list[str]) -> None:
    names = [file_name(unique_id) for unique_id in ids]
    assert len(set(names)) == len(ids)
    assert not any("/" in name or "\\" in name or name.startswith(".") or len(name) > 200 for name in names)


def test_delete_removes_what_is_there_and_does_not_mind_what_is_not(storage: Storage) -> None:
    for path in ("f/a", "f/b c%.png", "g"):
        storage.put(path, b"")
    storage.delete(["f/a", "none", "f/b c%.png"])
    storage.delete([])
    assert storage.list("") == ["g"]


def test_a_local_folder_goes_with_its_last_object(local_storage: Storage) -> None:
    local_storage.put("f/a/b", b"")
    local_storage.delete(["f/a/b"])
    assert local_storage.local_root is not None
    assert list(local_storage.local_root.iterdir()) == []


def test_an_object_that_is_deleted_twice_at_once_is_gone(
    local_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("a", "b"):
        local_storage.put(path, b"")
    once = obstore.delete

    def overtaken(objects: object, paths: list[str]) -> None:
        monkeypatch.setattr("forecasting.storage.obstore.delete", once)
        once(local_storage._objects, ["a"])  # noqa: SLF001 - as another process would
        once(objects, paths)

    monkeypatch.setattr("forecasting.storage.obstore.delete", overtaken)
    local_storage.delete(["a", "b"])
    assert local_storage.list("") == []


def test_times_are_those_of_the_last_write(storage: Storage) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)  # S3 has whole seconds
    storage.put("f/a", b"")
    times = storage.list_times("f")
    assert list(times) == ["f/a"]
    assert before <= times["f/a"] <= datetime.now(UTC) + timedelta(seconds=2)


def test_names_are_those_right_in_a_folder(storage: Storage) -> None:
    for path in ("f/a/b", "f/a/c", "f/d.json", "g"):
        storage.put(path, b"")
    assert storage.names("f") == ("a", "d.json")
    assert storage.names("none") == ()


def test_a_store_that_must_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no store at .*typo; check .* NIGHTCAST_STORE"):
        Storage(str(tmp_path / "typo"), must_exist=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("s3_storage")
def test_a_bucket_that_must_exist_is_named() -> None:
    with pytest.raises(
        StoreError, match=r"cannot use the store s3://no-such-bucket/store: there is no such bucket; make it"
    ):
        Storage("s3://no-such-bucket/store", must_exist=True)
