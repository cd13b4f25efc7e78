"""Property tests: after any sequence of ingests the store agrees with a simple, slow model."""

import math
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forecasting.errors import AuditError
from forecasting.panel import Panel
from forecasting.prices.compaction import compact
from forecasting.prices.ingest import IngestReport, ingest
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage

NOW = np.datetime64("2020-03-20T12:00", "us")
TICK = np.timedelta64(1, "us")

Row = tuple[str, str, str, str]  # id, date, close, volume: as in the file
Bar = tuple[str, str]
Value = tuple[float, float | None]  # close and volume
GOOD_DATES = ["2019-03-03", *(f"2020-03-{day:02}" for day in range(1, 15))]
GOOD_CLOSES = ["1.0", "2.0", "3.0"]
GOOD_VOLUMES = ["", "5.0"]
ROWS = st.tuples(
    st.sampled_from("AB"),
    st.sampled_from([*GOOD_DATES, "2020-03-20", "2021-01-01", "soon"]),
    st.sampled_from([*GOOD_CLOSES, "-1", "nan", "x"]),
    st.sampled_from([*GOOD_VOLUMES, "-5.0"]),
)
# What a source does to a past that it has published.
CHANGES: dict[str, Callable[[int, Value], Value]] = {
    "nothing": lambda _, value: value,
    "split": lambda _, value: (value[0] / 2, value[1] and value[1] * 2),
    "dividend": lambda _, value: (round(value[0] * 0.97, 4), value[1]),
    "shift": lambda _, value: (value[0] + 3, value[1]),
    "late revisions": lambda bar, value: (value[0] + 1 + bar % 2, value[1]) if bar >= 2 else value,
    "mistake": lambda bar, value: (value[0] * 100, value[1]) if bar >= 3 else value,
    "mended": lambda bar, value: (value[0] / 100, value[1]) if bar >= 3 else value,
    "no volumes": lambda _, value: (value[0], None),
}
# A source of one series changes its past, goes on for some bars, and offers all but the first so many.
OFFERS = st.tuples(st.sampled_from(sorted(CHANGES)), st.integers(0, 2), st.sampled_from([0, 2, 3]))
WALK: list[Value] = [(round(40 + 3 * math.sin(2 * bar), 4), 1000.0 + bar) for bar in range(len(GOOD_DATES))]
MINUTES = st.integers(-3, 3)
# One after another: a file of rows comes in at some time of a clock that may go back, or a compaction.
STEPS = st.lists(
    st.one_of(st.tuples(st.lists(ROWS, min_size=1, max_size=30), MINUTES), st.none()), min_size=2, max_size=5
)


@dataclass
class SlowStore:
    """All values of each bar in the order in which they came, each with its `known_at`."""

    values: dict[Bar, list[tuple[np.datetime64, Value]]] = field(default_factory=lambda: defaultdict(list))

    def offered(self, rows: list[Row]) -> dict[Bar, Value]:
        """What a file offers: the bars on which it agrees with itself."""
        said: dict[Bar, set[Value]] = defaultdict(set)
        for name, day, close, volume in rows:
            if day in GOOD_DATES and close not in ("-1", "nan", "x"):
                known = volume not in ("", "-5.0")  # a volume below zero is dropped
                said[name, day].add((float(close), float(volume) if known else None))
        return {bar: values.pop() for bar, values in said.items() if len(values) == 1}

    def reloaded(self, offered: dict[Bar, Value]) -> dict[Bar, Value]:
        """The bars that are not offered, and are multiplied."""
        newest, bars = self.newest(), {}
        for name in {name for name, _ in offered}:
            pairs = [(newest[bar], value, bar) for bar, value in sorted(offered.items()) if bar in newest]
            pairs = [pair for pair in pairs if pair[2][0] == name]
            while pairs and pairs[-1][0][0] == pairs[-1][1][0]:
                pairs.pop()
            ratio = price_ratio([(old[0], new[0]) for old, new, _ in pairs])
            if ratio is None:
                continue
            turnover = volume_ratio([(old[1], new[1]) for old, new, _ in pairs])
            until = pairs[-1][2]
            past = {bar: value for bar, value in newest.items() if bar[0] == name and bar <= until}
            others = {
                bar: (value[0] * ratio, None if value[1] is None else value[1] * turnover)
                for bar, value in past.items()
                if bar not in offered
            }
            if goes_on(past | offered | others, others, until) <= 3 * usual(past | offered, others, until) + (
                goes_on(past | offered, others, until)
            ):
                bars |= others
        return bars

    def newest(self) -> dict[Bar, Value]:
        return {bar: values[-1][1] for bar, values in self.values.items() if values}

    def first_vintage(self) -> dict[Bar, Value]:
        first = {}
        for name in {name for name, _ in self.values}:
            series = {bar: values for bar, values in self.values.items() if bar[0] == name and values}
            vintages = sorted({when for values in series.values() for when, _ in values}, reverse=True)
            restated = next((each for each in vintages if restates(series, each)), None)
            for bar, values in series.items():
                first[bar] = dict(values).get(restated, values[0][1])
        return first

    def as_known_at(self, instant: np.datetime64) -> dict[Bar, Value]:
        known = {
            bar: [value for when, value in values if when <= instant] for bar, values in self.values.items()
        }
        return {bar: values[-1] for bar, values in known.items() if values}


