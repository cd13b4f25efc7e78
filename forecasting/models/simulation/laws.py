"""The laws of simulated markets: ranges from which each simulated series draws its own parameters.

Sizes are in units of the series' usual one-bar volatility, times in bars. The ranges were not fitted to
prices; they are wide enough for currencies, shares, commodities and coins.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

Range = tuple[float, float]


@dataclass(frozen=True)
class Laws:
    """Ranges of the parameters, and the shares of series that have a property at all.

    Attributes:
        half_lives: one range, in bars, for each component of log volatility; drawn log-uniformly. Several
            components give the slow decay of the autocorrelation of absolute changes (Corsi, "A simple
            approximate long-memory model of realized volatility", 2009; Chernov et al., "Alternative models
            for stock price dynamics", 2003).
        volatility_spread: stationary standard deviation of log volatility; log-uniform, divided at random
            over components.
        reaction_share, reaction: how much of the volatility's shocks is the size of the last change, as in
            GARCH, and not noise of its own (Nelson, "Conditional heteroskedasticity in asset returns", 1991);
            uniform.
        leverage_share, leverage: correlation of a change with the volatility after it (Black, "Studies of
            stock price volatility changes", 1976); uniform, of either sign, since a
            fall of one currency is a rise of the other.
        tail_least, tail_mean, tail_most: degrees of freedom of the Student t distribution of changes
            (Bollerslev, "A conditionally heteroskedastic time series model for speculative prices and rates
            of return", 1987); the least plus an exponential variable, cut at the most.
        skew_share, skew: standard deviation of how much larger rises are than falls (Fernandez and Steel, "On
            Bayesian modeling of fat tails and skewness", 1998).
        jump_share, jump_rate, jump_size: jumps per bar and their standard deviation (Merton, "Option pricing
            when underlying stock returns are discontinuous", 1976); log-uniform.
        break_share, break_rate, break_size: breaks per bar of the usual volatility, log-uniform, and the
            standard deviation of the new level's logarithm, uniform (Lamoureux and Lastrapes, "Persistence in
            variance, structural change, and the GARCH model", 1990).
        pull_share, pull: half-life, in bars, of the pull of the price back to its usual level, as in
            commodities and target zones (Schwartz, "The stochastic behavior of commodity prices", 1997);
            log-uniform.
        drift_share, drift: standard deviation of the mean change per bar.
        echo_share, echo: autocorrelation of changes at one bar (Lo and MacKinlay, "Stock market prices do not
            follow random walks", 1988); uniform.
        noise_share, noise: standard deviation of the difference between a quoted and the true price (Roll, "A
            simple implicit measure of the effective bid-ask spread", 1984); uniform.
        tick_share, tick: step between possible prices (Harris, "Stock price clustering and discreteness",
            1991); log-uniform.
        hold_share, hold_rate, hold_length: stretches in which the price is not updated, per bar and their
            mean length in bars (Lo and MacKinlay, "An econometric analysis of nonsynchronous trading", 1990);
            log-uniform.
    """

    half_lives: tuple[Range, ...]
    volatility_spread: Range = (0.1, 0.8)
    reaction_share: float = 0.7
    reaction: Range = (0.0, 0.8)
    leverage_share: float = 0.7
    leverage: Range = (-0.9, 0.9)
    tail_least: float = 2.6
    tail_mean: float = 6.0
    tail_most: float = 40.0
    skew_share: float = 0.3
    skew: float = 0.08
    jump_share: float = 0.2
    jump_rate: Range = (0.0005, 0.02)
    jump_size: Range = (2.0, 10.0)
    break_share: float = 0.2
    break_rate: Range = (1 / 3000, 1 / 300)
    break_size: Range = (0.2, 0.9)
    pull_share: float = 0.08
    pull: Range = (10.0, 400.0)
    drift_share: float = 0.25
    drift: float = 0.04
    echo_share: float = 0.1
    echo: Range = (-0.2, 0.2)
    noise_share: float = 0.2
    noise: Range = (0.0, 0.6)
    tick_share: float = 0.15
    tick: Range = (0.02, 1.0)
    hold_share: float = 0.1
    hold_rate: Range = (0.001, 0.3)
    hold_length: Range = (1.0, 60.0)


DAILY = Laws(half_lives=((2, 15), (15, 120), (120, 1500)))
INTRADAY = Laws(half_lives=((2, 30), (30, 400), (400, 10000)), drift=0.015, pull=(50, 4000))


@dataclass(frozen=True)
class Worlds:
    """The parameters of N simulated series; float32 arrays (N,), or (components, N).

    Attributes:
        decay: (components, N); share of a component of log volatility that remains after one bar.
        spread: (components, N); stationary standard deviation of each component.
        reaction: share of the volatility's shocks that comes from the size of the change.
        leverage: correlation of a change with the volatility's shock.
        tail: degrees of freedom of changes.
        skew: relative increase of the size of rises, and decrease of the size of falls.
        mean_size: mean absolute change before skew and jumps, in standard deviations.
        jump_rate: jumps per bar.
        jump_size: standard deviation of a jump.
        break_rate: breaks per bar.
        break_size: standard deviation of a new level of log volatility.
        pull: share of the distance to its usual level that the price loses per bar.
        drift: mean change per bar.
        echo: autocorrelation of changes.
        noise: standard deviation of the quoted less the true price.
        tick: step between possible prices; 0 for none.
        hold_rate: probability per bar that a stretch without new quotes begins.
        hold_end: probability per bar that such a stretch ends.
    """

    decay: np.ndarray
    spread: np.ndarray
    reaction: np.ndarray
    leverage: np.ndarray
    tail: np.ndarray
    skew: np.ndarray
    mean_size: np.ndarray
    jump_rate: np.ndarray
    jump_size: np.ndarray
    break_rate: np.ndarray
    break_size: np.ndarray
    pull: np.ndarray
    drift: np.ndarray
    echo: np.ndarray
    noise: np.ndarray
    tick: np.ndarray
    hold_rate: np.ndarray
    hold_end: np.ndarray

    @classmethod
    def draw(cls, laws: Laws, count: int, rng: np.random.Generator) -> Self:
        """Draw the parameters of `count` series."""

        def uniform(limits: Range) -> np.ndarray:
            return rng.uniform(*limits, count)

        def log_uniform(limits: Range) -> np.ndarray:
            return np.exp(rng.uniform(math.log(limits[0]), math.log(limits[1]), count))

        def some(share: float, values: np.ndarray) -> np.ndarray:
            return np.where(rng.random(count) < share, values, 0)

        parts = rng.dirichlet(np.ones(len(laws.half_lives)), count).T
        tail = np.minimum(laws.tail_least + rng.exponential(laws.tail_mean, count), laws.tail_most)
        parameters = {
            "decay": np.stack([0.5 ** (1 / log_uniform(limits)) for limits in laws.half_lives]),
            "spread": log_uniform(laws.volatility_spread) * np.sqrt(parts),
            "reaction": some(laws.reaction_share, uniform(laws.reaction)),
            "leverage": some(laws.leverage_share, uniform(laws.leverage)),
            "tail": tail,
            "skew": some(laws.skew_share, rng.normal(0, laws.skew, count)),
            "mean_size": _mean_size(tail),
            "jump_rate": some(laws.jump_share, log_uniform(laws.jump_rate)),
            "jump_size": log_uniform(laws.jump_size),
            "break_rate": some(laws.break_share, log_uniform(laws.break_rate)),
            "break_size": uniform(laws.break_size),
            "pull": some(laws.pull_share, math.log(2) / log_uniform(laws.pull)),
            "drift": some(laws.drift_share, rng.normal(0, laws.drift, count)),
            "echo": some(laws.echo_share, uniform(laws.echo)),
            "noise": some(laws.noise_share, uniform(laws.noise)),
            "tick": some(laws.tick_share, log_uniform(laws.tick)),
            "hold_rate": some(laws.hold_share, log_uniform(laws.hold_rate)),
            "hold_end": 1 / log_uniform(laws.hold_length),
        }
        return cls(**{name: values.astype(np.float32) for name, values in parameters.items()})

    def each(self, of: Callable[[np.ndarray], np.ndarray]) -> Self:
        """Apply a function to every array."""
        return type(self)(**{name: of(values) for name, values in vars(self).items()})


def _mean_size(tail: np.ndarray) -> np.ndarray:
    """Mean absolute value of Student t variables with unit variance and `tail` degrees of freedom."""
    ratio = np.exp([math.lgamma((df + 1) / 2) - math.lgamma(df / 2) for df in tail])
    size: np.ndarray = 2 * np.sqrt((tail - 2) / np.pi) * ratio / (tail - 1)
    return size
