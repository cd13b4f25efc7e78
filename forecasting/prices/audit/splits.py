"""Back-adjustment: adjust the prices before a split to the level after it, for panels that ask for it.

A split is found once, in an offer with enough bars on both sides of it, and then stored: later offers may
have too few bars to find it again, or only bars from before the split. It is applied only to bars that still
show the old level, so a source that starts to adjust its own prices is not adjusted twice.
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
        ratio: new price divided by old price: 0.5 for a 2:1 split.
    """

    unique_id: str
    ds: np.datetime64
    ratio: float


@dataclass(frozen=True)
class Adjusted:
    """Offered rows after split adjustment.

    Attributes:
        good: the adjusted rows.
        applied: splits that the rows were adjusted for, the newest of a series first.
        due: those among `applied` that the stored bars may not have been adjusted for yet, in that order.
        found: those among `applied` that were not known before.
        findings: one for each applied split.
    """

    good: pa.Table
    applied: tuple[Split, ...]
    due: tuple[Split, ...]
    found: tuple[Split, ...]
    findings: tuple[Finding, ...]


def adjust_splits(good: pa.Table, stored: pa.Table, known: Sequence[Split], panel: Panel) -> Adjusted:
    """Multiply the prices before each likely split by its ratio, and divide the volumes.

    The price table stores the new past as a later vintage, so the rows that earlier forecasts read remain.

    Args:
        good: `schema.GOOD`, sorted by `unique_id`, `ds`, one row per bar. Finding a new split needs 60 bars
            before it and five after it.
        stored: newest stored values of the bars from the oldest bar of `good` on.
        known: splits found before.
        panel: its target shows the splits; `split_scales` sets the required precision.
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
    """The priced bars of one series in order; possibly none."""

    ds: np.ndarray = field(default_factory=lambda: np.empty(0, dtype="datetime64[us]"))
    y: np.ndarray = field(default_factory=lambda: np.empty(0))


def _lines(rows: pa.Table, splits: Iterable[Split], target: str) -> dict[str, _Line]:
    """The series that have splits, by id."""
    ids = pa.array(sorted({split.unique_id for split in splits}), pa.string())
    bars = Bars.from_table(rows.filter(pc.is_in(rows["unique_id"].cast(pa.string()), ids)), target)
    places = zip(bars.ids, bars.offsets[:-1], bars.offsets[1:], strict=True)
    return {name: _Line(bars.ds[start:end], bars.y[start:end]) for name, start, end in places}


def _still_raw(good: pa.Table, stored: pa.Table, known: Sequence[Split], target: str) -> Iterator[Split]:
    """The known splits for which the offered bars before them are still on the old level, newest first."""
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
    """The splits with offered bars before them, newest first; splits without a bar in between are grouped."""
    gaps: dict[tuple[str, int], list[Split]] = {}
    for split in sorted(known, key=lambda split: split.ds, reverse=True):
        if split.unique_id in offered:
            before = int(np.searchsorted(offered[split.unique_id].ds, split.ds))
            gaps.setdefault((split.unique_id, before), []).append(split)
    return [gap for (_, before), gap in gaps.items() if before]


def _is_raw(offered: _Line, stored: _Line, ds: np.datetime64, ratio: float, later: float) -> bool:
    """Whether the offered bars before a split are still on the old level.

    The last of them is compared with what follows it: the next offered bar if the store has no bar in
    between (it may be a year later, at a very different price), or else the stored value of that bar or the
    next one.

    Args:
        offered: the series as offered.
        stored: the series as stored, adjusted.
        ds: the first bar on the new level.
        ratio: ratio of the split.
        later: product of the ratios of later splits that the offered bars are not adjusted for either.
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
    """Whether a change is closer to a split by `ratio` than to no split."""
    return change > 0 and bool(abs(np.log(change / ratio)) < abs(np.log(change)))


def _due(offered: dict[str, _Line], stored: dict[str, _Line], applied: Iterable[Split]) -> Iterator[Split]:
    """The splits that the stored bars are not, or may not be, adjusted for.

    They may not be if no stored bar before the split was offered again.

    Args:
        offered: series as offered, adjusted.
        stored: the same series as stored.
        applied: splits that the offered bars were adjusted for, the newest of a series first.
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
    """The rows with prices multiplied by all later splits of their series, and volumes divided."""
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
