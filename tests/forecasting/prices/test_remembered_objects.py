"""Nightly ingests of objects on a real S3 protocol server, of which only what changed is read."""

from collections.abc import Callable
from typing import Any

import numpy as np
import obstore
import pytest
from obstore.store import from_url

from forecasting.errors import AuditError
from forecasting.panel import Panel
from forecasting.prices.ingest import IngestReport, ingest
from forecasting.prices.quarantine import Quarantine
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage

FIRST = np.datetime64("2020-01-01")
NOW = np.datetime64("2024-01-01", "us")


def csv(name: str, days: range) -> str:
    lines = [f"{name},{FIRST + day},{10 + day % 3}" for day in days]
    return "\n".join(["unique_id,ds,close", *lines]) + "\n"


def bars(*rows: str) -> str:
    return "\n".join(["unique_id,ds,close", *rows]) + "\n"


class Bucket:
    """Objects below one prefix, and the panel that reads them."""

    def __init__(self, storage: Storage, make_panel: Callable[..., Panel]) -> None:
        self.storage, self.make_panel = storage, make_panel

    def put(self, **texts: str) -> None:
        for name, text in texts.items():
            self.storage.put(f"in/{name}.csv", text.encode())

    def remove(self, *names: str) -> None:
        objects = from_url(self.storage.uri, client_options={"allow_http": True})
        obstore.delete(objects, [f"in/{name}.csv" for name in names])

    def ingest(self, **audit: Any) -> IngestReport:
        panel = self.make_panel({"uri": f"{self.storage.uri}/in/"}, audit=audit)
        return ingest(panel, self.storage, NOW)

    def closes(self) -> list[float]:
        closes: list[float] = PriceTable(self.storage, "tiny").newest()["close"].to_pylist()
        return closes


@pytest.fixture
def bucket(s3_storage: Storage, make_panel: Callable[..., Panel]) -> Bucket:
    return Bucket(s3_storage, make_panel)


def codes(report: IngestReport) -> list[str]:
    return [finding.code for finding in report.findings]


def test_a_second_object_is_taken_and_then_nothing_is_read(bucket: Bucket) -> None:
    bucket.put(X=csv("X", range(300)))
    bucket.ingest()
    bucket.put(Y=csv("Y", range(300)))
    assert bucket.ingest().appended == 300
    assert bucket.ingest().offered == 0


def test_most_objects_gone_stop_the_run_until_that_is_said_to_be_well(bucket: Bucket) -> None:
    bucket.put(**{f"S{number}": csv(f"S{number}", range(100)) for number in range(10)})
    bucket.ingest()
    bucket.remove(*(f"S{number}" for number in range(1, 10)))
    for _ in range(2):
        with pytest.raises(AuditError, match="P203"):
            bucket.ingest()
    assert codes(bucket.ingest(max_shrink=1)) == ["P204"]
    bucket.put(S0=csv("S0", range(101)))
    assert bucket.ingest().appended == 1


def test_an_object_gone_is_a_series_vanished_on_every_night_after(bucket: Bucket) -> None:
    bucket.put(**{name: csv(name, range(100)) for name in "ABC"})
    bucket.ingest()
    bucket.remove("B")
    assert [codes(bucket.ingest()) for _ in range(2)] == [["P204"], ["P204"]]


def change_one_of_four_years(bucket: Bucket, first_close: str) -> IngestReport:
    """The ingest after the oldest object of four gave another first close."""
    years = {f"y{year}": csv("A", range(300 * year, 300 * (year + 1))) for year in range(4)}
    bucket.put(**years)
    bucket.ingest()
    bucket.put(y0=years["y0"].replace(f"{FIRST},10", f"{FIRST},{first_close}"))
    return bucket.ingest()


def test_the_object_of_one_of_many_years_may_change(bucket: Bucket) -> None:
    report = change_one_of_four_years(bucket, "9")
    assert (report.appended, report.revised) == (1, 1)


def test_rows_that_only_a_part_could_tell_to_be_refused_are_counted_once(bucket: Bucket) -> None:
    report = change_one_of_four_years(bucket, "x")
    assert (report.quarantined, report.newly_quarantined) == (1, 1)
    assert Quarantine(bucket.storage, "tiny").rows().num_rows == 1


def test_a_conflict_is_not_settled_by_the_object_that_changes_next(bucket: Bucket) -> None:
    bucket.put(a=bars("X,2019-12-31,9", "X,2020-01-01,1"), b=bars("X,2020-01-01,2"))
    assert codes(bucket.ingest()) == ["P004"]
    bucket.put(b=bars("X,2020-01-01,2", "X,2020-01-02,2"))
    report = bucket.ingest()
    assert (codes(report), report.quarantined, report.newly_quarantined) == (["P004"], 2, 0)
    assert bucket.closes() == [9, 2]
    bucket.put(a=bars("X,2020-01-01,2"))
    assert codes(bucket.ingest()) == ["P003"]
    assert bucket.closes() == [9, 2, 2]


def test_findings_stand_while_the_objects_do(bucket: Bucket) -> None:
    bucket.put(a=bars("X,2020-01-01,1", "X,2020-01-02,x"))
    first, second = bucket.ingest(), bucket.ingest()
    assert (second.offered, second.findings) == (0, first.findings)
    assert codes(first) == ["P001"]
    bucket.put(b=bars("Y,2020-01-01,1", "Y,2020-01-02,-1"))
    assert [codes(bucket.ingest()) for _ in range(2)] == [["P006", "P001"]] * 2
    bucket.put(a=bars("X,2020-01-01,1", "X,2020-01-02,2"))
    assert codes(bucket.ingest()) == ["P006"]
