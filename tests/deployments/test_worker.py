"""Many machines, on one: a Prefect server with a password on a real PostgreSQL, a worker, a store on S3."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from deployments import cli
from forecasting.publishing import reader
from tests.conftest import TINY_PANEL, write_prices
from tests.postgresql import new_database
from tests.prefect_server import PrefectServer, prefect_server

_BIN = Path(sys.executable).parent
_SECRET = "only in a Prefect block"  # noqa: S105 - of a test's own server
_NAME, _PASSWORD = "nightcast", "of this test alone"


@dataclass(frozen=True)
class Machines:
    """The server and its database, the panel's folder, and the environment of whoever works with them."""

    server: PrefectServer
    database: sqlalchemy.URL
    folder: Path
    environment: dict[str, str]

    def start(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program of ours or of Prefect's to its end, and everything that it started."""
        with subprocess.Popen(
            [_BIN / words[0], *words[1:]],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                out, err = process.communicate(timeout=240)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def api(self, method: str, path: str, json: dict[str, Any] | None = None) -> Any:
        """What the server answers."""
        answer = httpx.request(
            method, f"{self.server.api}/{path}", json=json, auth=(_NAME, _PASSWORD), timeout=60
        )
        return answer.raise_for_status().json()

    def save_secret(self, name: str, value: str) -> None:
        """Make a Secret block, as a person would in the UI."""
        kind = self.api("GET", "block_types/slug/secret")["id"]
        schema = self.api(
            "POST", "block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [kind]}}}
        )
        made = {"name": name, "data": {"value": value}, "block_type_id": kind}
        self.api("POST", "block_documents/", {**made, "block_schema_id": schema[0]["id"]})


@pytest.fixture(scope="module")
def machines(s3_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    folder = tmp_path_factory.mktemp("machines")
    (folder / "panels").mkdir()
    (folder / "panels" / "tiny.toml").write_text(TINY_PANEL, encoding="utf-8")
    prices = folder / "panels" / "prices.csv"
    write_prices(prices, {"AAA": 400, "B\N{LATIN CAPITAL LETTER E WITH ACUTE}B": 400, "C/C": 400})
    # Not UTF-8, of which the library itself has a word to say, where most lines are the tasks'.
    prices.write_text(prices.read_text(encoding="utf-8"), encoding="cp1252")
    bucket = f"machines-{os.getpid()}"
    httpx.put(f"{s3_server}/{bucket}").raise_for_status()
    with new_database() as database:
        settings = {  # in parts, as in compose.yaml
            "PREFECT_SERVER_DATABASE_DRIVER": "postgresql+asyncpg",
            "PREFECT_SERVER_DATABASE_HOST": database.host or "",
            "PREFECT_SERVER_DATABASE_PORT": str(database.port or 5432),
            "PREFECT_SERVER_DATABASE_NAME": database.database or "",
            "PREFECT_SERVER_DATABASE_USER": database.username or "",
            "PREFECT_SERVER_DATABASE_PASSWORD": database.password or "any: it trusts loopback",
            "PREFECT_SERVER_API_AUTH_STRING": f"{_NAME}:{_PASSWORD}",
        }
        with prefect_server(folder, **settings) as server:
            store = {
                "NIGHTCAST_STORE": f"s3://{bucket}/store",
                "AWS_ENDPOINT_URL": s3_server,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_REGION": "us-east-1",
            }
            prefect = {
                "PREFECT_HOME": str(folder / "client"),
                "PREFECT_API_URL": server.api,
                "PREFECT_API_AUTH_STRING": f"{_NAME}:{_PASSWORD}",
                "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            }
            environment = {**store, **prefect, "NIGHTCAST_PANELS": str(folder / "panels")}
            yield Machines(server, database, folder, environment)


def test_a_wrong_password_is_refused_in_a_line(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("NIGHTCAST_STORE", "NIGHTCAST_PANELS"):
        monkeypatch.setenv(name, machines.environment[name])
    guessed = {PREFECT_API_URL: machines.server.api, PREFECT_API_AUTH_STRING: f"{_NAME}:guessed"}
    with temporary_settings(guessed), pytest.raises(SystemExit) as end:
        cli.main(["deploy"])
    assert end.value.code == 1
    assert capsys.readouterr().err == (
        f"nightcast: the Prefect server {machines.server.api} refuses access; "
        "set PREFECT_API_AUTH_STRING to the value of PREFECT_SERVER_API_AUTH_STRING on the server\n"
    )


def test_a_night_on_a_worker(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    machines.save_secret("aws-secret-access-key", _SECRET)
    done = machines.start("nightcast", "deploy", "--pool", "night", "--secret", "AWS_SECRET_ACCESS_KEY")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Work pool: night, of type process, which is new" in done.stdout
    assert "\n  nightly/tiny\n" in done.stdout

    deployment = machines.api("GET", "deployments/name/nightly/tiny")
    assert _SECRET not in str(deployment)
    run = machines.api("POST", f"deployments/{deployment['id']}/create_flow_run", {})
    worker = machines.start("prefect", "worker", "start", "--pool", "night", "--run-once")
    assert worker.returncode == 0, worker.stderr
    with sqlalchemy.create_engine(machines.database, poolclass=sqlalchemy.pool.NullPool).connect() as kept:
        found = kept.execute(sqlalchemy.text("select name from flow_run where state_type = 'COMPLETED'"))
        (name,) = found.scalars().all()
    assert re.fullmatch(r"tiny \d{4}-\d\d-\d\d", name)
    ended = machines.api("GET", f"flow_runs/{run['id']}")
    assert ended["state"]["type"] == "COMPLETED", ended["state"]["message"]

    logs = machines.api("POST", "logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}, "limit": 200})
    lines = {line["name"]: line["message"] for line in logs}
    assert lines["tasks.ingest"].startswith("ingest: 1200 rows offered, 1200 new")
    assert "prices.csv is not UTF-8" in lines["forecasting.prices.sources.csv_tables"]

    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_REGION"):
        monkeypatch.setenv(name, machines.environment[name])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", _SECRET)
    forecast = reader.latest("tiny", machines.environment["NIGHTCAST_STORE"])
    assert sorted(set(forecast["unique_id"])) == ["AAA", "B\N{LATIN CAPITAL LETTER E WITH ACUTE}B", "C/C"]
    assert len(forecast) == 3 * 5
