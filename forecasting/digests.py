"""Digests: the identities of models and forecasts are digests of what went into them."""

import hashlib
import json
from typing import Any

import numpy as np

# 64 bits name every forecast a panel will ever have, and still fit in a path and a log line.
DIGEST_CHARACTERS = 16


def digest_bytes(data: bytes) -> str:
    """Full SHA-256 of `data`, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_record(record: dict[str, Any]) -> str:
    """Short digest of a JSON-able record, independent of the order of its keys.

    Raises:
        ValueError: the record holds NaN or infinity, which have no one JSON form.
    """
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return digest_bytes(text.encode())[:DIGEST_CHARACTERS]


def digest_arrays(*arrays: np.ndarray) -> str:
    """Short digest of arrays: their values, types and shapes, whatever their memory layout."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.dtype.str}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()[:DIGEST_CHARACTERS]
