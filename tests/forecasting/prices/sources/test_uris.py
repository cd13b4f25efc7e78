import pytest

from forecasting.errors import SourceError
from forecasting.prices.sources.uris import fill_in, scheme_of, shown


@pytest.mark.parametrize(
    ("uri", "safe"),
    [
        ("/data/a@b.csv", "/data/a@b.csv"),
        ("https://host:80/prices.csv", "https://host:80/prices.csv"),
        ("https://joe:secret@host/prices.csv?key=secret", "https://host/prices.csv"),
        ("postgresql+psycopg://joe:secret@host:5432/prices", "postgresql+psycopg://host:5432/prices"),
        ("postgresql://joe:p@secret@host/prices", "postgresql://host/prices"),
        ("postgresql://joe:p/secret@host/prices", "postgresql://..."),
        ("postgresql://joe:p?secret@host/prices", "postgresql://..."),
        ("postgresql://joe:p#secret@host/prices", "postgresql://..."),
        ("postgresql:///prices?password=secret", "postgresql:///prices"),
        ("sqlite:////data/prices.db", "sqlite:////data/prices.db"),
    ],
)
def test_no_secret_is_shown(uri: str, safe: str) -> None:
    assert shown(uri) == safe


@pytest.mark.parametrize(("uri", "scheme"), [("/a.csv", "file"), ("HTTPS://a", "https"), ("a/b", "file")])
def test_the_scheme(uri: str, scheme: str) -> None:
    assert scheme_of(uri) == scheme


def test_variables_of_the_environment_are_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRICES_KEY", "s$cret")
    assert fill_in("https://host/a?key=${PRICES_KEY}&b=$1") == "https://host/a?key=s$cret&b=$1"


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(SourceError, match="no environment variable PRICES_NO_KEY"):
        fill_in("https://host/a?key=${PRICES_NO_KEY}")
