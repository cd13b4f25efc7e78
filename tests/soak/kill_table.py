"""What kills have left behind, and a table of it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Kill:
    """What was found after one kill.

    Attributes:
        stage: what was killed.
        lost: rows that were lost, right after the kill or by the nights after it.
        doubled: rows that the nights after it have too often.
        torn: what a reader could not read right after the kill; empty if it could read all.
        stuck: why the same night or the next one did not go on; empty if they did.
        orphans: processes left behind.
        left: temporary folders left behind.
        kept: those that the next night did not remove.
    """

    stage: str
    lost: int = 0
    doubled: int = 0
    torn: str = ""
    stuck: str = ""
    orphans: int = 0
    left: int = 0
    kept: int = 0

    @property
    def is_clean(self) -> bool:
        counts = (self.lost, self.doubled, self.orphans, self.kept)
        return not any(counts) and not self.torn and not self.stuck and self.left <= 1


_HEADS = ("kills", "rows lost", "doubled", "torn reads", "did not go on", "orphans", "folders left", "kept")


def print_kills(kills: Sequence[Kill]) -> None:
    """Print a row for each stage, then each thing that is wrong."""
    print(f"{'stage':12} " + "  ".join(_HEADS))
    stages = [*dict.fromkeys(one.stage for one in kills)]
    for stage in [*stages, "all"]:
        of = [one for one in kills if stage in {one.stage, "all"}]
        counts = (
            len(of),
            sum(one.lost for one in of),
            sum(one.doubled for one in of),
            sum(bool(one.torn) for one in of),
            sum(bool(one.stuck) for one in of),
            sum(one.orphans for one in of),
            sum(one.left for one in of),
            sum(one.kept for one in of),
        )
        print(f"{stage:12} " + "  ".join(f"{n:{len(head)}}" for n, head in zip(counts, _HEADS, strict=True)))
    for one in kills:
        if not one.is_clean:
            print(f"not clean: {one}")
