"""
gunicorn with a WSGI program, alone and behind HAProxy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.support.databases import free_port
from tests.support.real_servers.processes import program, running
from tests.support.real_servers.site import APPS, Files, Site

THREADS = ("--worker-class", "gthread", "--threads", "4")


@contextmanager
def gunicorn(files: Files, *wanted: str) -> Iterator[Site]:
    """
    Run gunicorn, with all doors or those that are *wanted*.

    Doors: `main`, with threads; `idle`, which closes connections after a second; `sync`, which
    closes each at once; `demanding-1.3`, which demands a client certificate; `plain`, without TLS.
    """
    tls = ("--certfile", str(files.certificate), "--keyfile", str(files.key))
    demanding = ("--ca-certs", str(files.clients), "--cert-reqs", "2")
    kinds = {
        "main": (*THREADS, *tls, "--keep-alive", "60"),
        "idle": (*THREADS, *tls, "--keep-alive", "1"),
        "sync": tls,
        "demanding-1.3": (*THREADS, *tls, *demanding),
        "plain": (*THREADS, "--keep-alive", "60"),
    }
    doors = {name: free_port() for name in wanted or kinds}
    with ExitStack() as servers:
        for name, port in doors.items():
            servers.enter_context(_gunicorn(files, port, *kinds[name]))
        yield Site("gunicorn", doors, files)


@contextmanager
def _gunicorn(files: Files, port: int, *options: str) -> Iterator[None]:
    command = [
        *(program("gunicorn"), "--bind", f"127.0.0.1:{port}", "--pythonpath", str(APPS)),
        *("--graceful-timeout", "1", "--worker-tmp-dir", str(files.folder), *options, "receiver"),
    ]
    with running(files.folder, port, *command, environment={"ARRIVALS": str(files.arrivals)}):
        yield
