"""The image, the compose file and the files for Kubernetes, as far as they can be checked and not run."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from distributed.cli.dask_scheduler import main as scheduler_command
from distributed.cli.dask_worker import main as worker_command
from prefect.utilities.templating import apply_values, find_placeholders

from deployments import cli, environment
from deployments.commands.deploy import IMAGE_PANELS
from forecasting import __version__
from forecasting.panel_settings import Engine
from tasks import engine

DASK_CLI = {"scheduler": scheduler_command, "worker": worker_command}
ROOT = Path(__file__).parent.parent.parent
DOCKER = ROOT / "deployments" / "docker"
KUBERNETES = ROOT / "deployments" / "kubernetes"
COMPOSE_TEXT = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE_TEXT)["services"]
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
DASK = list(yaml.safe_load_all((KUBERNETES / "dask.yaml").read_text(encoding="utf-8")))
WORKER = list(yaml.safe_load_all((KUBERNETES / "worker.yaml").read_text(encoding="utf-8")))
TEMPLATE = json.loads((KUBERNETES / "base-job-template.json").read_text(encoding="utf-8"))


def entries(lock: Path) -> set[str]:
    """The packages of a lock, each with its hashes."""
    return set(re.split(r"\n(?=\S)", lock.read_text(encoding="utf-8").rstrip()))


def test_the_images_lock_is_a_part_of_the_lock() -> None:
    image = entries(DOCKER / "requirements.lock")
    assert image < entries(ROOT / "requirements.lock")
    assert {"prefect", "tensorflow", "asyncpg", "psycopg", "prefect-dask"} <= {
        entry.split("==")[0] for entry in image
    }


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


def test_every_variable_is_in_the_example_and_no_secret_has_a_default() -> None:
    example = (DOCKER / ".env.example").read_text(encoding="utf-8")
    named = dict(line.split("=", 1) for line in example.splitlines() if line and not line.startswith("#"))
    used = re.findall(r"\$\{([^}]*)\}", COMPOSE_TEXT)
    assert COMPOSE_TEXT.count("$") == len(used)
    used.remove(f"{engine.DASK}:-")
    assert {name.split(":?")[0] for name in used} == set(named)
    assert all(":?" in name for name in used)
    assert set(named.values()) == {""}


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
    others = ("deploy", "worker", "dask-worker")
    assert {SERVICES[name]["environment"]["PREFECT_API_AUTH_STRING"] for name in others} == {asked}


def test_every_key_of_the_store_goes_to_the_store_and_its_users_alone() -> None:
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        holders = {name for name, service in SERVICES.items() if key in service.get("environment", {})}
        assert holders == {"store", "worker", "dask-worker"}


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
    for document in (*WORKER, *DASK):
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


def dask_commands() -> dict[str, list[list[str]]]:
    """The commands of scheduler and workers: those of compose, then those of Kubernetes."""
    pods = {one["metadata"]["name"]: one for one in DASK if one["kind"] == "Deployment"}
    return {
        name: [SERVICES[name]["command"], pods[name]["spec"]["template"]["spec"]["containers"][0]["args"]]
        for name in ("dask-scheduler", "dask-worker")
    }


def test_dask_runs_the_image_of_the_runs_and_only_if_it_is_asked_for() -> None:
    images = [SERVICES[name]["image"] for name in ("dask-scheduler", "dask-worker")]
    images += [
        one["spec"]["template"]["spec"]["containers"][0]["image"]
        for one in DASK
        if one["kind"] == "Deployment"
    ]
    assert images == [SERVICES["worker"]["image"]] * 4
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["dask"]} == {
        "dask-scheduler",
        "dask-worker",
    }


def test_dask_commands_are_the_same_here_and_there_and_have_known_options() -> None:
    for name, (compose, kubernetes) in dask_commands().items():
        assert compose == kubernetes
        program, what, *words = compose
        assert (program, what) == ("dask", name.removeprefix("dask-"))
        known = {option for one in DASK_CLI[what].params for option in (*one.opts, *one.secondary_opts)}
        given = [word.partition("=")[0] for word in words if word.startswith("--")]
        assert [word for word in given if word not in known] == []


def test_runs_and_workers_find_the_scheduler() -> None:
    (compose_worker, _) = dask_commands()["dask-worker"]
    (service,) = [one for one in DASK if one["kind"] == "Service"]
    port = service["spec"]["ports"][0]["port"]
    address = f"tcp://{service['metadata']['name']}:{port}"
    assert compose_worker[2] == address
    assert f"--port={port}" in dask_commands()["dask-scheduler"][0]
    example = (DOCKER / ".env.example").read_text(encoding="utf-8")
    assert f"#COMPOSE_PROFILES=dask\n#{engine.DASK}={address}\n" in example
    assert SERVICES["worker"]["environment"][engine.DASK] == f"${{{engine.DASK}:-}}"
    unit = (ROOT / "deployments" / "systemd" / "nightcast.env").read_text(encoding="utf-8")
    pages = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("scaling.md", "panel.md"))
    for given in re.findall(rf"{engine.DASK}=(\S+)", example + unit + pages):
        assert Engine(dask=given).dask == given


def test_dask_has_no_port_outside_its_network() -> None:
    assert [name for name in dask_commands() if "ports" in SERVICES[name]] == []
    (service,) = [one for one in DASK if one["kind"] == "Service"]
    assert "type" not in service["spec"]
    (policy,) = [one for one in DASK if one["kind"] == "NetworkPolicy"]
    assert policy["spec"]["ingress"] == [{"from": [{"podSelector": {}}]}]
    guarded = policy["spec"]["podSelector"]["matchLabels"].items()
    for pod in [one["spec"]["template"] for one in DASK if one["kind"] == "Deployment"]:
        assert guarded <= pod["metadata"]["labels"].items()


def test_dask_pods_are_selected_limited_and_watched() -> None:
    deployments = {one["metadata"]["name"]: one["spec"] for one in DASK if one["kind"] == "Deployment"}
    (service,) = [one["spec"] for one in DASK if one["kind"] == "Service"]
    assert (
        service["selector"].items() <= deployments["dask-scheduler"]["template"]["metadata"]["labels"].items()
    )
    for spec in deployments.values():
        labels = spec["template"]["metadata"]["labels"]
        assert spec["selector"]["matchLabels"].items() <= labels.items()
        pod = spec["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        container = pod["containers"][0]
        assert container["livenessProbe"]["httpGet"]["path"] == "/health"
        assert "memory" in container["resources"]["limits"]
    worker = deployments["dask-worker"]["template"]["spec"]["containers"][0]
    assert worker["envFrom"] == [{"secretRef": {"name": "nightcast"}}]
    assert {one["metadata"]["namespace"] for one in DASK} == {"nightcast"}