def price_ratio(pairs: list[tuple[float, float]]) -> float | None:
    """What five or more prices were all multiplied by, but for the last decimal, and not shifted by."""
    if len(pairs) < 5:
        return None
    ratio = sum(new for _, new in pairs) / sum(old for old, _ in pairs)
    shift = sum(new - old for old, new in pairs) / len(pairs)
    multiplied = [abs(new - ratio * old) <= slack(new) + ratio * unit(old) for old, new in pairs]
    shifted = [abs(new - old - shift) <= slack(new) + unit(old) for old, new in pairs]
    return ratio if all(multiplied) and not all(shifted) else None


def slack(price: float) -> float:
    return unit(price) + price / 1_000_000


def unit(price: float) -> float:
    """Of the last decimal, as it is written."""
    exponent = Decimal(repr(price)).normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return float(10.0 ** max(min(exponent, 0), -8))


def volume_ratio(pairs: list[tuple[float | None, float | None]]) -> float:
    known = [(old, new) for old, new in pairs if old is not None and new is not None]
    if not known:
        return 1.0
    ratio = sum(new for _, new in known) / sum(old for old, _ in known)
    fits = all(abs(new - ratio * old) <= 0.2 * abs(ratio * old - old) for old, new in known)
    return ratio if fits else 1.0


def changes(bars: dict[Bar, Value], others: Container[Bar], until: Bar) -> Iterator[tuple[bool, bool, float]]:
    """From one bar to the next, up to `until`: whether each is one of the others, and the change."""
    days = sorted(bar for bar in bars if bar[0] == until[0] and bar <= until)
    for one, two in pairwise(days):
        yield one in others, two in others, abs(math.log(bars[two][0] / bars[one][0]))


def goes_on(bars: dict[Bar, Value], others: Container[Bar], until: Bar) -> float:
    """The mean change from the others to the offered bars, and back."""
    seams = [change for one, two, change in changes(bars, others, until) if one != two]
    return statistics.mean(seams) if seams else 0.0


def usual(bars: dict[Bar, Value], others: Container[Bar], until: Bar) -> float:
    """The median change from one offered bar to the next."""
    within = [change for one, two, change in changes(bars, others, until) if not (one or two)]
    return statistics.median(within) if within else 0.0


def restates(series: dict[Bar, list[tuple[np.datetime64, Value]]], vintage: np.datetime64) -> bool:
    """Whether the vintage has nine in ten of the bars known by then, up to the last one that it restates."""
    anew = [bar for bar, values in series.items() if any(when == vintage for when, _ in values[1:])]
    if len(anew) < 5:
        return False
    known = [bar for bar, values in series.items() if bar <= max(anew) and values[0][0] <= vintage]
    return sum(vintage in dict(series[bar]) for bar in known) >= 0.9 * len(known)


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
        lines = ["unique_id,ds,close,volume", *map(",".join, rows)]
        (self.folder / "prices.csv").write_text("\n".join(lines) + "\n")
        offered, newest = self.slow.offered(rows), self.slow.newest()
        appended = {bar: value for bar, value in offered.items() if newest.get(bar) != value}
        reloaded = self.slow.reloaded(offered)
        report = ingest(self.panel, self.storage, now)
        assert (report.appended, report.readjusted) == (len(appended), len(reloaded))
        if appended:
            known_at = self.table.known_at
            assert known_at is not None
            self.instants.append(known_at)
            for bar, value in (appended | reloaded).items():
                self.slow.values[bar].append((known_at, value))
        return report

    def check_reads(self) -> None:
        assert as_dict(self.table.newest()) == self.slow.newest()
        assert as_dict(self.table.first_vintage()) == self.slow.first_vintage()
        for instant in self.instants:
            for moment in (instant - TICK, instant):
                assert as_dict(self.table.as_known_at(moment)) == self.slow.as_known_at(moment)


