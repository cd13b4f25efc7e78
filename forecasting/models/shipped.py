"""The pretrained network that the package ships, and what is known of it."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from forecasting.models.network import Network

FOLDER = Path(__file__).parent / "pretrained"
NETWORK, METADATA = "model.keras", "metadata.json"


@cache
def shipped_network() -> Network:
    """The network that `make pretrain` made."""
    return Network.read((FOLDER / NETWORK).read_bytes())


@cache
def shipped_metadata() -> dict[str, Any]:
    """How it was made, and what it is worth on fresh simulated markets."""
    metadata: dict[str, Any] = json.loads((FOLDER / METADATA).read_text())
    return metadata
