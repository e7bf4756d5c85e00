"""
An installation in production mode with the files of the systemd units, on free ports of loopback,
and a `systemctl` for its two services.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from service_runtime.process import pair as processes
from tests.e2e.test_production import probed
from tests.support import preloaded
from tests.support.authority import Authority
from tests.support.certificates import issue
from tests.support.databases import free_port
from tests.support.receivers import Receiver

UNITS: Mapping[str, str] = {
    "webhooks-config": "config_service",
    "webhooks-dispatch": "dispatch_service",
}

_LISTENERS = ("config", "dispatch", "config token", "dispatch token")

_CALLERS = "dispatch.internal=feed,ops.internal=admin+operator+reader+publisher"

_SYSTEMCTL = """#!{python}
import socket, sys
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect({path!r})
    asked.sendall((" ".join(sys.argv[1:]) + "\\n").encode())
    answer = asked.makefile().read()
print(answer)
sys.exit(not answer.startswith("done"))
"""

# Whoever runs a command of a service gives it the settings of its unit.
_PYTHON = """#!/bin/sh
if [ -f "{environments}/$2.environment" ]; then set -a; . "{environments}/$2.environment"; fi
exec {python} "$@"
"""


@dataclass
class Installation:
    """
    Both services with their settings, secrets and certificates below *folder*/etc.
    """

    folder: Path
    receiver: Receiver
    databases: Mapping[str, str]
    ports: Mapping[str, int] = field(
        default_factory=lambda: {
            it: free_port() for it in ("config", "dispatch", "config token", "dispatch token")
        }
    )
    children: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    @property
    def etc(self) -> Path:
        """
        The folder that stands for `/etc/webhooks`.
        """
        return self.folder / "etc"

    @property
    def replaced(self) -> dict[str, str]:
        """
        What the documents call the parts of this installation.
        """
        return {
            "config.internal:50051": f"localhost:{self.ports['config']}",
            "dispatch.internal:50052": f"localhost:{self.ports['dispatch']}",
            "dispatch.internal:50062": f"localhost:{self.ports['dispatch token']}",
            "/etc/webhooks": str(self.etc),
            "/opt/webhooks/bin/python": sys.executable,
            "install -o webhooks": "install",
            "https://example.com/webhooks": self.receiver.url,
        }

    @property
    def settings(self) -> dict[str, str]:
        """
        What is in the environment of an operator.
        """
        return {
            "XDG_CONFIG_HOME": str(self.folder),
            "WEBHOOKSCTL_PROFILE": "production",
            "CONFIG_DATABASE_URL": self.databases["config"],
            "DISPATCH_DATABASE_URL": self.databases["dispatch"],
        }

    def write(self) -> None:
        """
        Write all files, and those that a renewal of certificates needs into `new`.
        """
        work, new = self.folder / "work", self.folder / "work/new"
        new.mkdir(parents=True)
        authority, next_authority = Authority(work), Authority(new)
        (new / "ca.pem").write_text(next_authority.root.chain_pem)
        authority.files(authority.issue("ops.internal"), "operator")
        client = issue("shop")
        (work / "client.pem").write_text(client.chain_pem)
        (work / "client.key").write_text(client.key_pem())
        for service in ("config", "dispatch"):
            self._write_service(service, authority, new)
        self._write_profile(work)
        for service in ("config", "dispatch"):
            settings = self.environment(service).items()
            ours = (it for it in settings if it[0].startswith("SHIPEDGE_"))
            text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in ours)
            (self.folder / f"{service}_service.environment").write_text(text)

    def _write_service(self, service: str, authority: Authority, new: Path) -> None:
        place, names = self.etc / service, (f"{service}.internal", "localhost")
        (place / "tls").mkdir(parents=True)
        (place / "tls/ca.pem").write_text(authority.root.chain_pem)
        for certificate, key in (
            (place / "tls/certificate.pem", place / "tls/key.pem"),
            (new / f"{service}.pem", new / f"{service}.key"),
        ):
            issued = authority.issue(*names)
            certificate.write_text(issued.chain_pem)
            key.write_text(issued.key_pem())
        secrets = {
            "encryption_keys": f"first:{_key()}",
            "hash_key": _key(),
            "database_url": self.databases[service],
        }
        for name, secret in secrets.items():
            (place / name).write_text(secret)
            (place / name).chmod(0o600)
        settings = self._shared(service).items()
        lines = (f"{name}={shlex.quote(value)}\n" for name, value in settings)
        (self.etc / f"{service}.env").write_text("".join(lines))

    def _write_profile(self, work: Path) -> None:
        profile = {
            "config_address": f"localhost:{self.ports['config']}",
            "dispatch_address": f"localhost:{self.ports['dispatch']}",
            "ca_file": str(work / "ca.pem"),
            "certificate_file": str(work / "operator.pem"),
            "key_file": str(work / "operator.key"),
        }
        (self.folder / "webhooksctl").mkdir()
        text = yaml.safe_dump({"profiles": {"production": profile}})
        (self.folder / "webhooksctl/profiles.yaml").write_text(text)

    def _shared(self, service: str) -> dict[str, str]:
        upper = service.upper()
        found = {
            "SHIPEDGE_ENVIRONMENT": "production",
            "SHIPEDGE_LOG_LEVEL": "error",
            "SHIPEDGE_CALLERS": _CALLERS,
            "SHIPEDGE_ALLOWED_TARGETS": f"127.0.0.1:{self.receiver.port}",
            f"SHIPEDGE_{upper}_LISTEN": f"localhost:{self.ports[service]}",
            f"SHIPEDGE_{upper}_TOKEN_LISTEN": f"localhost:{self.ports[f'{service} token']}",
            f"SHIPEDGE_{upper}_DATABASE_TLS": "off",
        }
        if service == "dispatch":
            trusted = self.folder / "receivers.pem"
            trusted.write_text(self.receiver.ca_pem)
            found["SHIPEDGE_DISPATCH_CONFIG_ADDRESS"] = f"localhost:{self.ports['config']}"
            found["SHIPEDGE_DISPATCH_RECEIVER_CA_FILE"] = str(trusted)
        return found

    def environment(self, service: str) -> dict[str, str]:
        """
        Return what a unit gives its service.
        """
        place = self.etc / service
        inherited = {
            name: it for name, it in os.environ.items() if not name.startswith("SHIPEDGE_")
        }
        return {
            **inherited,
            **self._shared(service),
            "SHIPEDGE_ENCRYPTION_KEYS_FILE": str(place / "encryption_keys"),
            "SHIPEDGE_HASH_KEY_FILE": str(place / "hash_key"),
            f"SHIPEDGE_{service.upper()}_DATABASE_URL_FILE": str(place / "database_url"),
            "SHIPEDGE_TLS_CERTIFICATE_FILE": str(place / "tls/certificate.pem"),
            "SHIPEDGE_TLS_KEY_FILE": str(place / "tls/key.pem"),
            "SHIPEDGE_TLS_CA_FILE": str(place / "tls/ca.pem"),
        }

    async def start(self, unit: str) -> None:
        """
        Start a service and wait until it is ready.
        """
        package, environment = UNITS[unit], self.environment(unit.removeprefix("webhooks-"))
        log = self.folder / f"{unit}.log"
        self.children[unit] = await preloaded.start(package, environment, log)
        try:
            await probed(package, environment)
        except TimeoutError as late:
            late.add_note(log.read_text()[-3000:])
            raise

    async def stop(self, unit: str) -> None:
        """
        Stop a service as its unit does.
        """
        if unit in self.children:
            await processes.stop(self.children.pop(unit))

    async def control(self, verb: str, unit: str) -> None:
        """
        Do what `systemctl` does with a unit. Raises `ValueError` for an unknown verb.
        """
        if verb in {"stop", "restart"}:
            await self.stop(unit)
        if verb in {"start", "restart"}:
            if unit not in self.children:
                await self.start(unit)
        elif verb == "reload":
            os.kill(self.children[unit].pid, signal.SIGHUP)
        elif verb not in {"stop", "status"}:
            raise ValueError(f"systemctl {verb} is not here")

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """
        Answer a call of `systemctl`.
        """
        verb, *units = (await reader.readline()).decode().split()
        try:
            for unit in units:
                await self.control(verb, unit)
            writer.write(b"done")
        except Exception as failed:  # noqa: BLE001 - the test sees it as the command's output
            writer.write(repr(failed).encode())
        writer.close()

    @property
    def programs(self) -> dict[str, str]:
        """
        The `systemctl` of this installation.
        """
        return {
            "systemctl": _SYSTEMCTL.format(python=sys.executable, path=str(self.folder / "ctl"))
        }


def _key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


@asynccontextmanager
async def installed(
    folder: Path, receiver: Receiver, databases: Mapping[str, str]
) -> AsyncIterator[Installation]:
    """
    Run an installation; stop what still runs at the end.
    """
    made = Installation(folder, receiver, databases)
    made.write()
    server = await asyncio.start_unix_server(made.answer, folder / "ctl")
    try:
        await asyncio.gather(*map(made.start, UNITS))
        yield made
    finally:
        for unit in UNITS:
            await made.stop(unit)
        server.close()
