"""The examples in docstrings give the results that they show."""

import doctest
from importlib import import_module

import pytest

MODULES = (
    "as_of",
    "calendar",
    "digests",
    "formats",
    "models.inputs",
    "models.simulation.markets",
    "models.simulation.samples",
    "panel",
    "schedule",
    "storage",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    found = doctest.testmod(import_module(f"forecasting.{name}"))
    assert found.attempted > 0
    assert found.failed == 0
