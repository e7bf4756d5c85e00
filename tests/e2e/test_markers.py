"""
Secrets as markers: a run with successes and failures shows them only where they are allowed.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from service_runtime.process import pair as processes
from shipedge.webhooks.config.v1 import config_admin_service_pb2, config_admin_service_pb2_grpc
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.client_certificate_pb2 import ClientCertificate, PemMaterial
from shipedge.webhooks.config.v1.credential_pb2 import Credential
from shipedge.webhooks.config.v1.subscription_pb2 import CustomHeader, Subscription
from shipedge.webhooks.dispatch.v1 import delivery_pb2, delivery_service_pb2
from tests.e2e.test_pair import settled, shipped
from tests.support.certificates import client
from tests.support.databases import free_port
from tests.support.pair import CONFIG, Pair, environment_of, running_pair
from tests.support.receivers import Receiver, answering, https_receiver

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]

OWNER = "accounts/100"
SECRET = "marker-secret"
PATH = "marker-path"
QUERY = "marker-query"
BODY = "marker-body"
ANSWER = "marker-answer"
MARKERS = (SECRET, PATH, QUERY, BODY, ANSWER, "PRIVATE KEY", "whsec_", "whsk_")

METHODS: tuple[dict[str, Any], ...] = (
    {"basic": {"username": "user", "password": SECRET}},
    {"bearer": {"token": SECRET}},
    {"api_key": {"header": "X-Api-Key", "key": SECRET}},
    {"hmac": {"header": "X-Hmac", "key": SECRET}},
    {
        "oauth2_client_credentials": {
            "token_url": "https://127.0.0.1:1/marker-path/token?marker-query",
            "client_id": "id",
            "client_secret": SECRET,
        }
    },
)


async def configure(pair: Pair, receiver: Receiver, failing: Receiver) -> list[str]:
    """
    Put a marker into every secret field; create a subscription for each credential and receiver.
    """
    certificate = await pair.config.CreateClientCertificate(
        pb.CreateClientCertificateRequest(
            parent=OWNER,
            client_certificate=ClientCertificate(
                display_name="main",
                pem=PemMaterial(
                    certificate_chain=client().chain_pem, private_key=client().key_pem()
                ),
            ),
        )
    )
    names = []
    for method in METHODS:
        credential = await pair.config.CreateCredential(
            pb.CreateCredentialRequest(
                parent=OWNER, credential=Credential(display_name="main", **method)
            )
        )
        for where in (receiver, failing):
            wanted = Subscription(
                event_type="orders/shipped",
                payload_version="v2",
                url=f"{where.url}/{PATH}/x?{QUERY}",
                status=Subscription.STATUS_ACTIVE,
                custom_headers=[CustomHeader(name="X-Secret", value=SECRET)],
                credential=credential.name,
                client_certificate=certificate.name,
                asymmetric_signature=True,
            )
            wanted.retry_schedule.delays.add(seconds=1)
            made = await pair.config.CreateSubscription(
                pb.CreateSubscriptionRequest(parent=OWNER, subscription=wanted)
            )
            names.append(made.name)
    return names


async def shown(pair: Pair) -> str:
    """
    Collect all answers that must not contain a marker.
    """
    admin = config_admin_service_pb2_grpc.ConfigAdminServiceStub(pair.channels[CONFIG])
    credentials = await pair.config.ListCredentials(pb.ListCredentialsRequest(parent=OWNER))
    certificates = await pair.config.ListClientCertificates(
        pb.ListClientCertificatesRequest(parent=OWNER)
    )
    for credential in credentials.credentials:
        # The caller of development is an admin, who sees whole URLs.
        credential.oauth2_client_credentials.ClearField("token_url")
    deliveries = await pair.deliveries.ListDeliveries(
        delivery_service_pb2.ListDeliveriesRequest(parent=OWNER)
    )
    everything = config_admin_service_pb2.ListAuditEntriesRequest(parent="-")
    audit = await admin.ListAuditEntries(everything)
    attempts = await pair.all_attempts(OWNER)
    for delivery in deliveries.deliveries:
        assert delivery.url.endswith(f"/{PATH}/x?{QUERY}")
        delivery.ClearField("url")
    for attempt in attempts:
        assert attempt.url.endswith(f"/{PATH}/x?{QUERY}")
        attempt.ClearField("url")
    return "".join(map(str, (credentials, certificates, deliveries, audit, attempts)))


async def test_no_marker_where_it_must_not_be(tmp_path: Path) -> None:
    """
    No log line, metric, error, answer or database file contains a marker.
    """
    metrics = {
        f"SHIPEDGE_{name}_METRICS_LISTEN": f"127.0.0.1:{free_port()}"
        for name in ("CONFIG", "DISPATCH")
    }
    logs = tmp_path / "logs.txt"
    async with (
        https_receiver(answering(200, ANSWER.encode()), host="127.0.0.1") as receiver,
        https_receiver(answering(500, ANSWER.encode()), host="127.0.0.1") as failing,
    ):
        environment = environment_of(
            tmp_path, receiver, SHIPEDGE_LOG_LEVEL="debug", SHIPEDGE_LOG_FORMAT="json", **metrics
        )
        with logs.open("wb") as file, _logging_to(file):
            async with running_pair(environment, as_shipped=True) as pair:
                names = await configure(pair, receiver, failing)
                await pair.known(*names)
                event = shipped("marked")
                event.order_status_changed.order.number = BODY
                await pair.publish(event)
                await settled(
                    pair,
                    delivery_pb2.Delivery.STATE_SUCCEEDED,
                    delivery_pb2.Delivery.STATE_FAILED,
                )
                found = await shown(pair)
                async with httpx.AsyncClient(trust_env=False) as asking:
                    for address in metrics.values():
                        found += (await asking.get(f"http://{address}/metrics")).text
    assert receiver.requests
    assert failing.requests
    everything = {"answers and metrics": found.encode(), "logs": logs.read_bytes()}
    data = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    everything |= {path.name: path.read_bytes() for path in data if path.suffix != ".json"}
    assert len(logs.read_bytes()) > 1000
    for source, content in everything.items():
        for marker in MARKERS:
            assert marker.encode() not in content, (source, marker)


class _logging_to:  # noqa: N801 - used like a function
    """
    Write the logs of the services to a file.
    """

    def __init__(self, file: Any) -> None:
        self._file = file

    def __enter__(self) -> None:
        self._before = processes.start

        async def start(package: str, environment: Any) -> asyncio.subprocess.Process:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                package,
                env=environment,
                stdout=self._file,
                stderr=self._file,
                start_new_session=True,
            )

        processes.start = start

    def __exit__(self, *_: object) -> None:
        processes.start = self._before
