"""Faults: a disk that is full or read-only, an S3 server that fails, a Prefect server that goes away.

Run it all with `make soak`. Each fault meets a bounded `nightcast run`, which ends in one plain line or
publishes. After the fault, the next run publishes.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.conftest import serve_s3, write_prices
from tests.prefect_server import free_port, prefect_server
from tests.soak.faulty_proxy import Proxy, Way, faulty_proxy

NIGHTCAST = Path(sys.executable).parent / "nightcast"
PANEL = """\
name = "tiny"
[source]
uri = "prices.csv"
[forecast]
horizon = 3
[audit]
min_bars = 40
"""
AT_ONCE = 2
_BOUND = 900  # seconds; a run of slow requests takes some minutes
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


@dataclass(frozen=True)
class Run:
    """How a run ended: its exit code (None: not within the bound), its seconds, its lines."""

    code: int | None
    seconds: float
    lines: tuple[str, ...]

    @property
    def fault(self) -> str:
        """What is wrong with the way it ended; empty if it published or failed in one plain line."""
        told = [line for line in self.lines if line.startswith("nightcast: ")]
        text = "\n".join(self.lines)
        if bad := [word for word in ("unexpected", "Traceback", "\x1b", "panicked") if word in text]:
            return f"its lines have {bad}: {text[-2000:]}"
        if self.code == 0:
            return ""
        return "" if self.code == 1 and len(told) == 1 else f"code {self.code}: {text[-2000:]}"


@dataclass(frozen=True)
class Fault:
    """A fault of the world.

    Attributes:
        name: what is wrong.
        codes: the exit codes that a run under it may have.
        begin: starts it in a folder; the context ends it. Yields the words before the command, the store and
            the environment, for runs both under it and after it.
    """

    name: str
    codes: tuple[int, ...]
    begin: Callable[[Path], "Scene"]


@dataclass
class Scene:
    """Where a fault is.

    Attributes:
        store: the store.
        end: ends the fault.
        environment: what runs need.
        words: before the command, while the fault lasts.
        user: as whom the run under the fault runs; None for the present user.
        on_line: a text in a run's lines at which something is done.
    """

    store: str
    end: Callable[[], None]
    environment: Mapping[str, str]
    words: tuple[str, ...] = ()
    user: int | None = None
    on_line: tuple[str, Callable[[], None]] | None = None


def mounted(store: Path, size: str) -> bool:
    """Mount a file system of that size in memory; returns whether that is allowed here."""
    store.mkdir(parents=True)
    return _mount("-t", "tmpfs", "-o", f"size={size},mode=777", "tmpfs", str(store))


def _mount(*words: str) -> bool:
    try:
        return not subprocess.run(["/bin/mount", *words], capture_output=True, check=False).returncode
    except OSError:
        return False


def _unmount(store: Path) -> None:
    if store.is_mount():
        subprocess.run(["/bin/umount", "-l", str(store)], capture_output=True, check=False)


def full_disk(size: str, folder: Path) -> Scene:
    """A disk of that size. Where nothing may be mounted, a limit on the size of files."""
    store = folder / "store"
    if mounted(store, size):
        return Scene(str(store), lambda: _remount(store, "size=200m"), {})
    limit = str(int(size.removesuffix("k")) // 8)
    return Scene(str(store), lambda: None, {}, ("sh", "-c", f'ulimit -f {limit}; exec "$@"', "sh"))


def _remount(store: Path, options: str) -> None:
    assert _mount("-o", f"remount,{options}", str(store)), store


def read_only(folder: Path) -> Scene:
    """A disk mounted read-only. Where nothing may be mounted, a folder that the user may not write to."""
    store = folder / "store"
    if mounted(store, "200m"):
        _remount(store, "ro")
        return Scene(str(store), lambda: _remount(store, "rw"), {})
    store.chmod(0o555)
    return Scene(str(store), lambda: store.chmod(0o777), {}, user=65534 if os.geteuid() == 0 else None)


class S3Fault:
    """Requests to an S3 server that are answered in some way, by their number."""

    def __init__(self, upstream: str, stack: ExitStack, way_of: Callable[[int], Way]) -> None:
        self._upstream, self._stack, self._way_of = upstream, stack, way_of

    def __call__(self, folder: Path) -> Scene:
        proxy: Proxy = self._stack.enter_context(faulty_proxy(self._upstream))
        bucket = f"faults-{folder.name}".replace("_", "-").lower()
        httpx.put(f"{self._upstream}/{bucket}").raise_for_status()
        proxy.answer(self._way_of)
        environment = {**CREDENTIALS, "AWS_ENDPOINT_URL": proxy.address}
        return Scene(f"s3://{bucket}/store", lambda: proxy.answer(lambda _number: "whole"), environment)


class ApiAway:
    """A Prefect server that is killed while a run is at work."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def __call__(self, folder: Path) -> Scene:
        port = free_port()
        first = self._stack.enter_context(prefect_server(folder, port))

        def again() -> None:
            self._stack.enter_context(prefect_server(folder, port))

        return Scene(str(folder / "store"), again, first.environment, on_line=("ingest:", first.kill))


