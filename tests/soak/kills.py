"""Kills: SIGKILL in every stage of a night, at its writes and at random moments; then look what is left.

Run it all with `make soak`. After each kill, the store is read as a downstream job reads it, and the same
night or the next one runs. No row may be lost or doubled against nights that nobody disturbed.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from forecasting.errors import NightcastError, first_line
from forecasting.panel import Panel
from forecasting.publishing import reader
from forecasting.publishing.committed import check_forecasts
from forecasting.storage import Storage
from tests.soak.forks import Ended, run_fork
from tests.soak.kill_table import Kill, print_kills
from tests.soak.moments import count_moments, kill_at_moment
from tests.soak.small_nights import (
    FIRST,
    STAGES,
    make_nights_cheap,
    rows_of,
    whole_night,
    write_panel,
    write_source,
)
from tests.soak.whole_kills import kill_whole_night, make_whole_ground

SEED = 20261129
LANES = 2


@dataclass(frozen=True)
class Ground:
    """The nights before the kill, once for each stage, and what undisturbed nights come to.

    Attributes:
        folder: has a folder for each stage, as it is before that stage.
        nights: how many there are before the one that is killed.
        moments: how many writes each stage makes, of those stages that are killed.
        seconds: how long each stage takes, in a fork.
    """

    folder: Path
    nights: int
    moments: dict[str, int]
    seconds: dict[str, float]


def make_ground(folder: Path, nights: int, stages: Sequence[str]) -> Ground:
    """Run the undisturbed nights: so many, the one in which these stages will be killed, and the next."""
    _must(run_fork(partial(_undisturbed, folder, nights)))
    moments, seconds = {}, {}
    for stage in stages:
        counted = Path(shutil.copytree(folder / stage, folder / "counted"))
        ended = run_fork(partial(_count, counted, stage))
        _must(ended)
        moments[stage] = int((counted / "moments").read_text())
        seconds[stage] = ended.seconds
        shutil.rmtree(counted)
    return Ground(folder, nights, moments, seconds)


def _must(ended: Ended) -> None:
    assert ended.code == 0, ended


def _undisturbed(folder: Path, nights: int) -> None:
    work = folder / "work"
    work.mkdir()
    panel, storage = write_panel(work), Storage(str(work / "store"))
    for number in range(nights):
        write_source(work, number)
        whole_night(panel, storage)
    write_source(work, nights, later_split=True)
    for stage, run in STAGES.items():
        (work / "before.json").write_text(json.dumps(rows_of(storage)))
        shutil.copytree(work, folder / stage)
        run(panel, storage)
    _keep(folder / "rows.json", storage)
    write_source(work, nights + 1, later_split=True)
    whole_night(panel, storage)
    _keep(folder / "next_rows.json", storage)


def _keep(file: Path, storage: Storage) -> None:
    file.write_text(json.dumps({"as_of": _shown(storage), "rows": rows_of(storage)}))


def _shown(storage: Storage) -> str:
    return str(reader.latest("tiny", storage.uri)["cutoff"].max())


def _count(folder: Path, stage: str) -> None:
    _in(folder)
    count = count_moments(folder / "store")
    _stage(folder, stage)
    (folder / "moments").write_text(str(count()))


def _in(folder: Path) -> None:
    """Keep this process's lines and temporary files in the folder."""
    (folder / "tmp").mkdir(exist_ok=True)
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder / "tmp")
    with (folder / "lines.txt").open("w") as lines:
        os.dup2(lines.fileno(), 1)
        os.dup2(lines.fileno(), 2)


def _stage(folder: Path, stage: str) -> None:
    STAGES[stage](Panel.load(folder / "tiny.toml"), Storage(str(folder / "store")))


