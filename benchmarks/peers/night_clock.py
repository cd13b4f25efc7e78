"""Runs `nightcast` and writes where the time went: `python -m benchmarks.peers.night_clock FILE BEGAN words`.

BEGAN is `time.monotonic()` of the process that started this one, just before it did. The parts are disjoint,
and add up to the time until the command is done.
"""

import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

IMPORTS, SERVER, PREFECT = "Python and imports", "Prefect's server", "Prefect between steps"
CHARTS = "draw charts"
# With this variable set, a night draws no picture. (A panel draws at least those of four series.)
NO_CHARTS = "NIGHT_WITHOUT_CHARTS"
MODEL, PAGES = "model and gate", "publish, summary, pages"
# By the name of a Prefect task, the part that its work belongs to. Other tasks are parts of their own name.
PARTS = {
    "ingest prices": "ingest",
    "compact prices": "ingest",
    "score forecasts": "scores",
    "audit prices": "audit",
    "look for skipped dates": "audit",
    "plan windows": MODEL,
    "decide on retraining": MODEL,
    "retrain model": MODEL,
    "load model": MODEL,
    CHARTS: "charts",
    "write report": "report",
    "look for this forecast": PAGES,
    "publish": PAGES,
    "summarise": PAGES,
}


class Clock:
    """Adds up the wall and processor seconds of named parts. A part inside another takes its time from that.

    Processor seconds include those of child processes, from when they have ended.
    """

    def __init__(self, began: float, first: str) -> None:
        self.seconds: dict[str, tuple[float, float]] = {}
        self._since, self._parts = (began, 0.0), [first]

    def turn(self, part: str) -> None:
        """End the present part, and begin another one in its place."""
        self._lap()
        self._parts[-1] = part

    def stop(self) -> dict[str, tuple[float, float]]:
        """End the present part, and return the wall and processor seconds of all."""
        self._lap()
        return self.seconds

    @contextmanager
    def inside(self, part: str) -> Iterator[None]:
        """Count the `with` block as `part`."""
        self._lap()
        self._parts.append(part)
        try:
            yield
        finally:
            self._lap()
            self._parts.pop()

    def timed(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """A function like `work` whose calls count as `part`."""

        @functools.wraps(work)
        def counted(*args: Any, **kwargs: Any) -> Any:
            with self.inside(part):
                return work(*args, **kwargs)

        return counted

    def _lap(self) -> None:
        now = (time.monotonic(), sum(os.times()[:4]))
        wall, processor = self.seconds.get(self._parts[-1], (0.0, 0.0))
        self.seconds[self._parts[-1]] = (wall + now[0] - self._since[0], processor + now[1] - self._since[1])
        self._since = now


def watch(clock: Clock) -> None:
    """Let the clock count the work of each task, the hooks of a nightly run, and the temporary server."""
    from prefect import Task  # noqa: PLC0415 - after the clock has begun

    from deployments.temporary_server import TemporaryServer  # noqa: PLC0415 - as above
    from flows.nightly import nightly  # noqa: PLC0415 - as above

    modules = [module for name, module in sys.modules.items() if name.startswith("tasks.")]
    tasks = {id(one): one for module in modules for one in vars(module).values() if isinstance(one, Task)}
    for task in tasks.values():
        if task.name == CHARTS and os.environ.get(NO_CHARTS):
            task.fn = functools.wraps(task.fn)(lambda *_, **__: None)
        task.fn = clock.timed(PARTS.get(task.name, task.name), task.fn)
    if os.environ.get(NO_CHARTS):  # then the summary has none to show
        sys.modules["tasks.summarise"].charts_worth_seeing = lambda *_: []  # type: ignore[attr-defined]
    nightly.on_completion_hooks = [clock.timed(PAGES, hook) for hook in nightly.on_completion_hooks]
    running = TemporaryServer.running

    @contextmanager
    def counted(server: TemporaryServer) -> Iterator[None]:
        context = running(server)
        with clock.inside(SERVER):
            context.__enter__()
        try:
            yield
        except BaseException:
            context.__exit__(*sys.exc_info())
            raise
        with clock.inside(SERVER):
            context.__exit__(None, None, None)

    TemporaryServer.running = counted  # type: ignore[assignment,method-assign]  # this process only measures


def main() -> None:
    """Run the command that the words name, and write the seconds of its parts as JSON."""
    output, began, *words = sys.argv[1:]
    clock = Clock(float(began), IMPORTS)
    from deployments import environment, start  # noqa: PLC0415 - after the clock has begun

    environment.prepare()
    # Prefect reads it when it is imported, which is earlier than in a run without a clock.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    import deployments.prefect_run  # noqa: F401, PLC0415 - as above

    watch(clock)
    clock.turn(PREFECT)
    sys.argv[1:] = words
    try:
        start.main()
    finally:
        Path(output).write_text(json.dumps(clock.stop()))


if __name__ == "__main__":
    main()
