"""Rot: damage every file that some nights leave, one at a time, and see what the next night says of it.

Run it all with `make soak`. Each damage must end in one of two ways: the next night mends it, or a line names
the file (of the night, of `status`, of a reader, or of maintenance).
"""

import logging
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from forecasting import night
from forecasting.as_of import to_instant
from forecasting.errors import NightcastError
from forecasting.operations.freshness import assess_all
from forecasting.operations.maintenance import maintain
from forecasting.operations.run_record import RunRecord, write_run_record
from forecasting.panel import Panel
from forecasting.publishing import reader
from forecasting.scoring.scorer import score_forecasts
from forecasting.storage import Storage
from tests.conftest import write_prices

SEED = 20261128
_LANES = 2
DAMAGES = ("gone", "empty", "cut", "flipped")
PANEL = """\
name = "tiny"
[source]
uri = "prices.csv"
[forecast]
horizon = 3
[audit]
min_bars = 40
adjust_splits = true
"""
_SPLIT = "2026-10-15"


@dataclass(frozen=True)
class Outcome:
    """What came of the damage of one file: `mended`, `named`, `passed over` or `silent`, and who named it."""

    file: str
    damage: str
    result: str
    line: str = ""


def make_nights(folder: Path) -> None:
    """Run three nights over a growing source into `folder/store`.

    One row of the source is refused. One series has a split whose past the source does not adjust.
    """
    folder.mkdir(exist_ok=True)
    (folder / "tiny.toml").write_text(PANEL, encoding="utf-8")
    panel = Panel.load(folder / "tiny.toml")
    for day in (28, 29, 30):
        _write_source(folder, day)
        _night(panel, Storage(str(folder / "store")))


def _write_source(folder: Path, day: int) -> None:
    source = folder / "prices.csv"
    write_prices(source, {"AAA": 80, "BBB": 80}, last=f"2026-10-{day}")
    rows = []
    for row in source.read_text().splitlines():
        name, ds, price = row.split(",")
        rows.append(f"{name},{ds},{float(price) / 2}" if name == "AAA" and ds >= _SPLIT else row)
    source.write_text("\n".join([*rows, "AAA,2026-10-01,nonsense", ""]))


def damage_and_run(nights: Path, file: str, damage: str) -> Outcome:
    """Damage one file of a copy of `nights`, and look what two more nights make of it.

    The first has no new prices, and the second has those of one more day. Maintenance follows.
    """
    with tempfile.TemporaryDirectory(dir=nights.parent) as copy:
        folder = Path(shutil.copytree(nights, Path(copy) / "nights"))
        panel, root = Panel.load(folder / "tiny.toml"), folder / "store"
        whole = reader.latest("tiny", str(root))
        hurt = root / file
        _hurt(hurt, damage)
        after = _content(hurt)
        storage = Storage(str(root))
        with _warnings() as lines:
            _run(panel, storage, lines)
            states = [_content(hurt)]
            same = reader.latest("tiny", str(root)).equals(whole)
            _write_source(folder, 31)
            _run(panel, storage, lines)
            states.append(_content(hurt))
            _write_source(folder, 30)
            lines.extend(_looks(panel, storage))
            states.append(_content(hurt))  # maintenance mends too
        if line := next((one for one in lines if _names(one, file)), ""):
            return Outcome(file, damage, "named", line)
        if same and any(state != after for state in states):
            return Outcome(file, damage, "mended")
        return Outcome(file, damage, "passed over" if is_passed_over(file, damage) else "silent")


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None


def _run(panel: Panel, storage: Storage, lines: list[str]) -> None:
    try:
        lines.extend(_night(panel, storage))
    except NightcastError as error:
        lines.append(str(error))


def is_passed_over(file: str, damage: str) -> bool:
    """Whether nobody is to notice this: see "Damaged files" in `docs/failures.md`.

    Charts of earlier dates are many, and only for people. A folder whose manifest is gone is that of a killed
    run, and a decision that is gone was never made.
    """
    is_chart = "/_charts/" in file
    return is_chart or (damage == "gone" and ("/_manifest.json" in file or "/promotions/" in file))


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """The lines that the library logs as warnings meanwhile."""
    lines: list[str] = []
    keeper = logging.Handler(logging.WARNING)
    keeper.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("forecasting").addHandler(keeper)
    try:
        yield lines
    finally:
        logging.getLogger("forecasting").removeHandler(keeper)


def _night(panel: Panel, storage: Storage) -> list[str]:
    """Run a night, and return what its forecast's findings and its scoring say."""
    done = night.run_night(panel, storage)
    report = score_forecasts(panel, storage, to_instant(datetime.now(UTC)))
    at = datetime.now(UTC).isoformat()
    write_run_record(storage, RunRecord(panel.name, "published", at, at, "run", done.manifest.as_of))
    return [*report.skipped, *(finding.detail for finding in done.manifest.findings)]


def _looks(panel: Panel, storage: Storage) -> list[str]:
    """What status, a reader of all dates and maintenance say."""
    assert panel.file is not None
    lines = [one.reason for one in assess_all(str(panel.file.parent), storage, datetime.now(UTC))]
    for look in (
        lambda: reader.history("tiny", "AAA", storage.uri),
        lambda: maintain(panel, storage, datetime.now(UTC)),
    ):
        try:
            look()
        except NightcastError as error:
            lines.append(str(error))
    return lines


def _names(line: str, file: str) -> bool:
    """Whether a line names the file, or the folder or table that it belongs to."""
    table = re.match(r"(prices|quarantine|splits|scores)/[^/]+", file)
    forecast = re.match(r"forecasts/.*/id=[^/]+", file)
    parts = [file, Path(file).name if table else file, *(match[0] for match in (table, forecast) if match)]
    return any(part in line for part in parts)


def _hurt(file: Path, damage: str) -> None:
    data = file.read_bytes()
    if damage == "gone":
        file.unlink()
        return
    choose = np.random.default_rng([SEED, len(data)])
    flipped = bytearray(data)
    if data:
        flipped[choose.integers(len(data))] ^= 1 << int(choose.integers(8))
    file.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "flipped": bytes(flipped)}[damage])


def files_of(folder: Path) -> list[str]:
    """The paths of all files below `folder/store`, sorted."""
    root = folder / "store"
    return sorted(str(file.relative_to(root)) for file in root.rglob("*") if file.is_file())


def kind_of(file: str) -> str:
    """A file's path without what differs between nights."""
    return re.sub(
        r"[0-9a-f]{8}-[0-9a-f-]{27}|as_of=[^/]+|id=[^/]+|[0-9a-f]{16}|\d{4,}|year=\d+|month=\d+", "*", file
    )


def main() -> None:
    """Damage every file in every way, in two processes; print a table with a row for each kind of file."""
    print(f"seed {SEED}", flush=True)
    # Spawned: the threads of the tables' libraries do not survive a fork.
    with tempfile.TemporaryDirectory() as temporary, get_context("spawn").Pool(_LANES) as lanes:
        nights = Path(temporary) / "nights"
        make_nights(nights)
        cases = [(nights, file, damage) for file in files_of(nights) for damage in DAMAGES]
        outcomes = lanes.starmap(damage_and_run, cases, chunksize=4)
    counts: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        counts.setdefault(kind_of(outcome.file), Counter())[outcome.result] += 1
    for kind, results in sorted(counts.items()):
        print(f"{kind:70} " + "  ".join(f"{result} {count}" for result, count in sorted(results.items())))
    bad = [f"{one.damage}: {one.file}" for one in outcomes if one.result == "silent"]
    print("\n".join(bad) or f"{len(outcomes)} damages: each heals or names itself")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