def kill_once(ground: Ground, number: int) -> Kill:
    """Kill the stage and at the moment that this number stands for, and see what is left."""
    turn, which = divmod(number, len(ground.moments))
    stage = list(ground.moments)[which]
    with tempfile.TemporaryDirectory(dir=ground.folder) as temporary:
        folder = Path(shutil.copytree(ground.folder / stage, Path(temporary) / "case"))
        if turn % 2:
            orphans = _kill_at_random(ground, folder, stage, number)
        else:
            aim = (turn // 2) % ground.moments[stage]
            ended = run_fork(partial(_aimed, folder, stage, aim))
            assert ended.code == -signal.SIGKILL, ended
            orphans = len(ended.left)
        left = _folders_in(folder)
        after = _ask(folder, partial(_look, folder))
        same = bool(np.random.default_rng([SEED, number, 1]).integers(2))
        again = _ask(folder, partial(_run_on, folder, ground, again=same))
        return Kill(
            stage,
            lost=after.get("lost", 0) + again.get("lost", 0),
            doubled=again.get("doubled", 0),
            torn=after.get("failed", ""),
            stuck=again.get("failed", ""),
            orphans=orphans,
            left=left,
            kept=_folders_in(folder),
        )


def _kill_at_random(ground: Ground, folder: Path, stage: str, number: int) -> int:
    """Kill it at a random moment; earlier, on a fresh copy, if it has ended before. Count its orphans."""
    seconds = ground.seconds[stage] * float(np.random.default_rng([SEED, number]).uniform())
    while True:
        ended = run_fork(partial(_aimed, folder, stage, None), seconds)
        if ended.code == -signal.SIGKILL:
            return len(ended.left)
        assert ended.code == 0, (folder / "lines.txt").read_text()
        shutil.rmtree(folder)
        shutil.copytree(ground.folder / stage, folder)
        seconds *= 0.7


def _aimed(folder: Path, stage: str, aim: int | None) -> None:
    _in(folder)
    if aim is not None:
        kill_at_moment(folder / "store", aim)
    _stage(folder, stage)


def _folders_in(folder: Path) -> int:
    return len(list((folder / "tmp").glob("nightcast-*")))


def _ask(folder: Path, question: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The answer of a fork; `failed` has the last line of one that did not end well."""
    answer = folder / "answer.json"

    def write() -> None:
        _in(folder)
        answer.write_text(json.dumps(question()))

    answer.unlink(missing_ok=True)
    ended = run_fork(write)
    if ended.code:
        return {"failed": (folder / "lines.txt").read_text().strip().splitlines()[-1]}
    found: dict[str, Any] = json.loads(answer.read_text())
    return found


def _look(folder: Path) -> dict[str, Any]:
    """Read as a downstream job does, and compare every committed forecast with its manifest."""
    panel, storage = Panel.load(folder / "tiny.toml"), Storage(str(folder / "store"))
    try:
        reader.latest("tiny", storage.uri)
        reader.history("tiny", "AAA", storage.uri)
        check_forecasts(panel, storage)
    except NightcastError as error:
        return {"failed": first_line(error)}
    before = Counter(json.loads((folder / "before.json").read_text()))
    return {"lost": (before - rows_of(storage)).total()}


def _run_on(folder: Path, ground: Ground, *, again: bool) -> dict[str, Any]:
    """Run the same night again, or the next one, and count what is lost or doubled.

    Where the killed night is not run again, nobody knows whether its own forecast has scores.
    """
    nights = ground.nights
    number, kept = (nights, "rows.json") if again else (nights + 1, "next_rows.json")
    panel, storage = Panel.load(folder / "tiny.toml"), Storage(str(folder / "store"))
    write_source(folder, number, later_split=True)
    whole_night(panel, storage)
    wanted = json.loads((ground.folder / kept).read_text())
    assert _shown(storage) == wanted["as_of"]
    killed = "" if again else f"as_of={FIRST + nights} "
    rows, expected = (_without_scores_of(killed, one) for one in (rows_of(storage), wanted["rows"]))
    return {"lost": (expected - rows).total(), "doubled": (rows - expected).total()}


def _without_scores_of(killed: str, rows: Mapping[str, int]) -> Counter[str]:
    kept = {row: n for row, n in rows.items() if not (killed and row.startswith("scores ") and killed in row)}
    return Counter(kept)


def _all(coming: Iterator[Kill], tell_every: int) -> list[Kill]:
    """All of them; tells now and then how far they are."""
    kills: list[Kill] = []
    for one in coming:
        kills.append(one)
        if len(kills) % tell_every == 0 or not one.is_clean:
            print(f"{len(kills)} kills: {one}", file=sys.stderr, flush=True)
    return kills


def main() -> None:
    """Kill stages, then whole nights, in two processes; print a table. Exit with 1 if anything is wrong."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=500, help="of stages of a night")
    options.add_argument("--whole", type=int, default=20, help="of whole runs with a network")
    options.add_argument("--before", type=int, default=4, help="nights before the one that is killed")
    options.add_argument("--stages", nargs="+", default=list(STAGES), choices=list(STAGES))
    given = options.parse_args()
    print(f"seed {SEED}", flush=True)
    make_nights_cheap()
    with tempfile.TemporaryDirectory() as temporary, get_context("fork").Pool(LANES) as lanes:
        folder = Path(temporary)
        kill = partial(kill_once, make_ground(folder, given.before, given.stages))
        kills = _all(lanes.imap(kill, range(given.kills)), 50)
        if given.whole:
            whole = partial(kill_whole_night, folder, make_whole_ground(folder))
            kills += _all(lanes.imap(whole, [(SEED, number) for number in range(given.whole)]), 5)
    print_kills(kills)
    sys.exit(not all(one.is_clean for one in kills))


if __name__ == "__main__":
    main()
