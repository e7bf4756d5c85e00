"""
Apache httpd with PHP behind it, and with client certificates for the whole server and for a path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.databases import free_port
from tests.support.real_servers.php import SCRIPT, php_processes
from tests.support.real_servers.processes import program, running
from tests.support.real_servers.site import Files, Site

MODULES = Path("/usr/lib/apache2/modules")
LOADED = ("mpm_event", "authz_core", "env", "proxy", "proxy_fcgi", "setenvif", "ssl", "http2")
VERSIONS = {"1.2": "-all +TLSv1.2", "1.3": "-all +TLSv1.3"}

_HOST = """
Listen 127.0.0.1:{port}
<VirtualHost 127.0.0.1:{port}>
  SSLEngine on
  SSLCertificateFile {certificate}
  SSLCertificateKeyFile {key}
  SSLCACertificateFile {clients}
  SSLProtocol {protocol}
  {more}
</VirtualHost>
"""

_FOR_A_PATH = """
  <Location /secret>
    SSLVerifyClient require
    SSLVerifyDepth 2
  </Location>
"""


@contextmanager
def apache(files: Files) -> Iterator[Site]:
    """
    Run Apache with HTTP/2 offered.

    Doors: `main`; `few`, with five requests a connection; `idle`, which closes connections after
    a second; `whole-…` and `path-…`, which demand a client certificate with TLS 1.2 and 1.3, for
    everything and below `/secret`.
    """
    server = program("apache2", "httpd")
    if not MODULES.is_dir():
        pytest.skip(f"NOT RUN: the modules of Apache are not in {MODULES}")
    with php_processes(files) as php:
        doors, text = _settings(files, php)
        settings = files.folder / "apache.conf"
        settings.write_text(text)
        command = [server, "-d", str(files.folder), "-f", str(settings), "-DFOREGROUND"]
        with running(files.folder, doors["main"], *command) as log:
            yield Site("Apache", doors, files, log)


def _settings(files: Files, php: int) -> tuple[dict[str, int], str]:
    hosts = {
        "main": ("all", ""),
        "few": ("all", "MaxKeepAliveRequests 5"),
        "idle": ("all", "KeepAliveTimeout 1"),
    }
    for version, protocol in VERSIONS.items():
        hosts[f"whole-{version}"] = (protocol, "SSLVerifyClient require")
        hosts[f"path-{version}"] = (protocol, _FOR_A_PATH)
    doors = {name: free_port() for name in hosts}
    parts = [_beginning(files, php)]
    for name, (protocol, more) in hosts.items():
        parts.append(
            _HOST.format(
                port=doors[name],
                certificate=files.certificate,
                key=files.key,
                clients=files.clients,
                protocol=protocol,
                more=more,
            )
        )
    return doors, "".join(parts)


def _beginning(files: Files, php: int) -> str:
    modules = "\n".join(f"LoadModule {it}_module {MODULES}/mod_{it}.so" for it in LOADED)
    user = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
    return f"""
{modules}
{user}ServerName hooks.acme.example
PidFile {files.folder}/apache.pid
ErrorLog /dev/stderr
Protocols h2 http/1.1
KeepAliveTimeout 60
StartServers 1
ThreadsPerChild 16
ServerLimit 1
MaxRequestWorkers 16
ProxyPassMatch "^/(.*)$" "fcgi://127.0.0.1:{php}{SCRIPT}"
"""
