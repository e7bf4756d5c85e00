"""
The compose file agrees with the settings and the files of the services.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from sqlalchemy.engine import make_url

import config_service.settings
import dispatch_service.settings
from console.settings import DEFAULTS as CONSOLE_DEFAULTS
from service_runtime.process import pair
from service_runtime.process.bootstrap import SERVICE_ACCOUNT, MixedSecretsError, bootstrap
from service_runtime.settings.common import CommonSettings
from service_runtime.settings.reading import names, read_settings
from service_runtime.settings.service import ServiceSettings
from tests.support.project_files import ROOT

SETTINGS: dict[str, type[CommonSettings]] = {
    "config_service": config_service.settings.Settings,
    "dispatch_service": dispatch_service.settings.Settings,
}
MOST_REPLICAS = 8
CONNECTIONS = {"config": 16, "dispatch": 32}
_ADDRESSES = ("_LISTEN", "_ADDRESS")


def compose() -> dict[str, Any]:
    """
    Read the compose file.
    """
    read: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return read


@pytest.mark.parametrize("service", ["config", "dispatch"])
def test_compose_uses_settings_that_exist(service: str) -> None:
    """
    Every variable of a service in the compose file is a setting of it.
    """
    given = set(compose()["services"][service]["environment"])

    assert given <= set(names(SETTINGS[f"{service}_service"]))


@pytest.mark.parametrize("service", ["config", "dispatch"])
def test_compose_gives_what_production_requires(service: str) -> None:
    """
    The compose file sets all that production requires.
    """
    given = compose()["services"][service]["environment"]

    required = {"SHIPEDGE_ENVIRONMENT", "SHIPEDGE_TLS_CERTIFICATE_FILE"}
    required |= {"SHIPEDGE_TLS_KEY_FILE", "SHIPEDGE_TLS_CA_FILE", "SHIPEDGE_CALLERS"}
    required |= {"SHIPEDGE_ENCRYPTION_KEYS_FILE", "SHIPEDGE_HASH_KEY_FILE"}
    assert required <= set(given)
    assert given["SHIPEDGE_ENVIRONMENT"] == "production"


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    Return a folder with the files of all holders, as the service `secrets` writes them.
    """
    folder = tmp_path_factory.mktemp("secrets")
    assert bootstrap(folder, datetime.now(UTC))  # noqa: TID251 - valid from now on
    return folder


def mounted(service: str) -> dict[str, str]:
    """
    Return the volumes of a service of the compose file, with where they are mounted.
    """
    volumes = compose()["services"][service]["volumes"]
    return dict(volume.removesuffix(":ro").split(":") for volume in volumes)


@pytest.mark.parametrize("service", ["config", "dispatch", "receiver", "operator", "postgres"])
def test_compose_gives_each_its_own_files(service: str, secrets: Path) -> None:
    """
    Each holder has its own volume with its own certificate, and none of another one; all files
    that the compose file names are there.
    """
    volumes = {volume for volume in mounted(service) if volume.endswith("_secrets")}
    assert volumes == {f"{service}_secrets"}
    assert mounted("secrets")[f"{service}_secrets"] == f"/secrets/{service}"
    text = json.dumps(compose()["services"][service])
    for name in re.findall(r"/run/webhooks/([a-z_.]+)", text):
        assert (secrets / service / name).stat().st_mode & 0o777 == 0o600, name
    certificate = x509.load_pem_x509_certificate(
        (secrets / service / "certificate.pem").read_bytes()
    )
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) - {"localhost"} == {service}


@pytest.mark.parametrize("service", ["config", "dispatch"])
def test_files_of_the_compose_file_are_good_settings(service: str, secrets: Path) -> None:
    """
    A service accepts its settings of the compose file, with TLS to its database and a password
    of its own; the certificate serves and calls.
    """
    given = compose()["services"][service]["environment"]
    environment = {
        name: str(value)
        .replace("/run/webhooks", str(secrets / service))
        .replace("${ALLOWED_TARGETS:-}", "")
        for name, value in given.items()
    }
    url = secrets / service / "database_url"
    text = url.read_text()
    url.write_text(text.replace("/run/webhooks", str(secrets / service)))
    settings = read_settings(SETTINGS[f"{service}_service"], environment)

    assert isinstance(settings, ServiceSettings)
    assert "ssl=verify-full" in settings.database()
    password = str(make_url(settings.database()).password)
    assert password in (secrets / "postgres/databases.sql").read_text()
    assert settings.tls("server", "client") is not None


