"""The audit of values beside the target: a bad one is dropped, and costs no bar."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.findings import Action, Finding, Rule, Severity
from forecasting.formats import format_count
from forecasting.panel import Panel
from forecasting.prices.audit import rules
from forecasting.prices.audit.times import written_row
from forecasting.prices.order import ranked
from forecasting.prices.schema import VALUES

# Beyond this size no price is real, and changes of it would not be numbers.
MOST = 1e30
# Adjusting prices by a factor may move them out of their range by the last bit of a float.
_ROUNDING = 1e-9

# Why a value is dropped, where the rule's explanation is about the target.
_WHY = {rules.NOT_POSITIVE: "it is not above zero"}

_Masks = dict[str, np.ndarray]


def drop_values(rows: pa.Table, panel: Panel) -> tuple[pa.Table, list[Finding]]:
    """The rows without the values beside the target that cannot be right, and findings on them.

    Args:
        rows: `schema.OFFERED`.
        panel: its target and transform.
    """
    target = panel.forecast.target
    given = [name for name in VALUES if rows[name].null_count < rows.num_rows]
    values = {name: rows[name].to_numpy() for name in given}  # NaN where null
    findings = list(_unread_findings(rows))
    if not set(given) - {target}:
        return rows, findings
    dropped: _Masks = {}
    with np.errstate(invalid="ignore"):
        for rule, masks in _broken(values, panel):
            others = {name: mask & ~np.isnan(values[name]) for name, mask in masks.items() if name != target}
            some = {name: mask for name, mask in others.items() if mask.any()}
            findings.extend(_findings(rows, rule, some, panel))
            for name, mask in some.items():
                dropped[name] = dropped.get(name, False) | mask
                values[name] = np.where(mask, np.nan, values[name])
    for name, mask in dropped.items():
        kept = pc.if_else(pa.array(~mask), rows[name].combine_chunks(), None)
        rows = rows.set_column(rows.column_names.index(name), name, kept)
    return rows, findings


def _broken(values: _Masks, panel: Panel) -> Iterator[tuple[Rule, _Masks]]:
    """The values that break each rule, by column. A value that broke one is NaN for the next."""
    prices = [name for name in values if name != "volume"]
    yield (
        rules.NOT_FINITE,
        {
            name: np.isinf(values[name]) | ((np.abs(values[name]) > MOST) & (name != "volume"))
            for name in values
        },
    )
    if panel.forecast.transform == "log":
        yield rules.NOT_POSITIVE, {name: values[name] <= 0 for name in prices}
    if "volume" in values:
        yield rules.NEGATIVE_VOLUME, {"volume": values["volume"] < 0}
    if "high" in values and "low" in values:
        crossed = _below(values["high"], values["low"])
        yield rules.HIGH_BELOW_LOW, {"high": crossed, "low": crossed}
    # A close outside high and low says that these are of another kind, such as unadjusted; so is the open.
    outside = {name: _outside(values, name) for name in ("close", "open") if name in values}
    close = outside.get("close", np.zeros(1, dtype=bool))
    yield (
        rules.OUT_OF_RANGE,
        {
            **{name: np.broadcast_to(close, len(values[name])) for name in ("high", "low") if name in values},
            **({"open": outside["open"] | close} if "open" in values else {}),
        },
    )


def _outside(values: _Masks, name: str) -> np.ndarray:
    high, low = (values.get(one, np.array(np.nan)) for one in ("high", "low"))
    return _below(values[name], low) | _below(high, values[name])


def _below(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    below: np.ndarray = some < others * (1 - np.copysign(_ROUNDING, others))
    return below


def _findings(rows: pa.Table, rule: Rule, masks: _Masks, panel: Panel) -> Iterator[Finding]:
    """One finding for each series whose values break a rule."""
    if not masks:
        return
    some = rows.take(pa.array(np.flatnonzero(np.logical_or.reduce([*masks.values()]))))
    for unique_id, count, first in _by_series(some):
        detail = f"{_kept(count)} without {_named(masks)}: {_WHY.get(rule, rule.explanation)}; the first: "
        finding = Finding.of(rule, unique_id, count, detail + written_row(first, panel))
        yield replace(finding, action=Action.REPAIR, severity=Severity.WARNING)


def _kept(count: int) -> str:
    return f"{format_count(count, 'bar')} {'is' if count == 1 else 'are'} kept"


def _unread_findings(rows: pa.Table) -> Iterator[Finding]:
    """One finding for each series and column with values that could not be read."""
    if rows["remark"].null_count == len(rows):
        return
    unread = rows.filter(pc.and_(rows["remark"].is_valid(), rows["raw"].is_null()))
    for name in VALUES:
        of_name = unread.filter(pc.match_substring(unread["remark"], f'{name}="'))
        for unique_id, count, first in _by_series(of_name):
            detail = (
                f"{_kept(count)} without {name}, which could not be read; the first: "
                f"{first['remark']}; "
                f'correct the source, or leave the column out: [source] columns = {{ {name} = "" }}'
            )
            yield Finding.of(rules.VALUE_DROPPED, unique_id, count, detail)


def _by_series(rows: pa.Table) -> Iterator[tuple[str, int, dict[str, object]]]:
    """The id, number of rows and first row of each series; rows without an id are one."""
    if not rows.num_rows:
        return
    series, ids = ranked(pc.fill_null(rows["unique_id"].cast(pa.string()), ""))
    for one, name in enumerate(ids.to_pylist()):
        at = np.flatnonzero(series == one)
        yield name, len(at), rows.slice(int(at[0]), 1).to_pylist()[0]


def _named(masks: _Masks) -> str:
    names = [name for name in VALUES if name in masks]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
