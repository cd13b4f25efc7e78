"""Draw many series charts in parallel processes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing import Pipe
from queue import SimpleQueue

from forecasting.child_process import SAFE_PATH
from forecasting.errors import DrawingError
from forecasting.reports.chart_messages import CLOSED, to_message
from forecasting.reports.charts import SeriesChart, draw_series

MANY = 200  # charts; a process takes the time of some fifty to start

# Keeps a chart: its series, its PNG. It is called from several threads.
Keep = Callable[[str, bytes], None]


def draw_charts(charts: Sequence[SeriesChart], keep: Keep) -> Iterator[str]:
    """Draw and keep charts, and yield the series of each, in order.

    Draws `MANY` and more in one process for each core, which end with this one even if it is killed, and
    fewer in this process.

    Raises:
        DrawingError: a process died.
    """
    cores = os.cpu_count() or 1
    if len(charts) < MANY or cores == 1:
        for chart in charts:
            keep(chart.unique_id, draw_series(chart))
            yield chart.unique_id
        return
    with ExitStack() as stack:
        idle: SimpleQueue[_Process] = SimpleQueue()
        for _ in range(cores):
            process = _Process()
            stack.callback(process.close)
            idle.put(process)

        def draw(chart: SeriesChart) -> str:
            process = idle.get()
            try:
                png = process.draw(chart)
            finally:
                idle.put(process)
            keep(chart.unique_id, png)
            return chart.unique_id

        # More threads than processes, so that these draw while pictures are kept.
        threads = ThreadPoolExecutor(2 * cores)
        stack.callback(threads.shutdown, cancel_futures=True)
        yield from threads.map(draw, charts)


class _Process:
    """One process that draws, and our end of the connection to it."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        number = theirs.fileno()
        command = [sys.executable, SAFE_PATH, "-m", "forecasting.reports.drawing_process", str(number)]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, by this interpreter
                command, pass_fds=[number], stdin=subprocess.DEVNULL
            )

    def draw(self, chart: SeriesChart) -> bytes:
        try:
            self._connection.send_bytes(to_message(chart))
            return self._connection.recv_bytes()
        except CLOSED as error:
            raise DrawingError(
                f"drawing {chart.unique_id} of panel {chart.panel} failed: its process died with exit code "
                f"{self._process.wait()}; check that the machine has enough memory, and run again"
            ) from error

    def close(self) -> None:
        """End the process: it sees that the connection is closed."""
        self._connection.close()
        self._process.wait()
