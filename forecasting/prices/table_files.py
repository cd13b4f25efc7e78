"""The files of a Delta table: their digests, and which of them are damaged.

Neither the log of a Delta table nor its Parquet files have checksums: a flipped bit changes prices in
silence. Beside each table the store therefore keeps the SHA-256 of the table's files, in
`checksums/<kind>/<panel>.json`. It is written after each commit. A writer that is killed in between leaves
files without a digest; the next writer adds it.
"""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from forecasting.errors import first_line
from forecasting.parquet import table_from_bytes
from forecasting.records import Record
from forecasting.storage import Storage
from forecasting.store_errors import faults_in_plain_words

_log = logging.getLogger(__name__)

_LOG = "_delta_log/"
_COMMIT = re.compile(rf"{_LOG}(\d{{20}})\.json")
_CHECKPOINT = re.compile(rf"{_LOG}(\d{{20}})\.checkpoint.*\.parquet")
_DIFFERS = "its digest differs from the recorded one"
_MISSING = "it is missing"


@dataclass(frozen=True)
class TableFiles(Record):
    """The SHA-256 of each file that a table rests on or rested on, by its path below the table's folder."""

    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Damage:
    """A damaged file of a table.

    Attributes:
        file: its path below the table's folder.
        why: what is wrong with it.
        torn: whether it has no digest, though other files have: a power cut tore the commit that wrote it.
    """

    file: str
    why: str
    torn: bool = False

    def __str__(self) -> str:
        return f"{self.file} ({self.why})"


def record_path(path: str) -> str:
    """Return where the digests of the table at `path` are."""
    return f"checksums/{path}.json"


def read_record(storage: Storage, path: str) -> TableFiles:
    """Return the recorded digests; none where there is no record, or a damaged one."""
    data = storage.find(record_path(path))
    try:
        return TableFiles.from_json(data) if data is not None else TableFiles()
    except ValueError:
        where = record_path(path)
        _log.warning("%s is damaged; the next commit to the table or maintenance writes it again", where)
        return TableFiles()


def remember_files(storage: Storage, path: str) -> None:
    """Sync the table's files that have no digest yet, record their digests, and forget files that are gone.

    Call this after each commit.
    """
    known, there = read_record(storage, path).files, _names(storage, path)
    kept = {name: digest for name, digest in known.items() if name in there}
    table = _open(storage, path)
    log = (name for name in there if _COMMIT.fullmatch(name) or _CHECKPOINT.fullmatch(name))
    new = [name for name in (*log, *_data_files(table)) if name not in kept]
    paths = [f"{path}/{name}" for name in new]
    storage.sync(paths)
    digests = zip(new, storage.digests(paths), strict=True)
    kept |= {name: digest for name, digest in digests if digest is not None}
    if kept != known:
        storage.put(record_path(path), TableFiles(kept).to_json())


def find_damage(storage: Storage, path: str) -> tuple[Damage, ...]:
    """Return the damaged files of the table at `path`: of its log, or else of its data. Reads every file.

    A file without a recorded digest is damaged if it is missing or cannot be read. A table whose folder is
    empty is not damaged: there is none.
    """
    known, there = read_record(storage, path).files, _names(storage, path)
    if not there:
        return ()
    found = _compare(storage, path, known, _log_files(known, there))
    if found:
        return found
    try:
        table = _open(storage, path)
    except DeltaError as error:
        return (Damage(_LOG.rstrip("/"), first_line(error)),)
    return _compare(storage, path, known, _data_files(table))


def whole_data_files(storage: Storage, path: str) -> list[str]:
    """Return the paths of the Parquet files below a table's folder that are whole, sorted.

    They are those of the newest version, those that a compaction replaced, and those of killed writers.
    """
    known = read_record(storage, path).files
    names = sorted(name for name in _names(storage, path) if _is_data(name))
    damaged = {damage.file for damage in _compare(storage, path, known, names)}
    return [f"{path}/{name}" for name in names if name not in damaged]


def _is_data(name: str) -> bool:
    return name.endswith(".parquet") and not name.startswith(_LOG)


def _open(storage: Storage, path: str) -> DeltaTable:
    uri = storage.table_uri(path)
    with faults_in_plain_words(uri):
        return DeltaTable(uri, storage_options=storage.table_options)


def _names(storage: Storage, path: str) -> set[str]:
    return {name.removeprefix(f"{path}/") for name in storage.list(path)}


def _data_files(table: DeltaTable) -> list[str]:
    return sorted(pa.table(table.get_add_actions(flatten=True))["path"].to_pylist())


def _log_files(known: dict[str, str], there: set[str]) -> list[str]:
    """The files of the log that the table's newest version is read from: a checkpoint and what follows."""
    names = {*known, *there}
    checkpoint = max((match[1] for name in there if (match := _CHECKPOINT.fullmatch(name))), default="")
    commits = [name for name in names if (match := _COMMIT.fullmatch(name)) and match[1] > checkpoint]
    checkpoints = [name for name in there if _CHECKPOINT.fullmatch(name) and checkpoint in name]
    return sorted([*commits, *checkpoints])


def _compare(storage: Storage, path: str, known: dict[str, str], names: Sequence[str]) -> tuple[Damage, ...]:
    digests = storage.digests([f"{path}/{name}" for name in names])
    found = []
    for name, digest in zip(names, digests, strict=True):
        if digest is None:
            found.append(Damage(name, _MISSING, torn=bool(known) and name not in known))
        elif name in known and digest != known[name]:
            found.append(Damage(name, _DIFFERS))
        elif name not in known and not _reads(name, storage.get(f"{path}/{name}")):
            found.append(Damage(name, "it cannot be read", torn=bool(known)))
    return tuple(found)


def _reads(name: str, data: bytes) -> bool:
    """Whether a Parquet file, or each line of a commit, can be read."""
    try:
        if name.endswith(".parquet"):
            table_from_bytes(data)
            return True
        return bool([json.loads(line) for line in data.splitlines()])
    except ValueError:
        return False