def as_dict(rows: pa.Table) -> dict[Bar, Value]:
    bars = [(row["unique_id"], row["ds"].date().isoformat()) for row in rows.to_pylist()]
    assert bars == sorted(set(bars))
    return dict(
        zip(bars, zip(rows["close"].to_pylist(), rows["volume"].to_pylist(), strict=True), strict=True)
    )


def total(report: IngestReport) -> int:
    return report.appended + report.identical + report.repaired + report.quarantined + report.pending


@settings(max_examples=20)
@given(steps=STEPS)
def test_every_read_is_the_obvious_answer_after_any_steps(
    steps: list[tuple[list[Row], int] | None], make_panel: Callable[..., Panel]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        panel = make_panel({"uri": f"{folder}/prices.csv"}, audit={"max_shrink": 1, "revision_tolerance": 0})
        case = Case(Path(folder), panel)
        for step in steps:
            if step is None:
                compact(case.storage, "tiny", spare=0)
                continue
            rows, minutes = step
            now = NOW + np.timedelta64(minutes, "m")
            all_pending = all(day == "2020-03-20" for _, day, _, _ in rows)
            if not case.slow.offered(rows) and not case.slow.newest() and not all_pending:
                with pytest.raises(AuditError, match="P207 all rows refused"):
                    case.take(rows, now)
                continue
            report = case.take(rows, now)
            assert total(report) == report.offered == len(rows)
            again = case.take(rows, now)
            assert (again.appended, again.newly_quarantined) == (0, 0)
            assert (again.table_version, again.known_at) == (report.table_version, report.known_at)
        if PriceTable.exists(case.storage, "tiny"):
            case.check_reads()
        assert case.instants == sorted(set(case.instants))


@settings(max_examples=10)
@given(steps=st.lists(OFFERS, min_size=2, max_size=4))
@example(steps=[("split", 1, 3), ("late revisions", 0, 0), ("dividend", 1, 2)])
@example(steps=[("mistake", 1, 3), ("mended", 1, 3), ("shift", 1, 2), ("no volumes", 0, 0), ("split", 0, 3)])
def test_every_read_is_the_obvious_answer_whatever_a_source_does_to_its_past(
    steps: list[tuple[str, int, int]], make_panel: Callable[..., Panel]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        case = Case(
            Path(folder),
            make_panel({"uri": f"{folder}/prices.csv"}, audit={"max_shrink": 1, "revision_tolerance": 0}),
        )
        past: list[Value] = []
        for change, more, start in [("nothing", 8, 0), *steps]:
            past = [CHANGES[change](bar, value) for bar, value in enumerate(past)]
            past += WALK[len(past) : len(past) + more]
            rows = [
                ("A", day, repr(close), "" if volume is None else repr(volume))
                for day, (close, volume) in zip(GOOD_DATES, past, strict=False)
            ]
            case.take(rows[start:], NOW)
        case.check_reads()


@settings(max_examples=10)
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
    lines: list[Row] = [(name, str(day), f"{number + 1}.0", "") for number, (name, day) in enumerate(rows)]
    shuffled = data.draw(st.permutations(lines))
    cuts = sorted(data.draw(st.lists(st.integers(1, len(lines)), max_size=2)))
    with tempfile.TemporaryDirectory() as folder:
        panel = make_panel({"uri": f"{folder}/prices.csv"}, audit={"max_shrink": 1, "revision_tolerance": 0})
        for start, end in zip([0, *cuts], [*cuts, len(lines)], strict=True):
            if shuffled[start:end]:
                batch = "\n".join(map(",".join, shuffled[start:end]))
                Path(folder, "prices.csv").write_text(f"unique_id,ds,close,volume\n{batch}\n")
                ingest(panel, Storage(f"{folder}/store"), NOW)
        table = PriceTable(Storage(f"{folder}/store"), "tiny")
        expected = {(name, day): (float(close), None) for name, day, close, _ in lines}
        assert as_dict(table.newest()) == as_dict(table.first_vintage()) == expected
