"""
nginx with PHP behind it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.databases import free_port
from tests.support.real_servers.php import SCRIPT, php_processes
from tests.support.real_servers.processes import program, running
from tests.support.real_servers.site import Files, Site


@contextmanager
def nginx(files: Files) -> Iterator[Site]:
    """
    Run nginx with HTTP/2 offered.

    Doors: `main`; `few`, with five requests a connection; `idle`, which closes connections after
    a second; `small`, with bodies up to 1000 bytes; `dead`, whose program is not there; `silent`,
    which closes without an answer; `demanding-…`, which demands a client certificate with
    TLS 1.2 and 1.3; `plain`, without TLS.
    """
    server = program("nginx")
    with php_processes(files) as php:
        doors, text = _settings(files, php)
        settings = files.folder / "nginx.conf"
        settings.write_text(text)
        log = str(files.folder / "error.log")
        command = [server, "-p", str(files.folder), "-c", str(settings), "-e", log]
        with running(files.folder, doors["main"], *command):
            yield Site("nginx", doors, files)


def _settings(files: Files, php: int) -> tuple[dict[str, int], str]:
    program_behind = (
        f"location / {{ fastcgi_pass 127.0.0.1:{php}; fastcgi_param SCRIPT_FILENAME {SCRIPT};"
        " fastcgi_param REQUEST_URI $request_uri; fastcgi_param REQUEST_METHOD $request_method;"
        " fastcgi_param CONTENT_LENGTH $content_length; }"
    )
    demanding = f"ssl_client_certificate {files.clients}; ssl_verify_client on; {program_behind}"
    servers = {
        "main": program_behind + " client_max_body_size 10m;",
        "few": f"keepalive_requests 5; {program_behind}",
        "idle": f"keepalive_timeout 1s; {program_behind}",
        "small": f"client_max_body_size 1000; {program_behind}",
        "dead": f"location / {{ proxy_pass http://127.0.0.1:{free_port()}; }}",
        "silent": "location / { return 444; }",
        "demanding-1.2": f"ssl_protocols TLSv1.2; {demanding}",
        "demanding-1.3": f"ssl_protocols TLSv1.3; {demanding}",
        "plain": program_behind,
    }
    doors = {name: free_port() for name in servers}
    listening = [
        f"server {{ listen 127.0.0.1:{doors[name]}{'' if name == 'plain' else ' ssl http2'};"
        f" {text} }}"
        for name, text in servers.items()
    ]
    return doors, _beginning(files) + "\n".join(listening) + "\n}\n"


def _beginning(files: Files) -> str:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "\n".join(f"{kind}_temp_path {files.folder}/{kind};" for kind in kinds)
    user = "user root;\n" if os.geteuid() == 0 else ""
    return f"""
{user}daemon off;
pid {files.folder}/nginx.pid;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
access_log off;
{places}
ssl_certificate {files.certificate};
ssl_certificate_key {files.key};
"""
