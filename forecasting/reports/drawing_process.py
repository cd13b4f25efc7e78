"""A process that draws series charts: `python -P -m forecasting.reports.drawing_process FILE_NUMBER`.

`draw_charts` starts it, with one end of a connection as the open file of that number. It answers every chart
with its PNG, and ends when the other end closes, so that it does not outlive a parent that is killed. It
imports neither TensorFlow nor Prefect, which would take more time and memory than the drawing.
"""

import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from forecasting.reports.chart_messages import from_message
from forecasting.reports.charts import draw_series


def main() -> None:
    """Draw until the connection closes."""
    with (
        Connection(int(sys.argv[1])) as connection,
        suppress(EOFError, BrokenPipeError, ConnectionResetError),
    ):
        while True:
            connection.send_bytes(draw_series(from_message(connection.recv_bytes())))


if __name__ == "__main__":
    main()
