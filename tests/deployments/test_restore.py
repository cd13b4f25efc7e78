"""`nightcast restore`: its lines say what came back, and what to run next."""

from pathlib import Path

import numpy as np
import pytest

from deployments import cli
from forecasting.panel import Panel
from forecasting.prices.ingest import ingest
from forecasting.storage import Storage


def test_a_damaged_price_table_is_rebuilt(
    tiny_panel: Path, local_storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    ingest(Panel.load(tiny_panel), local_storage, np.datetime64("2026-11-20", "us"))
    file = next(Path(local_storage.uri, "prices/tiny").rglob("*.parquet"))
    file.write_bytes(b"junk")
    with pytest.raises(SystemExit) as end:
        cli.main(["restore", str(tiny_panel), "--store", local_storage.uri])
    assert end.value.code == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("damaged: year=20")
    assert out[0].endswith(" (its digest differs from the recorded one)")
    assert "prices/tiny.damaged-" in out[1]
    assert out[2].startswith("restored: ")
    assert out[3].startswith("lost: ")
    assert out[4].startswith("next, read the whole source again: nightcast ingest ")
