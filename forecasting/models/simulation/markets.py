"""Simulates price paths, and several futures from the true state of each series at each origin.

A recorded history has one future. A simulator knows the true state, so it can draw several: eight futures
make a training target with an eighth of the variance. They come in pairs with opposite shocks (antithetic
variates).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from forecasting.models.simulation.laws import Laws, Worlds

# Futures are recorded at these steps ahead, about evenly spaced in their logarithms.
STEPS_AHEAD = np.array([1, 2, 3, 5, 8, 12, 18, 26, 36, 50, 72, 100, 140, 190, 250])
PATHS = 8
# Limits of the shocks that drive volatility, in standard deviations, and of log volatility.
_SHOCK_LIMIT = 6.0
_LOG_VOLATILITY_LIMIT = 4.0
# A break of the usual volatility keeps this share of the earlier breaks.
_KEPT_AFTER_BREAK = 0.5
# Bars whose shocks are drawn at once: few calls, and arrays that fit in the processor's cache.
_BLOCK = 50


class Length(NamedTuple):
    """Length of the simulated histories, and the place of their origins.

    Attributes:
        bars: bars of each history.
        first: the earliest origin.
        early: half of the origins lie before this bar, so that the network learns short histories.
        origins: origins of each history; the same bars in all series of one simulation.
    """

    bars: int
    first: int
    early: int
    origins: int


@dataclass(frozen=True)
class Markets:
    """N simulated series of L bars, with futures from some of their bars.

    Attributes:
        worlds: the parameters of each series.
        level: (L, N) float32; the quoted log price.
        origins: (O,) the bars from which futures were drawn.
        futures: (O, N, paths, 15) float32; change of the quoted log price at `STEPS_AHEAD`.
    """

    worlds: Worlds
    level: np.ndarray
    origins: np.ndarray
    futures: np.ndarray


@dataclass
class _State:
    """The state of M paths; float32 arrays (M,) unless noted."""

    components: np.ndarray  # (components, M) of log volatility
    usual: np.ndarray  # the part of log volatility that only breaks move
    price: np.ndarray  # the true log price
    change: np.ndarray  # its last change
    seen: np.ndarray  # the true log price when it was last quoted
    held: np.ndarray  # bool; whether the quote is not updated

    @classmethod
    def start(cls, worlds: Worlds, rng: np.random.Generator) -> "_State":
        """Draw a start: stationary volatility, and the price at its usual level."""
        count = len(worlds.tail)
        usual, price, change, seen = np.zeros((4, count), np.float32)
        components = worlds.spread * rng.standard_normal(worlds.spread.shape, dtype=np.float32)
        return cls(components, usual, price, change, seen, held=np.zeros(count, bool))

    def copies(self, count: int) -> "_State":
        """Repeat all paths `count` times, copy by copy."""
        return _State(
            **{name: np.concatenate([values] * count, axis=-1) for name, values in vars(self).items()}
        )


class _Shocks(NamedTuple):
    """The random shocks of M paths in one bar."""

    change: np.ndarray  # (M,) in units of the volatility
    volatility: np.ndarray  # (M,) in standard deviations of the volatility's shocks
    broken: np.ndarray  # (breaks,) which paths get a new usual volatility
    broken_to: np.ndarray  # (breaks,) where it lies
    hold: np.ndarray  # (M,) uniform


class _Engine:
    """Moves M paths bar by bar."""

    def __init__(self, worlds: Worlds, rng: np.random.Generator, *, pairs: bool) -> None:
        self._worlds = worlds
        self._rng = rng
        self._pairs = pairs  # the second half of the paths gets the opposite shocks of the first
        self._kick = worlds.spread * np.sqrt(1 - worlds.decay**2)
        self._own = np.sqrt(1 - worlds.reaction**2) * np.sqrt(1 - worlds.leverage**2)
        self._size = worlds.reaction * np.sqrt(1 - worlds.leverage**2) / np.sqrt(1 - worlds.mean_size**2)
        self._skewed = 1 / np.sqrt(1 + worlds.skew**2 * (1 - worlds.mean_size**2))
        self._may_hold = bool(worlds.hold_rate.any())

    def shocks(self, bars: int) -> Iterator[_Shocks]:
        """Draw the shocks of the next `bars` bars."""
        for start in range(0, bars, _BLOCK):
            yield from self._block(min(_BLOCK, bars - start))

    def advance(self, state: _State, shocks: _Shocks) -> None:
        """Move `state` by one bar."""
        worlds = self._worlds
        log_volatility = state.components.sum(axis=0)
        log_volatility += state.usual
        volatility = np.exp(np.clip(log_volatility, -_LOG_VOLATILITY_LIMIT, _LOG_VOLATILITY_LIMIT))
        change = (shocks.change + worlds.drift) * volatility
        change += worlds.echo * state.change
        change -= worlds.pull * state.price
        state.change = change
        state.price += change
        state.components *= worlds.decay
        state.components += self._kick * shocks.volatility
        if len(shocks.broken):
            state.usual[shocks.broken] = _KEPT_AFTER_BREAK * state.usual[shocks.broken] + shocks.broken_to
        if self._may_hold:
            state.held = np.where(state.held, shocks.hold >= worlds.hold_end, shocks.hold < worlds.hold_rate)
        np.copyto(state.seen, state.price, where=~state.held)

    def _block(self, bars: int) -> Iterator[_Shocks]:
        worlds, rng = self._worlds, self._rng
        shape = (bars, len(worlds.tail))
        change = self._changes(bars)
        event = rng.random(shape, dtype=np.float32)
        jumps = np.nonzero(event < worlds.jump_rate)
        change[jumps] += worlds.jump_size[jumps[1]] * rng.standard_normal(len(jumps[0]), dtype=np.float32)
        volatility = rng.standard_normal(shape, dtype=np.float32)
        volatility *= self._own
        size = np.minimum(np.abs(change), _SHOCK_LIMIT)
        volatility += self._size * (size - worlds.mean_size)
        volatility += worlds.leverage * np.copysign(size, change, out=size)
        bar, broken = np.nonzero(event > 1 - worlds.break_rate)
        broken_to = worlds.break_size[broken] * rng.standard_normal(len(broken), dtype=np.float32)
        ends = np.searchsorted(bar, np.arange(bars + 1))
        hold = rng.random(shape, dtype=np.float32) if self._may_hold else event
        for place in range(bars):
            breaks = slice(ends[place], ends[place + 1])
            yield _Shocks(change[place], volatility[place], broken[breaks], broken_to[breaks], hold[place])

    def _changes(self, bars: int) -> np.ndarray:
        """(bars, M) skewed Student t variables of mean 0 and variance 1."""
        worlds, rng = self._worlds, self._rng
        count = len(worlds.tail) // 2 if self._pairs else len(worlds.tail)
        tail = worlds.tail[:count]
        gamma = rng.standard_gamma(np.broadcast_to(tail / 2, (bars, count)), dtype=np.float32)
        change = rng.standard_normal((bars, count), dtype=np.float32)
        change *= np.sqrt((tail / 2 - 1) / gamma)
        if self._pairs:
            change = np.concatenate([change, -change], axis=1)
        change += worlds.skew * (np.abs(change) - worlds.mean_size)
        change *= self._skewed
        return change


def simulate(
    laws: Laws, series: int, length: Length, rng: np.random.Generator, paths: int = PATHS
) -> Markets:
    """Simulate `series` histories, and an even number of futures, `paths`, from each origin.

    Example:
        >>> from forecasting.models.simulation.laws import DAILY
        >>> length = Length(bars=300, first=60, early=150, origins=2)
        >>> simulate(DAILY, 10, length, np.random.default_rng(1)).futures.shape
        (2, 10, 8, 15)
    """
    worlds = Worlds.draw(laws, series, rng)
    origins = _draw_origins(length, rng)
    quote = _Quotes(worlds, rng)
    engine = _Engine(worlds, rng, pairs=False)
    state = _State.start(worlds, rng)
    seen = np.empty((length.bars, series), np.float32)
    held = np.empty((length.bars, series), bool)
    states = []
    for bar, shocks in enumerate(engine.shocks(length.bars)):
        engine.advance(state, shocks)
        seen[bar], held[bar] = state.seen, state.held
        if bar in origins:
            states.append(state.copies(paths))
    level = quote.history(seen, held)
    ahead = _Engine(worlds.each(lambda values: np.concatenate([values] * paths, axis=-1)), rng, pairs=True)
    futures = np.stack(
        [_futures(ahead, state, quote, level[bar]) for bar, state in zip(origins, states, strict=True)]
    )
    return Markets(worlds, level, origins, futures)


class _Quotes:
    """Turns true prices into quotes: adds noise and rounds to ticks."""

    def __init__(self, worlds: Worlds, rng: np.random.Generator) -> None:
        self._noise = worlds.noise
        self._tick = np.where(worlds.tick > 0, worlds.tick, 1)
        self._rounded = np.flatnonzero(worlds.tick > 0)
        self._rng = rng

    def of(self, price: np.ndarray) -> np.ndarray:
        """(..., N) quotes of the true log prices `price`."""
        quote = price + self._noise * self._rng.standard_normal(price.shape, dtype=np.float32)
        tick = self._tick[self._rounded]
        quote[..., self._rounded] = np.rint(quote[..., self._rounded] / tick) * tick
        return quote

    def history(self, seen: np.ndarray, held: np.ndarray) -> np.ndarray:
        """(L, N) quotes; a held quote repeats the one before."""
        last = np.maximum.accumulate(np.where(held, 0, np.arange(len(seen))[:, None]), axis=0)
        return np.take_along_axis(self.of(seen), last, axis=0)


def _futures(engine: _Engine, state: _State, quotes: _Quotes, quoted: np.ndarray) -> np.ndarray:
    """(N, paths, 15) changes of the quotes from `quoted` (N,), when `state` (paths * N) moves on."""
    paths = len(state.price) // len(quoted)
    found = np.empty((len(STEPS_AHEAD), paths, len(quoted)), np.float32)
    updated = np.zeros(len(state.price), bool)
    place = 0
    for step, shocks in enumerate(engine.shocks(int(STEPS_AHEAD[-1])), start=1):
        engine.advance(state, shocks)
        updated |= ~state.held
        if step == STEPS_AHEAD[place]:
            quote = quotes.of(state.seen.reshape(paths, -1))
            found[place] = np.where(updated.reshape(paths, -1), quote - quoted, 0)
            place += 1
    return np.ascontiguousarray(found.transpose(2, 1, 0))


def _draw_origins(length: Length, rng: np.random.Generator) -> np.ndarray:
    """(O,) sorted bars: half of them early, half later."""
    early = length.origins // 2
    short = rng.choice(np.arange(length.first, length.early), early, replace=False)
    long = rng.choice(np.arange(length.early, length.bars), length.origins - early, replace=False)
    return np.sort(np.concatenate([short, long]))
