from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.errors import StoreError
from forecasting.storage import Storage, file_name


def test_what_is_put_is_got(storage: Storage) -> None:
    storage.put("a/b.txt", b"one")
    storage.put("a/b.txt", b"two")
    assert storage.get("a/b.txt") == b"two"


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
