"""Against a real S3 protocol server on loopback."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.sources import open_source
from forecasting.storage import Storage

ONE = b"ds,close\n2020-01-02,1.5\n"
KEYS = ["prices/A.csv", "prices/more/B.csv", "prices/notes.txt", "pricesother/C.csv"]

Offers = Callable[..., list[str]]


@pytest.fixture
def offers(s3_storage: Storage, make_panel: Callable[..., Panel]) -> Offers:
    """The ids that the objects below `path` offer, where each object is one series."""
    for key in KEYS:
        s3_storage.put(key, ONE)

    def ids(path: str, **source: Any) -> list[str]:
        panel = make_panel({"uri": f"{s3_storage.uri}/{path}", "id_column": "", **source})
        found: list[str] = pa.concat_tables(open_source(panel).read())["unique_id"].to_pylist()
        return found

    return ids


@pytest.mark.parametrize(
    ("path", "ids"),
    [
        ("prices/A.csv", ["A"]),
        ("prices", ["A", "B"]),
        ("prices/", ["A", "B"]),
        ("prices*/[AC].csv", ["A", "C"]),
    ],
)
def test_an_object_a_prefix_or_a_glob(offers: Offers, path: str, ids: list[str]) -> None:
    assert offers(path) == ids


@pytest.mark.parametrize(
    ("path", "source", "message"),
    [
        ("prices/none.csv", {}, "no object at s3://.*none.csv; check .source..uri"),
        ("none", {}, "no .csv, .parquet, .gz or .zip object at s3://.*none"),
        ("prices/A.csv", {"max_megabytes": 0.00001}, "A.csv has more than 1e-05 MB; raise"),
        ("prices/A.csv", {"include": ["B*"]}, "no series at s3://.* is in .source..include"),
    ],
)
def test_one_line_says_what_is_wrong(offers: Offers, path: str, source: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=message) as raised:
        offers(path, **source)
    assert "\n" not in str(raised.value)


def test_a_bucket_that_is_not_there(s3_storage: Storage, make_panel: Callable[..., Panel]) -> None:
    assert s3_storage.uri
    with pytest.raises(SourceError, match=r"s3://no-such-bucket/a.csv") as raised:
        list(open_source(make_panel({"uri": "s3://no-such-bucket/a.csv"})).read())
    assert "\n" not in str(raised.value)


def test_only_new_and_changed_objects_are_read_again(
    offers: Offers, s3_storage: Storage, make_panel: Callable[..., Panel]
) -> None:
    assert offers("prices") == ["A", "B"]
    panel = make_panel({"uri": f"{s3_storage.uri}/prices", "id_column": ""})
    first = open_source(panel)
    list(first.read())
    assert list(open_source(panel, first.tags).read()) == []
    s3_storage.put("prices/more/B.csv", ONE.replace(b"1.5", b"1.6"))
    s3_storage.put("prices/D.csv", ONE)
    second = pa.concat_tables(open_source(panel, first.tags).read())
    assert second.select(["unique_id", "close"]).to_pylist() == [
        {"unique_id": "D", "close": 1.5},
        {"unique_id": "B", "close": 1.6},
    ]
