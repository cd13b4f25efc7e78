"""Rot of one file of each kind that nights leave; `make soak` does the same with every file, in every way."""

from pathlib import Path

import pytest

from tests.soak.rot import DAMAGES, damage_and_run, files_of, kind_of, make_nights

KINDS = 47


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rot") / "nights"
    make_nights(folder)
    return folder


def test_there_is_no_other_kind_of_file(nights: Path) -> None:
    assert len({kind_of(file) for file in files_of(nights)}) == KINDS


# Every other kind: `make soak` damages all of them, each in every way.
@pytest.mark.parametrize("number", range(0, KINDS, 2))
def test_what_rots_is_mended_or_named(nights: Path, number: int) -> None:
    newest = {kind_of(file): file for file in files_of(nights)}
    kind = sorted(newest)[number]
    outcome = damage_and_run(nights, newest[kind], DAMAGES[number // 2 % len(DAMAGES)])
    assert outcome.result != "silent", outcome
