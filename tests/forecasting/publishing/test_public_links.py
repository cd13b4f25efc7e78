"""Web addresses of what is in a store."""

import pytest

from forecasting.publishing.public_links import public_link


@pytest.mark.parametrize("base", ["https://x.org/store", "https://x.org/store/"])
def test_a_path_follows_the_stores_address_and_is_encoded(monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    monkeypatch.setenv("NIGHTCAST_PUBLIC_URL", base)
    assert public_link("forecasts/fx/as_of=2026-10-30/a b%2F.png") == (
        "https://x.org/store/forecasts/fx/as_of=2026-10-30/a%20b%252F.png"
    )


def test_a_store_that_is_not_served_has_no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NIGHTCAST_PUBLIC_URL", raising=False)
    assert public_link("index.html") is None


@pytest.mark.parametrize("base", ["forecasts.example.com", "javascript:alert(1)", "/srv/store"])
def test_what_is_no_web_address_is_ignored_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, base: str
) -> None:
    monkeypatch.setenv("NIGHTCAST_PUBLIC_URL", base)
    assert public_link("index.html") is None
    assert "NIGHTCAST_PUBLIC_URL is ignored: it must start with http:// or https://" in caplog.text
