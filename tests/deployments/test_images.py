"""The image, the compose file and the files for Kubernetes, as far as they can be checked and not run."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.utilities.templating import apply_values, find_placeholders

from deployments import cli, environment
from deployments.commands.deploy import IMAGE_PANELS
from forecasting import __version__

ROOT = Path(__file__).parent.parent.parent
DOCKER = ROOT / "deployments" / "docker"
KUBERNETES = ROOT / "deployments" / "kubernetes"
COMPOSE_TEXT = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE_TEXT)["services"]
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
WORKER = list(yaml.safe_load_all((KUBERNETES / "worker.yaml").read_text(encoding="utf-8")))
TEMPLATE = json.loads((KUBERNETES / "base-job-template.json").read_text(encoding="utf-8"))


def entries(lock: Path) -> set[str]:
    """The packages of a lock, each with its hashes."""
    return set(re.split(r"\n(?=\S)", lock.read_text(encoding="utf-8").rstrip()))


def test_the_images_lock_is_a_part_of_the_lock() -> None:
    image = entries(DOCKER / "requirements.lock")
    assert image < entries(ROOT / "requirements.lock")
    assert {"prefect", "tensorflow", "asyncpg", "psycopg"} <= {entry.split("==")[0] for entry in image}


def test_the_image_has_the_panels_where_deploy_says() -> None:
    bundled = environment.BUNDLED_PANELS.relative_to(ROOT)
    assert f"COPY {bundled} {IMAGE_PANELS}\n" in DOCKERFILE
    assert f"NIGHTCAST_PANELS={IMAGE_PANELS}\n" in DOCKERFILE
    source = ROOT / "samples" / "eurofxref-hist.zip"
    assert source.is_file()
    assert "COPY samples /nightcast/samples\n" in DOCKERFILE


def test_the_image_does_not_run_as_root() -> None:
    assert [line for line in DOCKERFILE.splitlines() if line.startswith("USER ")] == ["USER 10001:10001"]


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    ignore = (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    copies = [line.split() for line in DOCKERFILE.splitlines() if re.match(r"COPY (?!--)", line)]
    for name in [name for words in copies for name in words[1:-1]]:
        assert (ROOT / name).exists()
        assert Path(name).parts[0] in kept


def test_every_image_has_a_version() -> None:
    images = {service["image"] for service in SERVICES.values()}
    images |= set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    images |= {container["image"] for container in containers()}
    assert [image for image in images if not re.search(r":v?\d+\.\d+", image)] == []
    assert f"nightcast:{__version__}" in images


def test_every_variable_is_in_the_example_and_none_has_a_default() -> None:
    example = (DOCKER / ".env.example").read_text(encoding="utf-8")
    named = dict(line.split("=", 1) for line in example.splitlines() if line and not line.startswith("#"))
    used = re.findall(r"\$\{([^}]*)\}", COMPOSE_TEXT)
    assert {name.split(":?")[0] for name in used} == set(named)
    assert all(":?" in name for name in used)
    assert set(named.values()) == {""}
    assert COMPOSE_TEXT.count("$") == len(used)


def test_ports_are_open_to_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_every_service_that_stays_up_has_a_health_check() -> None:
    lasting = {name for name, service in SERVICES.items() if service["restart"] == "unless-stopped"}
    assert lasting == set(SERVICES) - {"deploy"}
    assert all("healthcheck" in SERVICES[name] for name in lasting)
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            ends = "service_completed_successfully" if other == "deploy" else "service_healthy"
            assert how == {"condition": ends}


def test_the_server_asks_for_the_password_that_the_others_give() -> None:
    asked = SERVICES["server"]["environment"]["PREFECT_SERVER_API_AUTH_STRING"]
    assert {SERVICES[name]["environment"]["PREFECT_API_AUTH_STRING"] for name in ("deploy", "worker")} == {
        asked
    }


def test_every_key_of_the_store_goes_to_store_and_worker_alone() -> None:
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        holders = {name for name, service in SERVICES.items() if key in service["environment"]}
        assert holders == {"store", "worker"}


def test_the_commands_that_compose_runs_exist(capsys: pytest.CaptureFixture[str]) -> None:
    program, *words = SERVICES["deploy"]["command"]
    assert program == "nightcast"
    with pytest.raises(SystemExit):
        cli.main([words[0], "--help"])
    helped = capsys.readouterr().out
    assert [word for word in words if word.startswith("--") and word not in helped] == []


def test_volumes_are_declared() -> None:
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert used == set(yaml.safe_load(COMPOSE_TEXT)["volumes"])


def containers() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for document in WORKER:
        if document["kind"] == "Deployment":
            found += document["spec"]["template"]["spec"]["containers"]
    return found


def test_the_job_template_has_a_variable_for_each_place() -> None:
    variables = TEMPLATE["variables"]["properties"]
    places = {place.name for place in find_placeholders(json.dumps(TEMPLATE["job_configuration"]))}
    assert places == set(variables)


def test_a_job_gets_its_values_and_its_secret() -> None:
    defaults = {
        name: one["default"] for name, one in TEMPLATE["variables"]["properties"].items() if "default" in one
    }
    given = {**defaults, "image": "nightcast:0.1.0", "env": {"A": "1"}}
    job = apply_values(TEMPLATE["job_configuration"], given)["job_manifest"]
    assert job["metadata"]["namespace"] == "nightcast"
    pod = job["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    container = pod["containers"][0]
    assert container["envFrom"] == [{"secretRef": {"name": "nightcast"}}]
    assert container["image"] == "nightcast:0.1.0"
    assert container["resources"] == {
        "requests": {"cpu": "1", "memory": "2Gi"},
        "limits": {"memory": "4Gi"},
    }


def test_accounts_and_namespaces_agree() -> None:
    defaults = TEMPLATE["variables"]["properties"]
    accounts = {one["metadata"]["name"] for one in WORKER if one["kind"] == "ServiceAccount"}
    assert defaults["service_account_name"]["default"] in accounts
    names = {one["metadata"].get("namespace", one["metadata"]["name"]) for one in WORKER}
    assert names == {defaults["namespace"]["default"]}
