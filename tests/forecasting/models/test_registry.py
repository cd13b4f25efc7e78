from pathlib import Path

import pytest

from forecasting.errors import ModelError
from forecasting.models.registry import ModelMetadata, Registry
from forecasting.panel import Panel
from forecasting.storage import Storage

METADATA = ModelMetadata(sha256="0", settings={}, trained_at="2026-10-30T06:00:00+00:00")


def test_a_version_that_is_not_there_is_named(tiny_panel: Path, local_storage: Storage) -> None:
    with pytest.raises(ModelError, match=r"no model abc in .*; run with --mode retrain"):
        Registry(local_storage, "tiny").load(Panel.load(tiny_panel), "abc")


def test_a_version_that_lost_its_network_is_named(tiny_panel: Path, local_storage: Storage) -> None:
    local_storage.put("models/tiny/abc/metadata.json", METADATA.to_json())
    with pytest.raises(ModelError, match=r"has lost its model\.keras; run with --mode retrain"):
        Registry(local_storage, "tiny").load(Panel.load(tiny_panel), "abc")


def test_versions_are_the_folders_that_hold_one(local_storage: Storage) -> None:
    registry = Registry(local_storage, "fx")
    local_storage.put("models/fx/promotions/2026-10-30_x_a.json", b"{}")
    local_storage.put("models/fx/b/model.keras", b"")
    local_storage.put("models/fx/a/metadata.json", b"")
    local_storage.put("models/fx2/c/metadata.json", b"")
    assert registry.versions() == ["a", "b"]