def run(folder: Path, scene: Scene, *, under_fault: bool) -> Run:
    """Run the panel once, within the bound."""
    words, user = (scene.words, scene.user) if under_fault else ((), None)
    began = time.monotonic()
    process = subprocess.Popen(
        [*words, str(NIGHTCAST), "run", "tiny.toml", "--store", scene.store],
        cwd=folder,
        env={**os.environ, **scene.environment, "HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        user=user,
    )
    bound = threading.Timer(_BOUND, process.kill)
    bound.start()
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if under_fault and scene.on_line and scene.on_line[0] in line:
            scene.on_line[1]()
    code = process.wait()
    bound.cancel()
    return Run(code if code >= 0 else None, time.monotonic() - began, tuple(lines))


def meet(root: Path, fault: Fault) -> tuple[Fault, Run, Run]:
    """Run under the fault, then after it."""
    folder = root / fault.name.replace(" ", "-").replace(",", "")
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "tiny.toml").write_text(PANEL, encoding="utf-8")
    write_prices(folder / "prices.csv", {"AAA": 80, "BBB": 80})
    scene = fault.begin(folder)
    try:
        under = run(folder, scene, under_fault=True)
        scene.end()
        return fault, under, run(folder, scene, under_fault=False)
    finally:
        _unmount(folder / "store")


def faults(upstream: str, stack: ExitStack) -> list[Fault]:
    """All faults, those that take longest first."""

    def s3(way_of: Callable[[int], Way]) -> S3Fault:
        return S3Fault(upstream, stack, way_of)

    return [
        Fault("S3, every request takes a second", (0,), s3(lambda _number: "slow")),
        Fault("Prefect's server killed meanwhile", (1,), ApiAway(stack)),
        Fault("S3, 503 always", (1,), s3(lambda _number: "503")),
        Fault("S3, 503 from the 60th request on", (1,), s3(lambda number: "503" if number > 60 else "whole")),
        Fault("S3, every third answer 503", (0,), s3(lambda number: "whole" if number % 3 else "503")),
        Fault("S3, every answer cut", (1,), s3(lambda _number: "cut")),
        Fault("S3, every fifth answer cut", (0, 1), s3(lambda number: "whole" if number % 5 else "cut")),
        Fault("disk full at the first table", (1,), lambda folder: full_disk("16k", folder)),
        Fault("disk full at the forecast", (1,), lambda folder: full_disk("200k", folder)),
        Fault("disk read-only", (1,), read_only),
    ]


def print_outcomes(outcomes: Iterator[tuple[Fault, Run, Run]]) -> bool:
    """Print a row for each fault; returns whether all went as it should."""
    good = True
    print(f"{'fault':36} {'code':>4} {'seconds':>7} {'after':>5}  line")
    for fault, under, after in outcomes:
        wrong = [one for one in (under.fault, after.fault) if one]
        if under.code not in fault.codes or after.code != 0:
            wrong.append("\n".join((*under.lines[-3:], "after the fault:", *after.lines[-3:])))
        line = next((one for one in under.lines if one.startswith("nightcast: ")), "published")
        print(f"{fault.name:36} {under.code!s:>4} {under.seconds:7.0f} {after.code!s:>5}  {line}", flush=True)
        for one in wrong:
            print(f"    WRONG: {one}", flush=True)
        good = good and not wrong
    return good


@contextmanager
def surroundings(root: Path) -> Iterator[list[Fault]]:
    """The faults, with the servers that they need; Prefect's is known to the runs."""
    with ExitStack() as stack:
        upstream = stack.enter_context(serve_s3())
        home = root / "prefect"
        home.mkdir()
        server = stack.enter_context(prefect_server(home))
        os.environ.update(server.environment)
        yield faults(upstream, stack)


def main() -> None:
    """Meet every fault, and print a table."""
    with tempfile.TemporaryDirectory() as temporary, surroundings(Path(temporary)) as found:
        root = Path(temporary)
        root.chmod(0o755)
        probe = root / "probe" / "store"
        means = "mounts in memory" if mounted(probe, "1m") else "a limit on files and a forbidden folder"
        _unmount(probe)
        print(f"no chance in it: no seed. Disks: {means}", flush=True)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            good = print_outcomes(pool.map(lambda fault: meet(root, fault), found))
    sys.exit(not good)


if __name__ == "__main__":
    main()
