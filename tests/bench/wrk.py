"""
The baseline in C: `wrk` posts the request of a real delivery to the benchmark's receiver.

It renders, signs and stores nothing, so its CPU time is the minimum for sending these bytes over
kept-alive TLS.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dispatch_service.delivery import request as outbound
from dispatch_service.egress.requests import OutboundRequest
from dispatch_service.payloads import example_event, render
from tests.bench.receiver_process import running_receiver
from tests.support.dispatch_factories import NOW, claimed, subscription

CONNECTIONS = 128
SHORT_SECONDS, LONG_SECONDS = 1, 5
GRACE_SECONDS = 10.0
POLL_SECONDS = 0.02

_UNSAFE = re.compile(rb"[^A-Za-z0-9]")
_DONE = """
function done(summary, latency, requests)
  local bad = summary.errors
  io.write(string.format('\\n{"requests": %d, "duration_us": %d, "errors": %d}\\n',
    summary.requests, summary.duration,
    bad.connect + bad.read + bad.write + bad.status + bad.timeout))
end
"""


@dataclass(frozen=True)
class Run:
    """
    The result of one run of `wrk`: requests, seconds, and CPU seconds.
    """

    requests: int
    seconds: float
    cpu_s: float


def missing() -> str | None:
    """
    Return the reason why there is no baseline; None if `wrk` is installed.
    """
    return None if shutil.which("wrk") else "wrk is not installed"


def script(request: OutboundRequest) -> str:
    """
    Write the Lua script that posts *request*.

    The request is always the same, so no Lua runs for each one. `wrk` adds Host and Content-Length.
    """
    lines = ['wrk.method = "POST"', f"wrk.body = {lua_string(request.body)}"]
    lines += [
        f"wrk.headers[{lua_string(name)}] = {lua_string(value)}" for name, value in request.headers
    ]
    return "\n".join(lines) + _DONE


def lua_string(raw: bytes) -> str:
    """
    Quote any bytes as a Lua string.
    """
    quoted = _UNSAFE.sub(lambda found: b"\\%03d" % found[0][0], raw)
    return f'"{quoted.decode()}"'


def outcome(printed: str, cpu_s: float) -> Run:
    """
    Parse the last line that `wrk` printed. Raises `RuntimeError` if requests have failed.
    """
    last = json.loads(printed.strip().rpartition("\n")[2])
    if last["errors"] or not last["requests"]:
        raise RuntimeError(f"wrk: {last['errors']} of {last['requests']} requests failed")
    return Run(last["requests"], last["duration_us"] / 1e6, cpu_s)


def cpu_us_per_request(short: Run, long: Run) -> float:
    """
    Return the CPU microseconds of one more request, without start and handshakes.

    Both runs include start and handshakes, so the difference excludes them.
    """
    return (long.cpu_s - short.cpu_s) / (long.requests - short.requests) * 1e6


def example_request() -> OutboundRequest:
    """
    Build the request of a delivery with the code of the product.
    """
    body = render(example_event("orders/shipped"), "orders/shipped", "v2")
    delivery = claimed(event_id=f"t{time.monotonic_ns()}-10000")
    wanted = subscription()
    return outbound.build(delivery, wanted, body, now=NOW, deadline=10.0, keys=wanted.keys)


async def baseline() -> tuple[Run, Run]:
    """
    Run `wrk` against a new receiver, for a short time and for a longer one.
    """
    with tempfile.TemporaryDirectory(prefix="webhooks-wrk-") as name:
        async with running_receiver(Path(name)) as receiver:
            short = await asyncio.to_thread(run, receiver.url(), SHORT_SECONDS)
            return short, await asyncio.to_thread(run, receiver.url(), LONG_SECONDS)


def run(url: str, seconds: int) -> Run:
    """
    Run `wrk` against a receiver on this machine for *seconds*.
    """
    with tempfile.NamedTemporaryFile("w+") as lua, tempfile.TemporaryFile("w+") as out:
        lua.write(script(example_request()))
        lua.flush()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", lua.name, url]
        cpu_s = _cpu_seconds_of(command, out.fileno(), seconds + GRACE_SECONDS)
        out.seek(0)
        return outcome(out.read(), cpu_s)


def _cpu_seconds_of(command: Sequence[str], out: int, seconds: float) -> float:
    """
    Run a program and return its CPU time. Raises `TimeoutError` after *seconds* and kills it.
    """
    with subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL) as child:
        try:
            used = _waited_for(child, time.monotonic() + seconds)
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        raise RuntimeError(f"{command[0]} ended with {child.returncode}")
    return used.ru_utime + used.ru_stime


def _waited_for(child: subprocess.Popen[bytes], deadline: float) -> resource.struct_rusage:
    """
    Wait for a child and return its resource usage, which `Popen` does not provide.
    """
    while time.monotonic() < deadline:
        pid, status, used = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return used
        time.sleep(POLL_SECONDS)
    raise TimeoutError("the program did not end in time")
