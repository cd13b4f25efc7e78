"""Digests: models and forecasts are identified by a digest of their inputs."""

import hashlib
import json
from typing import Any

import numpy as np

# 64 bits are enough for all forecasts of a panel, and short enough for paths and log lines.
DIGEST_CHARACTERS = 16


def digest_bytes(data: bytes) -> str:
    """Return the full SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_record(record: dict[str, Any]) -> str:
    """Return a short digest of a JSON-able record. The order of its keys does not matter.

    >>> digest_record({"a": 1, "b": 2}) == digest_record({"b": 2, "a": 1})
    True

    Raises:
        ValueError: the record contains NaN or infinity, which JSON cannot represent.
    """
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return digest_bytes(text.encode())[:DIGEST_CHARACTERS]


def digest_arrays(*arrays: np.ndarray) -> str:
    """Return a short digest of the values, types and shapes of arrays, whatever their memory layout."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.dtype.str}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()[:DIGEST_CHARACTERS]
