"""The gate training after training: what publishes must neither slide down nor flip back and forth.

What each version is truly worth is known here; the holdout tells it with noise, drawn anew at every training.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from forecasting.evaluation.verdict import BEST, CHAMPION, Duel
from forecasting.selection.gate import choose

# The standard error of every difference on the holdout.
ERROR = 0.01


@dataclass(frozen=True)
class Reign:
    """The true losses of the champion (None: a baseline publishes) and of the best version on record."""

    champion: float | None
    best: float
    stand_in: str | None = None


@dataclass(frozen=True)
class Walks:
    """The true losses of the baselines."""

    ewma_walk: float
    random_walk: float


def holdout(losses: dict[str, float], rng: np.random.Generator) -> dict[str, float]:
    """The candidates' losses on one holdout."""
    return {name: loss + rng.normal(scale=ERROR / np.sqrt(2)) for name, loss in losses.items()}


def train(challenger: float, reign: Reign | None, walks: Walks, rng: np.random.Generator) -> Reign:
    """The incumbents after a challenger with this loss."""
    true = {"challenger": challenger, **vars(walks)}
    if reign is not None and reign.champion is not None:
        true[CHAMPION] = reign.champion
    if reign is not None and reign.best != reign.champion:
        true[BEST] = reign.best
    found = holdout(true, rng)
    choice = choose(
        lambda one, other: Duel(one, other, found[one] - found[other], ERROR),
        "challenger",
        [role for role in (CHAMPION, BEST) if role in true],
        None if reign is None else reign.stand_in,
    )
    is_walk = choice.publishes in vars(walks)
    return Reign(
        champion=None if is_walk else true[choice.publishes],
        best=true[choice.best],
        stand_in=choice.publishes if is_walk else None,
    )


def reigns(challengers: Iterable[float], walks: Walks, seed: int) -> list[Reign]:
    rng, reign, found = np.random.default_rng(seed), None, []
    for challenger in challengers:
        reign = train(challenger, reign, walks, rng)
        found.append(reign)
    return found


def slid_without_a_record(challengers: np.ndarray, seed: int) -> float:
    """The end of the same chain if a challenger only has to hold against the one before it."""
    rng, champion = np.random.default_rng(seed), challengers[0]
    for challenger in challengers[1:]:
        found = holdout({"new": challenger, "old": champion}, rng)
        if not Duel("new", "old", found["new"] - found["old"], ERROR).lost:
            champion = challenger
    return float(champion)


@pytest.mark.parametrize(("share", "trainings"), [(0.02, 1000), (0.1, 300), (0.5, 300)])
def test_a_chain_of_slightly_worse_challengers_does_not_lower_the_standard(
    share: float, trainings: int
) -> None:
    """Each challenger is `share` standard errors worse than the one before."""
    challengers = 0.8 + share * ERROR * np.arange(trainings)
    for seed in range(12):
        published = [reign.champion for reign in reigns(challengers, Walks(9.0, 9.0), seed)]
        assert None not in published
        # A tie is up to one standard error, and in 1,000 trainings some holdout errs by three or more.
        assert max(loss for loss in published if loss is not None) < 0.8 + 5 * ERROR
        assert published[-1] is not None
        assert published[-1] < 0.8 + 3 * ERROR


def test_the_same_chain_declines_if_only_the_challenger_before_counts() -> None:
    challengers = 0.8 + 0.001 * np.arange(300)
    assert min(slid_without_a_record(challengers, seed) for seed in range(20)) > 0.8 + 25 * ERROR


def test_a_chain_of_slightly_better_challengers_publishes_the_better_ones() -> None:
    challengers = 0.8 - 0.001 * np.arange(300)
    for seed in range(20):
        champion = reigns(challengers, Walks(9.0, 9.0), seed)[-1].champion
        assert champion is not None
        assert champion < challengers[-1] + 2 * ERROR


def test_new_versions_of_the_same_quality_mostly_publish() -> None:
    # A challenger is refused by chance, against champion or best, about one time in four.
    challengers = 0.8 + 1e-9 * np.arange(300)
    found = reigns(challengers, Walks(9.0, 9.0), seed=0)
    fresh = [reign.champion == challenger for reign, challenger in zip(found, challengers, strict=True)]
    assert np.mean(fresh) > 0.65


def changes(found: list[str | None]) -> int:
    return sum(one != other for one, other in pairwise(found))


def test_a_model_no_better_than_a_baseline_does_not_flap() -> None:
    # If ties sufficed, an equally good model would be replaced one time in six and return at the next test.
    rng = np.random.default_rng(0)
    lost = [Duel("model", "ewma_walk", gap, ERROR).lost for gap in rng.normal(scale=ERROR, size=300)]
    by_ties_alone = changes(["ewma_walk" if one else None for one in lost])
    found = reigns(1.0 + 1e-9 * np.arange(300), Walks(1.0, 2.0), seed=0)
    held = changes([reign.stand_in for reign in found])
    assert held < 0.7 * by_ties_alone
