"""Panels and stores for the tests of prices."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forecasting.panel import Panel
from forecasting.storage import Storage

ROOT = Path(__file__).parents[3]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "store"))


@pytest.fixture(scope="session")
def make_panel() -> Callable[..., Panel]:
    """A daily panel on the 24/7 calendar unless given otherwise; `source` needs at least a `uri`."""

    def make(source: dict[str, Any], **sections: dict[str, Any]) -> Panel:
        return Panel.model_validate({"name": "tiny", "source": source, **sections})

    return make


@pytest.fixture(scope="session")
def ecb_panel() -> Panel:
    return Panel.load(ROOT / "deployments/panels/ecb_fx.toml")
