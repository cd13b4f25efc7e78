"""The process' environment: where our own lines go."""

import logging
from contextlib import redirect_stdout
from io import StringIO

import pytest

from deployments.environment import own_lines_only


def test_our_lines_follow_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log, elsewhere = logging.getLogger("deployments"), StringIO()
    with own_lines_only():
        log.info("first")
        with redirect_stdout(elsewhere):
            log.info("second")
    out, err = capsys.readouterr()
    assert out.endswith("  first\n")
    assert elsewhere.getvalue().endswith("  second\n")
    assert err == ""
