"""Whatever is ingested in whatever order: the store answers as the obvious slow way does."""

import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.panel import Panel
from forecasting.prices.compaction import compact
from forecasting.prices.ingest import IngestReport, ingest
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage

NOW = np.datetime64("2020-03-10T12:00", "us")
TICK = np.timedelta64(1, "us")

Row = tuple[str, str, str]  # id, date, close: as in the file
Bar = tuple[str, str]
ROWS = st.tuples(
    st.sampled_from("AB"),
    st.sampled_from(["2020-03-02", "2020-03-03", "2019-03-03", "2020-03-10", "2021-01-01", "soon"]),
    st.sampled_from(["1.0", "2.0", "3.0", "-1", "nan", "x"]),
)
GOOD_DATES = {"2020-03-02", "2020-03-03", "2019-03-03"}
GOOD_CLOSES = {"1.0", "2.0", "3.0"}
# One after another: a file of rows comes in at some time of a clock that may go back, or a compaction.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.lists(ROWS, min_size=1, max_size=8), st.integers(-3, 3)),
        st.none(),
    ),
    min_size=2,
    max_size=5,
)


@dataclass
class SlowStore:
    """All values of each bar in the order in which they came, each with its `known_at`."""

    values: dict[Bar, list[tuple[np.datetime64, float]]] = field(default_factory=lambda: defaultdict(list))

    def appended(self, rows: list[Row]) -> dict[Bar, float]:
        """What a file adds: the bars on which it agrees with itself, where the last value is another."""
        said: dict[Bar, set[float]] = defaultdict(set)
        for name, day, close in rows:
            if day in GOOD_DATES and close in GOOD_CLOSES:
                said[name, day].add(float(close))
        agreed = {bar: values.pop() for bar, values in said.items() if len(values) == 1}
        return {
            bar: value
            for bar, value in agreed.items()
            if not self.values[bar] or self.values[bar][-1][1] != value
        }

    def newest(self) -> dict[Bar, float]:
        return {bar: values[-1][1] for bar, values in self.values.items() if values}

    def first_vintage(self) -> dict[Bar, float]:
        return {bar: values[0][1] for bar, values in self.values.items() if values}

    def as_known_at(self, instant: np.datetime64) -> dict[Bar, float]:
        known = {
            bar: [value for when, value in values if when <= instant] for bar, values in self.values.items()
        }
        return {bar: values[-1] for bar, values in known.items() if values}


@dataclass
class Case:
    """A store, and the slow one beside it."""

    folder: Path
    panel: Panel
    slow: SlowStore = field(default_factory=SlowStore)
    instants: list[np.datetime64] = field(default_factory=list)

    @property
    def storage(self) -> Storage:
        return Storage(str(self.folder / "store"))

    @property
    def table(self) -> PriceTable:
        return PriceTable(self.storage, "tiny")

    def take(self, rows: list[Row], now: np.datetime64) -> IngestReport:
        """Ingest them in both."""
        lines = ["unique_id,ds,close", *map(",".join, rows)]
        (self.folder / "prices.csv").write_text("\n".join(lines) + "\n")
        appended = self.slow.appended(rows)
        report = ingest(self.panel, self.storage, now)
        assert report.appended == len(appended)
        if appended:
            known_at = self.table.known_at
            assert known_at is not None
            self.instants.append(known_at)
            for bar, value in appended.items():
                self.slow.values[bar].append((known_at, value))
        return report

    def check_reads(self) -> None:
        assert as_dict(self.table.newest()) == self.slow.newest()
        assert as_dict(self.table.first_vintage()) == self.slow.first_vintage()
        for instant in self.instants:
            for moment in (instant - TICK, instant):
                assert as_dict(self.table.as_known_at(moment)) == self.slow.as_known_at(moment)


def as_dict(rows: pa.Table) -> dict[Bar, float]:
    bars = [(row["unique_id"], row["ds"].date().isoformat()) for row in rows.to_pylist()]
    assert bars == sorted(set(bars))
    return dict(zip(bars, rows["close"].to_pylist(), strict=True))


def total(report: IngestReport) -> int:
    return report.appended + report.identical + report.repaired + report.quarantined + report.pending


@settings(max_examples=20, deadline=None, derandomize=True)
@given(steps=STEPS)
def test_every_read_is_the_obvious_answer_after_any_steps(
    steps: list[tuple[list[Row], int] | None], make_panel: Callable[..., Panel]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        panel = make_panel({"uri": f"{folder}/prices.csv"}, audit={"max_shrink": 1})
        case = Case(Path(folder), panel)
        for step in steps:
            if step is None:
                compact(case.storage, "tiny", spare=0)
                continue
            rows, minutes = step
            now = NOW + np.timedelta64(minutes, "m")
            report = case.take(rows, now)
            assert total(report) == report.offered == len(rows)
            again = case.take(rows, now)
            assert (again.appended, again.newly_quarantined) == (0, 0)
            assert (again.table_version, again.known_at) == (report.table_version, report.known_at)
        if PriceTable.exists(case.storage, "tiny"):
            case.check_reads()
        assert case.instants == sorted(set(case.instants))


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from("AB"),
            st.dates(
                min_value=np.datetime64("2019-12-01").item(), max_value=np.datetime64("2020-02-28").item()
            ),
        ),
        min_size=1,
        max_size=12,
        unique=True,
    ),
    data=st.data(),
)
def test_the_order_and_the_batches_of_rows_that_agree_do_not_matter(
    rows: list[tuple[str, object]], data: st.DataObject, make_panel: Callable[..., Panel]
) -> None:
    lines: list[Row] = [(name, str(day), f"{number + 1}.0") for number, (name, day) in enumerate(rows)]
    shuffled = data.draw(st.permutations(lines))
    cuts = sorted(data.draw(st.lists(st.integers(1, len(lines)), max_size=2)))
    with tempfile.TemporaryDirectory() as folder:
        panel = make_panel({"uri": f"{folder}/prices.csv"}, audit={"max_shrink": 1})
        for start, end in zip([0, *cuts], [*cuts, len(lines)], strict=True):
            if shuffled[start:end]:
                batch = "\n".join(map(",".join, shuffled[start:end]))
                Path(folder, "prices.csv").write_text(f"unique_id,ds,close\n{batch}\n")
                ingest(panel, Storage(f"{folder}/store"), NOW)
        table = PriceTable(Storage(f"{folder}/store"), "tiny")
        expected = {(name, day): float(close) for name, day, close in lines}
        assert as_dict(table.newest()) == as_dict(table.first_vintage()) == expected
