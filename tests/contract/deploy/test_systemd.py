"""
The systemd units agree with the settings of the services.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

import config_service.settings
import dispatch_service.settings
from service_runtime.settings.common import CommonSettings
from service_runtime.settings.reading import names

FOLDER = Path(__file__).parents[3] / "deploy/systemd"
KINDS: dict[str, type[CommonSettings]] = {
    "config": config_service.settings.Settings,
    "dispatch": dispatch_service.settings.Settings,
}
MOST_EXPOSURE = 2.0
"""
The exposure of `systemd-analyze security`, from 0 (best) to 10.
"""

services = pytest.mark.parametrize("service", KINDS)


def unit(service: str) -> dict[str, list[str]]:
    """
    Read the directives of a unit, each with all its values.
    """
    found: dict[str, list[str]] = {}
    for line in (FOLDER / f"webhooks-{service}.service").read_text().split("\n"):
        if line and not line.startswith(("#", "[")):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def environment(service: str) -> dict[str, str]:
    """
    Return what a unit and its file of settings set.
    """
    lines = unit(service)["Environment"] + (FOLDER / f"{service}.env").read_text().split("\n")
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name: value for name, _, value in pairs}


@services
def test_units_set_what_exists_and_production_requires(service: str) -> None:
    """
    All variables are settings of the service, and none that production requires is missing.
    """
    given = environment(service)

    assert set(given) <= set(names(KINDS[service]))
    required = {"SHIPEDGE_CALLERS", "SHIPEDGE_ENCRYPTION_KEYS_FILE", "SHIPEDGE_HASH_KEY_FILE"}
    required |= {f"SHIPEDGE_TLS_{part}_FILE" for part in ("CERTIFICATE", "KEY", "CA")}
    required.add(f"SHIPEDGE_{service.upper()}_DATABASE_URL_FILE")
    assert required <= set(given)
    assert given["SHIPEDGE_ENVIRONMENT"] == "production"


@services
def test_units_load_the_secrets_that_they_name(service: str) -> None:
    """
    Each secret is a credential of the unit, so that the account of the service cannot read the
    file itself; TLS files, which are read again, are not.
    """
    about = unit(service)
    loaded = {value.partition(":")[0] for value in about["LoadCredential"]}
    used = {found for value in about["Environment"] for found in re.findall(r"%d/(\w+)", value)}

    assert loaded == used == {"encryption_keys", "hash_key", "database_url"}
    assert not re.search("TLS.*%d", str(about["Environment"]))


@services
def test_units_give_time_to_stop(service: str) -> None:
    """
    A service is killed only after its grace, the deadline of an attempt and ten seconds; the
    signal goes to the supervisor alone, which stops its workers.
    """
    fields = KINDS[service].model_fields
    needed = fields["grace"].get_default() + timedelta(seconds=10)
    needed += fields["deadline"].get_default() if "deadline" in fields else timedelta()
    about = unit(service)

    assert timedelta(seconds=int(about["TimeoutStopSec"][0])) > needed
    assert about["KillMode"] == ["mixed"]
    assert about["ExecReload"] == ["/bin/kill -HUP $MAINPID"]


@services
def test_units_allow_the_files_that_listeners_may_need(service: str) -> None:
    """
    The limit of open files is that of all connections and requests, three times.
    """
    fields = KINDS[service].model_fields
    most = fields["listener_connections"].get_default() * 2
    most += fields["total_concurrency"].get_default() if service == "dispatch" else 0

    assert int(unit(service)["LimitNOFILE"][0]) > 3 * most


@services
def test_systemd_takes_the_units(service: str, tmp_path: Path) -> None:
    """
    systemd finds no mistake in a unit, and little that it is exposed to.
    """
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("NOT RUN: systemd-analyze is not installed (Debian: systemd)")
    name = f"webhooks-{service}.service"
    # It also looks for the program that the unit starts.
    text = (FOLDER / name).read_text().replace("/opt/webhooks/bin/python", "/bin/true")
    (tmp_path / name).write_text(text)

    def analyze(*arguments: str) -> str:
        output = subprocess.run(
            [program, *arguments, str(tmp_path / name)],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
        return output.stdout + output.stderr

    ours = [line for line in analyze("verify", "--man=no").split("\n") if name in line]
    assert ours == []
    (exposure,) = re.findall(
        r"exposure level for \S+: ([\d.]+)", analyze("security", "--offline=1")
    )
    assert float(exposure) < MOST_EXPOSURE
