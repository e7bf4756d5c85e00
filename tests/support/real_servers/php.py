"""
PHP: its own server, and the processes behind nginx and Apache.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.databases import free_port
from tests.support.real_servers.processes import program, running
from tests.support.real_servers.site import APPS, Files, Site

SCRIPT = APPS / "receiver.php"


@contextmanager
def php_server(files: Files) -> Iterator[Site]:
    """
    Run `php -S`, which has no TLS and closes each connection.
    """
    port = free_port()
    command = [program("php"), "-d", "display_errors=1", "-S", f"127.0.0.1:{port}", str(SCRIPT)]
    environment = {"ARRIVALS": str(files.arrivals), "PHP_CLI_SERVER_WORKERS": "4"}
    with running(files.folder, port, *command, environment=environment) as log:
        yield Site("php -S", {"main": port}, files, log, "http")


@contextmanager
def php_processes(files: Files) -> Iterator[int]:
    """
    Run php-fpm; yield its port.
    """
    server = program("php-fpm", "php-fpm8.2", "php-fpm8.3", "php-fpm8.4")
    port = free_port()
    settings = files.folder / "php-fpm.conf"
    settings.write_text(_settings(files, port))
    command = [server, "--nodaemonize", "--fpm-config", str(settings)]
    if os.geteuid() == 0:
        command.append("--allow-to-run-as-root")
    with running(files.folder, port, *command):
        yield port


def _settings(files: Files, port: int) -> str:
    user = "user = root\ngroup = root\n" if os.geteuid() == 0 else ""
    return f"""
[global]
error_log = {files.folder}/php-fpm.log
[www]
{user}listen = 127.0.0.1:{port}
pm = static
pm.max_children = 4
env[ARRIVALS] = {files.arrivals}
php_flag[display_errors] = on
"""
