"""Back-adjustment: bringing the prices before a split to the level after it, for panels that ask for it.

A split is found once, in an offer that has enough bars on both sides of it, and then remembered: later offers
may have too few to find it again, or only bars from before it. It is applied to those that still show the old
level, so that a source which comes to adjust itself is left alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.prices.audit import rules
from forecasting.prices.audit.jumps import find_jumps, find_splits, split_name
from forecasting.prices.bars import Bars
from forecasting.prices.order import instants, ranked, series_offsets
from forecasting.prices.schema import VALUES


@dataclass(frozen=True)
class Split:
    """A split whose past the source does not adjust.

    Attributes:
        ds: the first bar on the new level.
        ratio: how many times the old price the new one is: 0.5 for a 2:1 split.
    """

    unique_id: str
    ds: np.datetime64
    ratio: float


@dataclass(frozen=True)
class Adjusted:
    """Offered rows, adjusted.

    Attributes:
        good: the rows.
        applied: the splits that they were adjusted for, the newest of a series first.
        due: those of them that the store's bars may not have been adjusted for yet, in that order.
        found: those that were not known before.
        findings: what was done.
    """

    good: pa.Table
    applied: tuple[Split, ...]
    due: tuple[Split, ...]
    found: tuple[Split, ...]
    findings: tuple[Finding, ...]


def adjust_splits(good: pa.Table, stored: pa.Table, known: Sequence[Split], panel: Panel) -> Adjusted:
    """The rows with the past before each likely split multiplied by it, volumes divided; and what was done.

    The price table takes the new past as a later vintage: what earlier forecasts read stays as it was.

    Args:
        good: `schema.GOOD`, sorted by `unique_id`, `ds`, one row a bar. A new split is only seen with the 60
            bars before it and the five after it.
        stored: the newest values of the bars from the oldest of `good` on.
        known: the splits found before.
        panel: its target tells the splits, its `split_scales` how sure to be.
    """
    target = panel.forecast.target
    raw = tuple(_still_raw(good, stored, known, target))
    good = _multiplied(good, raw)
    bars = Bars.from_table(good, target)
    volume = good.filter(good[target].is_valid())["volume"].to_numpy()
    likely = find_splits(bars, find_jumps(bars, panel), volume, panel)
    found = [
        Split(bars.ids[bars.series[at]], bars.ds[at], float(ratio))
        for at, ratio in zip(likely.at, likely.ratio, strict=True)
    ]
    applied = tuple(sorted((*raw, *found), key=lambda split: split.ds, reverse=True))
    good = _multiplied(good, found)
    offered, have = _lines(good, applied, target), _lines(stored, applied, target)
    return Adjusted(
        good=good,
        applied=applied,
        due=tuple(_due(offered, have, applied)),
        found=tuple(split for split in found if split not in known),
        findings=tuple(_findings(offered, applied, panel)),
    )


@dataclass(frozen=True)
class _Line:
    """The bars of one series, in their order, with a price; or no bars."""

    ds: np.ndarray = field(default_factory=lambda: np.empty(0, dtype="datetime64[us]"))
    y: np.ndarray = field(default_factory=lambda: np.empty(0))


def _lines(rows: pa.Table, splits: Iterable[Split], target: str) -> dict[str, _Line]:
    """The series among the rows that have splits."""
    ids = pa.array(sorted({split.unique_id for split in splits}), pa.string())
    bars = Bars.from_table(rows.filter(pc.is_in(rows["unique_id"].cast(pa.string()), ids)), target)
    places = zip(bars.ids, bars.offsets[:-1], bars.offsets[1:], strict=True)
    return {name: _Line(bars.ds[start:end], bars.y[start:end]) for name, start, end in places}


def _still_raw(good: pa.Table, stored: pa.Table, known: Sequence[Split], target: str) -> Iterator[Split]:
    """The known splits before which the offered bars are on the old level, the newest first."""
    if not known:
        return
    offered, have = _lines(good, known, target), _lines(stored, known, target)
    later: dict[str, float] = {}
    for gap in _gaps(offered, known):
        name = gap[0].unique_id
        ratio = float(np.prod([split.ratio for split in gap]))
        if _is_raw(offered[name], have.get(name, _Line()), gap[-1].ds, ratio, later.get(name, 1.0)):
            later[name] = later.get(name, 1.0) * ratio
            yield from gap


def _gaps(offered: dict[str, _Line], known: Sequence[Split]) -> list[list[Split]]:
    """The splits with offered bars before them, the newest first; in one list those with none in between."""
    gaps: dict[tuple[str, int], list[Split]] = {}
    for split in sorted(known, key=lambda split: split.ds, reverse=True):
        if split.unique_id in offered:
            before = int(np.searchsorted(offered[split.unique_id].ds, split.ds))
            gaps.setdefault((split.unique_id, before), []).append(split)
    return [gap for (_, before), gap in gaps.items() if before]


def _is_raw(offered: _Line, stored: _Line, ds: np.datetime64, ratio: float, later: float) -> bool:
    """Whether the offered bars before a split are on the old level.

    What follows the last of them tells: the next offered bar, if the store has none in between, which may be
    a year away and as far in price; or else what the store has for that bar, or next.

    Args:
        offered: the series as it is offered.
        stored: the series in the store, adjusted.
        ds: the first bar on the new level.
        ratio: of the split.
        later: the ratio of the later splits before which the offered bars are on the old level too.
    """
    following = int(np.searchsorted(offered.ds, ds))
    last, price = offered.ds[following - 1], offered.y[following - 1]
    here = int(np.searchsorted(stored.ds, last))
    there = int(np.searchsorted(stored.ds, last, side="right"))
    more = following < len(offered.ds)
    if there < len(stored.ds) and not (more and offered.ds[following] <= stored.ds[there]):
        level, price = stored.y[here], price * later
    elif more:
        level = offered.y[following]
    else:
        return True
    return _is_nearer(ratio, level / price)


def _is_nearer(ratio: float, change: float) -> bool:
    """Whether a change looks more like a split by `ratio` than like none."""
    return change > 0 and bool(abs(np.log(change / ratio)) < abs(np.log(change)))


def _due(offered: dict[str, _Line], stored: dict[str, _Line], applied: Iterable[Split]) -> Iterator[Split]:
    """The splits that the store's bars are not adjusted for, or may not be where none of those was offered.

    Args:
        offered: series as they are offered, adjusted.
        stored: the same in the store.
        applied: the splits that they were adjusted for, the newest of a series first.
    """
    later: dict[str, float] = {}
    for split in applied:
        mine, theirs = offered[split.unique_id], stored.get(split.unique_id, _Line())
        common = np.intersect1d(mine.ds[mine.ds < split.ds], theirs.ds)[-1:]
        new, old = (line.y[np.searchsorted(line.ds, common)] for line in (mine, theirs))
        owed = later.get(split.unique_id, 1.0)
        if not len(common) or _is_nearer(split.ratio, float(new[0] / old[0]) / owed):
            later[split.unique_id] = owed * split.ratio
            yield split


def _multiplied(good: pa.Table, splits: Sequence[Split]) -> pa.Table:
    """The rows, each multiplied by its series' later splits; volumes divided."""
    if not splits:
        return good
    (series, names), ds = ranked(good["unique_id"]), instants(good["ds"])
    rank = {name: at for at, name in enumerate(names.to_pylist())}
    offsets = series_offsets(series, len(names))
    factor = np.ones(good.num_rows)
    for split in splits:
        start, end = offsets[rank[split.unique_id] :][:2]
        factor[start : start + np.searchsorted(ds[start:end], split.ds)] *= split.ratio
    for place, name in enumerate(good.column_names):
        if name in VALUES:
            change = pc.divide if name == "volume" else pc.multiply
            good = good.set_column(place, name, change(good[name], pa.array(factor)))
    return good


def _findings(offered: dict[str, _Line], splits: Iterable[Split], panel: Panel) -> Iterator[Finding]:
    for split in splits:
        before = int(np.searchsorted(offered[split.unique_id].ds, split.ds))
        day = panel.label(split.ds)
        detail = (
            f"{split_name(split.ratio)} on {day}: the {before} bars before it are multiplied "
            f"by {split.ratio:g}"
        )
        yield Finding.of(rules.ADJUSTED, split.unique_id, before, detail)
