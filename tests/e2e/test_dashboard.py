"""
A real Prometheus watches a pair at work: the dashboard shows it, and the rules are evaluated.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from shipedge.webhooks.dispatch.v1 import delivery_pb2
from tests.e2e.test_pair import known, settled, shipped
from tests.support.databases import free_port
from tests.support.monitoring import RULES, alerts, program, queries
from tests.support.pair import PATIENCE_SECONDS, environment_of, running_pair
from tests.support.receivers import Receiver

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]

EMPTY_WITHOUT_A_CAUSE = {
    "sum by (change) (increase(webhooks_breaker_changes_total[10s]))",
    "sum by (event) (increase(webhooks_background_errors_total[10s]))",
    "sum by (reason) (increase(webhooks_rpc_refusals_total[10s]))",
    "sum by (reason) (rate(webhooks_events_refused_total[10s]))",
    "max by (state) (webhooks_queue_deliveries)",
    "webhooks_tls_certificate_days",
    "min(webhooks_client_certificate_days)",
}
"""
Queries of counters that have no label yet, and of certificates, which development has not.
"""


class Prometheus:
    """
    The HTTP interface of a running Prometheus.
    """

    def __init__(self, port: int) -> None:
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}/api/v1/", trust_env=False, timeout=30
        )

    async def get(self, path: str, **parameters: str) -> dict[str, Any]:
        """
        Return the data of an answer; fail with its error.
        """
        answer = (await self._client.get(path, params=parameters)).json()
        assert answer["status"] == "success", answer
        data: dict[str, Any] = answer["data"]
        return data

    async def query(self, expression: str) -> list[Any]:
        """
        Return the series of an expression as of now.
        """
        found: list[Any] = (await self.get("query", query=expression))["result"]
        return found

    async def close(self) -> None:
        """
        Close the connections.
        """
        await self._client.aclose()


@asynccontextmanager
async def watching(directory: Path, targets: dict[str, str]) -> AsyncIterator[Prometheus]:
    """
    Run a Prometheus with our rules, whose *targets* by the names of their jobs are read each
    second.
    """
    port = free_port()
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [address]}]}
        for name, address in targets.items()
    ]
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": jobs,
    }
    path = directory / "prometheus.yml"
    path.write_text(yaml.safe_dump(configuration))
    process = await asyncio.create_subprocess_exec(
        program("prometheus"),
        f"--config.file={path}",
        f"--storage.tsdb.path={directory / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    prometheus = Prometheus(port)
    try:
        yield prometheus
    finally:
        await prometheus.close()
        process.terminate()
        await process.wait()


async def until_scraped(prometheus: Prometheus, samples: int) -> None:
    """
    Wait until both targets were read *samples* times.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                seen = await prometheus.query("count_over_time(webhooks_build_info[1m])")
            except httpx.TransportError:
                seen = []
            if len(seen) == 2 and all(float(it["value"][1]) >= samples for it in seen):
                return
            await asyncio.sleep(0.3)


async def test_dashboard_shows_a_pair_at_work(tmp_path: Path, receiver: Receiver) -> None:
    """
    Prometheus answers every query of the dashboard with figures, evaluates every rule, and no
    alert fires.
    """
    config, dispatch = (f"127.0.0.1:{free_port()}" for _ in range(2))
    environment = environment_of(
        tmp_path,
        receiver,
        SHIPEDGE_CONFIG_METRICS_LISTEN=config,
        SHIPEDGE_DISPATCH_METRICS_LISTEN=dispatch,
    )
    targets = {"webhooks-config": config, "webhooks-dispatch": dispatch}
    async with running_pair(environment) as pair, watching(tmp_path, targets) as prometheus:
        await pair.subscribe(receiver.url, "orders/shipped", "v2")
        await known(pair, receiver, "watched")
        await until_scraped(prometheus, samples=2)
        await pair.publish(*(shipped(f"watched-{number}") for number in range(50)))
        await settled(pair, delivery_pb2.Delivery.STATE_SUCCEEDED)
        await until_scraped(prometheus, samples=5)
        shown = {
            text: await prometheus.query(text)
            for text in (query.replace("$__rate_interval", "10s") for _, query in queries())
        }
        rules = [
            rule for group in (await prometheus.get("rules"))["groups"] for rule in group["rules"]
        ]

    assert {text for text, found in shown.items() if not found} <= EMPTY_WITHOUT_A_CAUSE
    assert set(shown) >= EMPTY_WITHOUT_A_CAUSE
    assert {rule["name"] for rule in rules} == {rule["alert"] for rule in alerts()}
    assert [rule["name"] for rule in rules if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []
    assert not any(re.search(r"accounts/|https?://", str(found)) for found in shown.values())