def test_bootstrap_changes_nothing_that_is_there(secrets: Path) -> None:
    """
    A second start keeps all files; a volume that was lost is not filled with new ones, which
    would not fit the others.
    """
    before = (secrets / "config/encryption_keys").read_text()
    now = datetime.now(UTC)  # noqa: TID251 - valid from now on
    assert not bootstrap(secrets, now)
    assert (secrets / "config/encryption_keys").read_text() == before

    (secrets / "operator/ca.pem").unlink()
    with pytest.raises(MixedSecretsError, match="operator lacks files that config has"):
        bootstrap(secrets, now)


@pytest.mark.parametrize("service", ["config", "dispatch"])
def test_compose_stops_and_listens_as_the_settings_need(service: str) -> None:
    """
    A service has longer to stop than its own grace; its listeners are reachable from outside of
    the container, but on the host only by programs of the host.
    """
    about, kind = compose()["services"][service], SETTINGS[f"{service}_service"]
    fields = {name: field.get_default() for name, field in kind.model_fields.items()}
    needed = fields["grace"] + fields.get("deadline", timedelta()) + timedelta(seconds=10)
    listen = [value for name, value in about["environment"].items() if name.endswith("_LISTEN")]
    ports = [value.rpartition(":")[2] for value in listen]

    assert timedelta(seconds=int(about["stop_grace_period"].removesuffix("s"))) > needed
    assert all(value.startswith("0.0.0.0:") for value in listen)
    published = [re.fullmatch(r"127\.0\.0\.1:([\d-]+):(\d+)", port) for port in about["ports"]]
    assert sorted(it[2] for it in published if it) == sorted(ports)


def test_compose_has_no_password() -> None:
    """
    Passwords are generated, and only services reach the database.
    """
    services = compose()["services"]

    assert not re.search(r"PASSWORD(?!_FILE)|://[^/]*:[^/]*@", json.dumps(services))
    assert compose()["networks"]["database"] == {"internal": True}
    assert {name for name in services if "database" in services[name].get("networks", ())} == {
        "postgres",
        "config",
        "dispatch",
    }


def test_compose_runs_modules_that_exist() -> None:
    """
    Every command and health check runs a module of the image.
    """
    services = compose()["services"].values()
    text = json.dumps(
        [(service.get("command"), service.get("healthcheck")) for service in services]
    )

    modules = set(re.findall(r"-m\W+([a-z_.]+)", text.replace('", "', " ")))
    assert modules == {
        "config_service",
        "dispatch_service",
        "service_runtime.process.bootstrap",
        "service_runtime.process.demo_receiver",
    }
    for module in modules:
        path = Path(*module.split("."))
        candidates = [ROOT / path, ROOT / "proto/python" / path]
        assert any(it.is_dir() or it.with_suffix(".py").exists() for it in candidates)


def test_compose_waits_for_health() -> None:
    """
    The services start after the database is healthy and the keys are written.
    """
    services = compose()["services"]

    for name in ("config", "dispatch"):
        waits = services[name]["depends_on"]
        assert waits["postgres"]["condition"] == "service_healthy"
        assert waits["secrets"]["condition"] == "service_completed_successfully"
        assert "probe" in services[name]["healthcheck"]["test"][-1]


def test_image_runs_as_the_account_that_owns_the_keys() -> None:
    """
    The image runs as the account that owns the key files, not as root.
    """
    dockerfile = (ROOT / "Dockerfile").read_text()

    assert f"--uid {SERVICE_ACCOUNT}" in dockerfile
    assert re.search(r"^USER webhooks$", dockerfile, re.MULTILINE)
    copied = re.findall(r"^COPY (?!--from)(\S+)", dockerfile, re.MULTILINE)
    assert all((ROOT / path).exists() for path in copied)


