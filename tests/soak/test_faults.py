"""Two faults of an S3 server in the middle of a night; `make soak` has more, and faults of disks."""

from pathlib import Path

import pytest

from forecasting import night
from forecasting.errors import StoreUnavailableError
from forecasting.panel import Panel
from forecasting.storage import Storage
from tests.conftest import write_prices
from tests.soak.faults import PANEL
from tests.soak.faulty_proxy import Way, proxy_process


@pytest.mark.parametrize("way", ["503", "cut"])
def test_a_server_that_fails_is_told_and_the_next_night_publishes(
    s3_server: str, s3_storage: Storage, tmp_path: Path, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.toml").write_text(PANEL, encoding="utf-8")
    write_prices(tmp_path / "prices.csv", {"AAA": 80})
    panel = Panel.load(tmp_path / "tiny.toml")
    with proxy_process(s3_server, way, first=20) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with pytest.raises(StoreUnavailableError) as told:
            night.run_night(panel, Storage(s3_storage.uri))
    assert "\n" not in str(told.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    assert night.run_night(panel, Storage(s3_storage.uri)).is_new
