"""
Record what curl, Go, httpx and `http.client` make of the corpus, and write the table of the docs:
`python -m tests.support.answers.record`.

Clients that are not installed keep what was recorded before.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import httpx

from tests.support.answers.corpus import CASES, GROUPS, UNSOUND, Case
from tests.support.project_files import ROOT

RECORDED = ROOT / "tests/data/answers.json"
PAGE = ROOT / "docs/receivers.md"
GO_PROGRAM = Path(__file__).with_name("client.go")
SECONDS = 1.0
CLIENTS = ("curl", "Go", "httpx", "http.client")

Verdicts = dict[str, dict[str, str]]

_BEGIN, _END = "<!-- corpus -->\n", "<!-- end of corpus -->\n"


@contextmanager
def serving(cases: Sequence[Case]) -> Iterator[str]:
    """
    Answer requests for `/NUMBER` with the case of that number; yield the URL before the number.
    """
    started, port = Event(), [0]
    loop = asyncio.new_event_loop()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.read(2)
        case = cases[int(head.split(b" ", 2)[1][1:])]
        writer.write(case.raw)
        await writer.drain()
        if case.held_open:
            await asyncio.sleep(3 * SECONDS)
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port[0] = server.sockets[0].getsockname()[1]
        started.set()

    def run() -> None:
        loop.create_task(serve())  # noqa: RUF006 - the loop runs until it has served
        loop.run_forever()

    Thread(target=run, daemon=True).start()
    started.wait()
    try:
        yield f"http://127.0.0.1:{port[0]}/"
    finally:
        loop.call_soon_threadsafe(loop.stop)


def by_curl(url: str) -> str:
    """
    Post with curl.
    """
    command = ["curl", "-qs", "-o", "/dev/null", "-w", "%{http_code}", "-m", str(SECONDS)]
    ended = subprocess.run(
        [*command, "--noproxy", "*", "-d", "{}", url], capture_output=True, text=True, check=False
    )
    code = int(ended.stdout or 0)
    if not code or ended.returncode == 1:
        return "-"
    return str(code) if ended.returncode == 0 else f"{code}, then -"


def by_httpx(url: str) -> str:
    """
    Post with httpx.
    """
    try:
        with (
            httpx.Client(timeout=SECONDS, trust_env=False) as client,
            client.stream("POST", url, content=b"{}") as answer,
        ):
            return _with_body(answer.status_code, answer.read)
    except httpx.HTTPError:
        return "-"


def by_http_client(url: str) -> str:
    """
    Post with `http.client`.
    """
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=SECONDS)
    try:
        connection.request("POST", f"/{path}", b"{}")
        answer = connection.getresponse()
        return _with_body(answer.status, answer.read)
    except (OSError, http.client.HTTPException, ValueError):
        return "-"
    finally:
        connection.close()


def _with_body(code: int, read: Callable[[], bytes]) -> str:
    try:
        read()
    except (OSError, http.client.HTTPException, httpx.HTTPError, ValueError, OverflowError):
        return f"{code}, then -"
    return str(code)


def by_go(go: str, urls: Sequence[str]) -> Sequence[str]:
    """
    Post with Go, whose command is *go*, all in one process.
    """
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "client"
        subprocess.run([go, "build", "-o", program, str(GO_PROGRAM)], check=True)
        ended = subprocess.run([program, *urls], capture_output=True, text=True, check=True)
    return ended.stdout.replace("body -", "then -").splitlines()


def record(cases: Sequence[Case] = CASES) -> Verdicts:
    """
    Return what the installed clients make of the cases, by client and name.
    """
    found: Verdicts = {}
    with serving(cases) as base, ThreadPoolExecutor(8) as pool:
        urls = [f"{base}{number}" for number in range(len(cases))]
        one_by_one: Mapping[str, Callable[[str], str]] = {
            "curl": by_curl,
            "httpx": by_httpx,
            "http.client": by_http_client,
        }
        for client, ask in one_by_one.items():
            if client != "curl" or shutil.which("curl"):
                found[client] = _named(cases, list(pool.map(ask, urls)))
        if go := shutil.which("go"):
            found["Go"] = _named(cases, by_go(go, urls))
    return found


def _named(cases: Sequence[Case], verdicts: Sequence[str]) -> dict[str, str]:
    return {case.name: it for case, it in zip(cases, verdicts, strict=True)}


def recorded() -> Verdicts:
    """
    Return what was recorded.
    """
    found: Verdicts = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    return found


def table(verdicts: Verdicts) -> str:
    """
    Return the tables of the docs, in Markdown.
    """
    lines: list[str] = []
    for title, cases in GROUPS.items():
        lines += [f"### {title}", "", f"| answer | {' | '.join(CLIENTS)} | ShipEdge | why |"]
        lines += ["|---|" + "---|" * (len(CLIENTS) + 2)]
        for case in cases:
            others = [verdicts.get(client, {}).get(case.name, "?") for client in CLIENTS]
            ours = "-" if case.code is None else str(case.code)
            agreed = all(other.partition(",")[0] in (ours, "?") for other in others)
            why = "" if agreed else case.differs or UNSOUND
            lines += [f"| {case.name} | {' | '.join(others)} | {ours} | {why} |"]
        lines += [""]
    return "\n".join(lines)


def page(verdicts: Verdicts) -> str:
    """
    Return the page of the docs with the tables of these verdicts.
    """
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    return f"{before}{_BEGIN}\n{table(verdicts)}\n{_END}{rest.partition(_END)[2]}"


def main() -> int:
    """
    Write what was recorded, and the tables.
    """
    verdicts = {**recorded(), **record()}
    RECORDED.write_text(json.dumps(verdicts, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(page(verdicts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