def published_ports(service: str) -> list[range]:
    """
    Return the ranges of ports on the host that a service of the compose file gets.
    """
    ranges = []
    for port in compose()["services"][service].get("ports", ()):
        first, _, last = str(port).split(":")[1].partition("-")
        ranges.append(range(int(first), int(last or first) + 1))
    return ranges


def test_compose_runs_two_replicas_that_have_ports_of_their_own() -> None:
    """
    Two replicas run unless another number is asked for; the ranges of ports have room for eight
    of them and do not overlap with any other port; the database has connections for all.
    """
    services = compose()["services"]
    assert services["dispatch"]["deploy"]["replicas"] == "${DISPATCH_REPLICAS:-2}"
    assert {len(ports) for ports in published_ports("dispatch")} == {MOST_REPLICAS}
    taken = [port for name in services for ports in published_ports(name) for port in ports]
    assert len(taken) == len(set(taken))
    assert "container_name" not in services["dispatch"]

    (allowed,) = re.findall(r"max_connections=(\d+)", json.dumps(services["postgres"]["command"]))
    needed = CONNECTIONS["config"] + MOST_REPLICAS * CONNECTIONS["dispatch"]
    reserved_for_superusers = 3
    assert int(allowed) - reserved_for_superusers >= needed


def test_compose_profiles() -> None:
    """
    Without a profile only the services run; each profile adds what it is named after.
    """
    found: dict[str, set[str]] = {}
    for name, about in compose()["services"].items():
        for profile in about.get("profiles", ["none"]):
            found.setdefault(profile, set()).add(name)

    assert found == {
        "none": {"secrets", "postgres", "config", "dispatch"},
        "demo": {"receiver"},
        "monitoring": {"prometheus", "grafana"},
        "development": {"development"},
        "operator": {"operator"},
    }


def test_compose_parts_meet_in_the_networks_that_they_need() -> None:
    """
    Prometheus reaches the metrics of both services and neither the database nor receivers; the
    receiver is reached by deliveries alone.
    """
    services = compose()["services"]
    networks = {
        name: set(services[name].get("networks", ()))
        for name in ("postgres", "config", "dispatch", "receiver", "prometheus", "grafana")
    }

    assert networks["prometheus"] == networks["grafana"] == {"monitoring"}
    assert networks["receiver"] == {"receivers"}
    assert networks["postgres"] == {"database"}
    assert {"database", "services", "monitoring"} <= networks["config"] & networks["dispatch"]
    assert "receivers" in networks["dispatch"] - networks["config"]


def test_development_container_stops_by_itself_and_stays_on_loopback() -> None:
    """
    The services and the console listen where they do by default, on loopback, so their container
    has the network of the host; it has longer to stop than the pair takes.
    """
    about = compose()["services"]["development"]

    assert about["network_mode"] == "host"
    assert "environment" not in about
    addresses = [value for name, value in CONSOLE_DEFAULTS.items() if name.endswith(_ADDRESSES)]
    assert len(addresses) == 3
    assert all(value.startswith("127.0.0.1:") for value in addresses)
    assert int(about["stop_grace_period"].removesuffix("s")) > pair.STOP_SECONDS
    stage = re.search(
        rf"(?ms)^FROM \S+ AS {about['build']['target']}$(.*?)^FROM",
        (ROOT / "Dockerfile").read_text(),
    )
    assert stage
    assert "SHIPEDGE_ENVIRONMENT=development" in stage[1]
    assert '"service_runtime.process.pair"' in stage[1]


def test_monitoring_mounts_files_that_exist() -> None:
    """
    What Prometheus and Grafana mount from this folder is there.
    """
    services = compose()["services"]
    mounts = [
        volume.split(":")[0]
        for name in ("prometheus", "grafana")
        for volume in services[name]["volumes"]
        if volume.startswith("./")
    ]

    assert len(mounts) == 3
    assert all((ROOT / path).is_dir() for path in mounts)
