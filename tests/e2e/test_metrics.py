"""
The metrics of both services while they work.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from shipedge.webhooks.dispatch.v1 import delivery_pb2, delivery_service_pb2
from tests.e2e.test_pair import known, settled, shipped
from tests.support.databases import free_port
from tests.support.figures import read_figures
from tests.support.pair import PATIENCE_SECONDS, environment_of, running_pair
from tests.support.receivers import Receiver
from tests.support.reference import declared_metrics

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PUBLISH = "/shipedge.webhooks.dispatch.v1.PublisherService/PublishEvents"
BOTH = (
    'webhooks_database_connections_limit{pool="main"}',
    "webhooks_connections",
    "webhooks_event_loop_lag_seconds_count",
    "webhooks_sql_round_trips_total",
    "webhooks_serving",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
    "process_start_time_seconds",
    "process_open_fds",
    "process_max_fds",
    'webhooks_database_statement_seconds_count{pool="main"}',
    'webhooks_encryption_key_info{key="development",use="encrypts"}',
)
DISPATCH = (
    "webhooks_publish_to_first_attempt_seconds_count",
    "webhooks_publish_to_success_seconds_count",
    'webhooks_attempt_phase_seconds_count{phase="connect"}',
    'webhooks_attempt_phase_seconds_count{phase="first_byte"}',
    'webhooks_deliveries_ended_total{failure_kind="",state="SUCCEEDED"}',
    'webhooks_events_refused_total{reason="EVENT_INVALID"}',
    f'webhooks_rpc_call_seconds_count{{method="{PUBLISH}"}}',
    'webhooks_rpc_refusals_total{reason="MESSAGE_TOO_LARGE"}',
    'webhooks_batch_items_sum{kind="commit"}',
    'webhooks_batch_seconds_count{kind="claim"}',
    'webhooks_batch_seconds_count{kind="settle"}',
    "webhooks_feed_connected",
    "webhooks_feed_revision",
)
NOTHING_YET = (
    "webhooks_share_refusals_total",
    "webhooks_leases_taken_over_total",
    "webhooks_results_late_total",
    "webhooks_results_waiting",
    "webhooks_owners_with_share",
    "webhooks_owners_with_full_log",
    "webhooks_endpoints_degraded",
    "webhooks_subscriptions_held",
    "webhooks_deliveries_in_memory",
    "webhooks_feed_alarming_snapshots_total",
    'webhooks_queue_deliveries{state="throttled"}',
)


async def figures(address: str) -> dict[str, float]:
    """
    Read the metrics of a service.
    """
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"http://{address}/metrics")).text
    for family in text_string_to_metric_families(text):
        # What is not declared would be in no documentation, and merged in the wrong way.
        assert family.name.removesuffix("_total") in declared_metrics()
        assert family.documentation
        assert family.type in {"counter", "gauge", "histogram"}
    return read_figures(text)


async def test_services_show_what_they_do(tmp_path: Path, receiver: Receiver) -> None:
    """
    Each metric that work moves has moved; nothing alarms without a reason.
    """
    config, dispatch = (f"127.0.0.1:{free_port()}" for _ in range(2))
    environment = environment_of(
        tmp_path,
        receiver,
        SHIPEDGE_CONFIG_METRICS_LISTEN=config,
        SHIPEDGE_DISPATCH_METRICS_LISTEN=dispatch,
    )
    async with running_pair(environment) as pair:
        await pair.subscribe(receiver.url, "orders/shipped", "v2")
        await known(pair, receiver, "measured")
        await settled(pair, delivery_pb2.Delivery.STATE_SUCCEEDED)
        invalid = shipped("refused")
        invalid.ClearField("occurred_at")
        await pair.publish(invalid)
        with pytest.raises(grpc.aio.AioRpcError, match="must not be larger"):
            await pair.deliveries.ListDeliveries(
                delivery_service_pb2.ListDeliveriesRequest(parent="x" * 300_000)
            )
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (seen := await figures(config))["webhooks_config_revision"] < 1:
                await asyncio.sleep(0.2)
        known_to_dispatch = await figures(dispatch)

    for shown, names in ((seen, BOTH), (known_to_dispatch, BOTH + DISPATCH)):
        assert [name for name in names if not shown.get(name, 0.0) > 0] == []
    assert {name: known_to_dispatch[name] for name in NOTHING_YET} == dict.fromkeys(NOTHING_YET, 0)
    assert known_to_dispatch["webhooks_feed_revision"] == seen["webhooks_config_revision"]
    assert 0 <= known_to_dispatch["webhooks_feed_lag_seconds"] < PATIENCE_SECONDS
    assert 'webhooks_database_connections{pool="main",state="idle"}' in known_to_dispatch
    assert "webhooks_deliveries_unfinished" in known_to_dispatch
    assert "webhooks_oldest_due_seconds" in known_to_dispatch
    assert not any("client_certificate_days" in name for name in {**seen, **known_to_dispatch})
    for service, shown in (("config", seen), ("dispatch", known_to_dispatch)):
        (build,) = (name for name in shown if name.startswith("webhooks_build_info"))
        assert f'service="{service}"' in build
    assert not any("accounts/100" in name for name in {**seen, **known_to_dispatch})
