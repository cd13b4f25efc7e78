"""Damaged files, unsupported compression, and unreadable files: each gives a one-line error."""

import errno
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.panel_settings import Source
from forecasting.prices.sources import read_source
from forecasting.prices.sources.allowance import Allowance
from forecasting.prices.sources.documents import Document

DAYS = np.datetime64("2020-01-01") + np.arange(500)
CLOSES = np.random.default_rng(0).lognormal(4, 0.1, len(DAYS))
PRICES = pd.DataFrame({"ds": DAYS.astype(str), "unique_id": "A", "close": CLOSES})
NO_CODEC = 9  # Deflate64, which Windows writes
ENCRYPTED = 1


def parquet(compression: str | None) -> bytes:
    packed = io.BytesIO()
    PRICES.to_parquet(packed, compression=compression)
    return packed.getvalue()


def zipped(method: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("prices.csv", PRICES.to_csv(index=False))
    return packed.getvalue()


def spoil(data: bytes, at: int, count: int) -> bytes:
    return data[:at] + bytes(byte ^ 0x5A for byte in data[at : at + count]) + data[at + count :]


def marked(local: int, value: int) -> bytes:
    """A zip whose member has another value in its two headers; `local` is its place in the first."""
    data = bytearray(zipped(zipfile.ZIP_STORED))
    for start in (local, data.rindex(b"PK\x01\x02") + local + 2):
        data[start] = value
    return bytes(data)


DAMAGED = {
    "page header.parquet": (spoil(parquet("snappy"), 4, 20), "damaged or cut short"),
    "snappy page.parquet": (
        spoil(parquet("snappy"), 40, 200),
        "damaged or cut short",
    ),
    "plain page.parquet": (parquet(None).replace(b"2020-01-02", b"\xff" * 10), "Invalid UTF8"),
    "column name.parquet": (parquet(None).replace(b"close", b"clos\xff"), "can't decode"),
    "lzma.zip": (spoil(zipped(zipfile.ZIP_LZMA), 300, 200), "damaged or cut short"),
    "bzip2.zip": (spoil(zipped(zipfile.ZIP_BZIP2), 300, 200), "damaged or cut short"),
    "password.zip": (
        marked(6, ENCRYPTED),
        "encrypted, password required.*; compress it with Deflate and no password",
    ),
    "deflate64.zip": (marked(8, NO_CODEC), "cannot be unpacked .*; compress it"),
}


@pytest.mark.parametrize(("name", "data", "reason"), [(name, *value) for name, value in DAMAGED.items()])
def test_damage_is_named_and_stops_no_other_file(
    tmp_path: Path, make_panel: Callable[..., Panel], name: str, data: bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SourceError, match=rf"{name}.*{reason}") as raised:
        list(read_source(make_panel({"uri": str(path)})))
    assert "\n" not in str(raised.value)
    PRICES.to_csv(tmp_path / "whole.csv", index=False)
    offered = pa.concat_tables(read_source(make_panel({"uri": str(tmp_path)})))
    assert offered["close"].drop_null().to_pylist() == PRICES["close"].tolist()
    assert offered["raw"].drop_null().to_pylist() == [str(raised.value)]


def refuse(*_: object) -> NoReturn:
    """Simulate a permission error, since the tests may run as root."""
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_a_file_that_may_not_be_read_is_not_called_damaged() -> None:
    document = Document("/data/prices.csv", "prices.csv", refuse, Allowance(Source(uri="/data/prices.csv")))
    with (
        pytest.raises(SourceError, match=r"/data/prices.csv cannot be opened \(Permission denied\); check"),
        document.opened(),
    ):
        pass


def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, make_panel: Callable[..., Panel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(SourceError, match=r"cannot be opened \(Permission denied\); check"):
        list(read_source(make_panel({"uri": str(tmp_path)})))
