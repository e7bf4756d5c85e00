"""
Files beside the code agree with the code.
"""

from __future__ import annotations

import json
import os
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
from service_runtime.process.bootstrap import SERVICE_ACCOUNT, MixedSecretsError, bootstrap
from service_runtime.settings.common import CommonSettings
from service_runtime.settings.reading import names, read_settings
from service_runtime.settings.service import ServiceSettings
from tests.support import preloaded

ROOT = Path(__file__).parent.parent.parent
SETTINGS: dict[str, type[CommonSettings]] = {
    "config_service": config_service.settings.Settings,
    "dispatch_service": dispatch_service.settings.Settings,
}


def compose() -> dict[str, Any]:
    """
    Read the compose file.
    """
    read: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return read


@pytest.mark.slow
@pytest.mark.parametrize("package", SETTINGS)
def test_operations_list_all_settings(package: str) -> None:
    """
    The handbook lists the settings that the service prints.
    """
    code, printed = preloaded.run(package, os.environ, "settings")

    assert code == 0
    assert printed.strip() in (ROOT / "docs/operations.md").read_text()


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
    assert sorted(about["ports"]) == sorted(f"127.0.0.1:{port}:{port}" for port in ports)


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


def test_pins_have_no_addresses_and_fit_the_bounds() -> None:
    """
    Requirements are pinned by version alone, and cover all dependencies of the package.
    """
    pins: set[str] = set()
    for name in ("runtime", "build", "console", "webhooksctl", "dev", "audit"):
        text = (ROOT / f"requirements/{name}.txt").read_text()
        assert "//" not in text
        pins |= pinned(text)
    needed = re.findall(r'^  "([a-z-]+)>=', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)

    assert len(needed) > 10
    assert set(needed) <= pins
    project = (ROOT / "pyproject.toml").read_text()
    (built_with,) = re.findall(r'^requires = \["([a-z]+)==', project, re.MULTILINE)
    assert built_with in pins


def pinned(text: str) -> set[str]:
    """
    Return the names of pinned packages; assert that each has its hashes.
    """
    found = set()
    for entry in text.replace("\\\n", " ").split("\n"):
        if not entry or entry.startswith(("#", "-r ")):
            continue
        package, *hashes = re.sub(r";[^-]*", "", entry).split()
        name, version = package.split("==")
        assert version, entry
        assert hashes, entry
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes)
        found.add(name.lower().replace("_", "-"))
    return found


@pytest.mark.parametrize("file", ["Makefile", "Dockerfile"])
def test_every_download_is_compared_with_its_hash(file: str) -> None:
    """
    Packages come by pins with hashes; what is built here is built with pinned packages.
    """
    lines = (ROOT / file).read_text().split("\n")
    commands = [line for line in lines if re.search(r"pip (install|wheel) ", line)]
    unpinned = [line for line in commands if "--require-hashes" not in line]

    assert commands
    assert all("--no-deps" in line for line in unpinned)
    assert all(re.search("--no-(build-isolation|index)", line) for line in unpinned)


def test_links_between_documents_lead_somewhere() -> None:
    """
    Every relative link of a document leads to a file.
    """
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{document.name}: {link}"
        for document in documents
        for link in re.findall(r"\]\(([^)#]+)\)", document.read_text())
        if "://" not in link and not (document.parent / link).exists()
    ]

    assert broken == []


def test_index_lists_every_decision_with_status_and_date() -> None:
    """
    The index of decisions repeats number, title, status and date of every decision, in order.
    """
    folder = ROOT / "docs/decisions"
    header = re.compile(r"# (\d+)\. (.+)\n\n- Status: (.+)\n- Date: (\d{4}-\d\d-\d\d)\n")
    expected = []
    for path in sorted(folder.glob("0*.md")):
        found = header.match(path.read_text())
        assert found, f"{path.name} does not begin with title, status and date"
        number, title, status, date = found.groups()
        assert int(number) == int(path.name[:4])
        expected.append(f"| {number} | [{title}]({path.name}) | {status} | {date} |")

    listed = re.findall(r"^\| \d+ \|.*$", (folder / "README.md").read_text(), re.MULTILINE)
    assert listed == expected
