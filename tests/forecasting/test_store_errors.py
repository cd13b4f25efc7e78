"""The faults of disks, networks and servers are one line in plain words, whichever library meets them."""

import errno
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake.exceptions import DeltaError
from obstore.exceptions import GenericError

from forecasting.errors import StoreError, StoreUnavailableError
from forecasting.prices.delta import find_table
from forecasting.publishing import reader
from forecasting.storage import Storage
from forecasting.store_errors import explain, faults_in_plain_words

S3_ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


# As the libraries say it.
FULL = "Generic LocalFileSystem error: Unable to copy data to file: No space left on device (os error 28)"
READ_ONLY = "Could not create local directory: /x\nError: Os { code: 30, kind: ReadOnlyFilesystem }"
DENIED = "Unable to create dir /x: Permission denied (os error 13)\n\nDebug source:\n{"
NO_BUCKET = "Error performing PUT\n<Error><Code>NoSuchBucket</Code></Error>"
FORBIDDEN = "Server returned error status 403 Forbidden: <Code>AccessDenied</Code>"
COLOURED = "Generic S3 error\n \x1b[31m\u21b3\x1b[0m Error performing GET x, after 3 retries\n"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "its disk is full; free some space"),
        (DeltaError(FULL), "its disk is full; free some space"),
        (DeltaError(READ_ONLY), "its file system is read-only"),
        (GenericError(DENIED), "permission denied; let the user "),
        (GenericError(NO_BUCKET), "there is no such bucket"),
        (GenericError(FORBIDDEN), "access is denied"),
        (OSError(COLOURED), "does not answer: Generic S3 error: Error performing GET x"),
        (
            OSError("after 5 retries - 503 Service Unavailable: "),
            "503 Service Unavailable; check the network",
        ),
        (TimeoutError(), "does not answer: TimeoutError"),
    ],
)
def test_a_fault_of_the_world_is_one_plain_line(error: Exception, words: str) -> None:
    with pytest.raises(StoreError) as told, faults_in_plain_words("s3://b"):
        raise error
    message = str(told.value)
    assert words in message
    assert "s3://b" in message
    assert "\x1b" not in message
    assert "\n" not in message


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "x"), DeltaError("Json error: EOF")])
def test_what_is_no_fault_of_the_world_passes(error: Exception) -> None:
    assert explain(error, "store") is None


LIMITED = """\
import resource, signal, sys
import numpy as np, pyarrow as pa
from forecasting.errors import StoreError
from forecasting.prices.quarantine import Quarantine
from forecasting.prices.schema import REFUSED
from forecasting.storage import Storage
storage, what = Storage(sys.argv[1]), sys.argv[2]
row = {field.name: pa.nulls(1, field.type) for field in REFUSED}
rows = pa.table({**row, "unique_id": pa.array(["A"])}, schema=REFUSED)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    if what == "object":
        storage.put("a/b", bytes(1000))
    Quarantine(storage, "p").add(rows, np.datetime64(0, "us"))
except StoreError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit on the size of files")
@pytest.mark.parametrize("what", ["object", "table"])
def test_a_file_that_may_not_grow_is_told_and_leaves_nothing_behind(tmp_path: Path, what: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "store"), what],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.splitlines()[0].endswith("a file may not grow that large; see: ulimit -f")
    assert not list((tmp_path / "store").rglob("*b*#*"))


FORBIDDEN_FOLDER = """\
import os, sys
from forecasting.errors import StoreError
from forecasting.publishing import reader
from forecasting.storage import Storage
os.chmod(sys.argv[1], 0)
if os.geteuid() == 0:  # who may do anything
    os.seteuid(65534)
for use in (lambda: Storage(sys.argv[1] + "/store"), lambda: reader.latest("p", sys.argv[1] + "/store")):
    try:
        use()
    except StoreError as error:
        print(error)
"""


def test_a_folder_that_is_forbidden_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "forbidden"
    folder.mkdir()
    tmp_path.chmod(0o755)
    ran = subprocess.run(
        [sys.executable, "-c", FORBIDDEN_FOLDER, str(folder)], capture_output=True, text=True, check=True
    )
    folder.chmod(0o755)
    lines = ran.stdout.splitlines()
    assert len(lines) == 2
    assert all("permission denied; let the user " in line for line in lines)


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"cannot use the store .*; check --store"):
        Storage(str(tmp_path / "file" / "store"))


def test_a_server_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**S3_ENVIRONMENT, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(name, value)
    storage = Storage("s3://bucket/store")
    for use in (storage.list, storage.find, lambda path: find_table(storage, path)):
        with pytest.raises(StoreUnavailableError, match=r"^the store s3://bucket/store\S* does not answer: "):
            use("prices/p")
    with pytest.raises(StoreUnavailableError):
        reader.latest("p", "s3://bucket/store")


@pytest.mark.usefixtures("s3_storage")
def test_a_missing_bucket_is_told() -> None:
    storage = Storage("s3://no-such-bucket/store")
    for use in (storage.list, storage.find, lambda path: storage.put(path, b"x")):
        with pytest.raises(StoreError, match="s3://no-such-bucket/store: there is no such bucket"):
            use("latest/p.json")
    with pytest.raises(StoreError, match="there is no such bucket"):
        reader.latest("p", storage.uri)
