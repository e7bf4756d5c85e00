"""
HAProxy in front of gunicorn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.databases import free_port
from tests.support.real_servers.gunicorn import gunicorn
from tests.support.real_servers.processes import program, running
from tests.support.real_servers.site import Files, Site


@contextmanager
def haproxy(files: Files) -> Iterator[Site]:
    """
    Run HAProxy with HTTP/2 offered.

    Doors: `main`; `idle`, which closes connections after a second; `dead`, whose server is not
    there; `late`, whose server never answers; `refusing`, which denies with 403; `rejecting`, which
    ends each connection; `demanding-…`, which demands a client certificate with TLS 1.2 and 1.3.
    """
    server = program("haproxy")
    with gunicorn(files, "plain") as behind:
        doors, text = _settings(files, behind.doors["plain"])
        settings = files.folder / "haproxy.cfg"
        settings.write_text(text)
        with running(files.folder, doors["main"], server, "-db", "-f", str(settings)) as log:
            yield Site("HAProxy", doors, files, log)


def _settings(files: Files, behind: int) -> tuple[dict[str, int], str]:
    tls = f"ssl crt {files.both} alpn h2,http/1.1"
    demanding = f"{tls} ca-file {files.clients} verify required"
    fronts = {
        "main": (tls, "default_backend app"),
        "idle": (tls, "timeout http-keep-alive 1s\n  default_backend app"),
        "dead": (tls, "default_backend dead"),
        "late": (tls, "default_backend late"),
        "refusing": (tls, "http-request deny deny_status 403"),
        "rejecting": (tls, "tcp-request connection reject"),
        "demanding-1.2": (f"{demanding} ssl-max-ver TLSv1.2", "default_backend app"),
        "demanding-1.3": (f"{demanding} ssl-min-ver TLSv1.3", "default_backend app"),
    }
    doors = {name: free_port() for name in fronts}
    parts = [_beginning(behind)]
    for name, (bind, more) in fronts.items():
        parts.append(f"frontend {name}\n  bind 127.0.0.1:{doors[name]} {bind}\n  {more}\n")
    return doors, "".join(parts)


def _beginning(behind: int) -> str:
    return f"""
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
backend app
  server app 127.0.0.1:{behind}
backend dead
  retries 0
  server app 127.0.0.1:{free_port()}
backend late
  timeout server 300ms
  http-request set-path /late
  server app 127.0.0.1:{behind}
"""
