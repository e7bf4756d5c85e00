"""
One trace from the publisher to the receiver, as a collector gets it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.credential_pb2 import BearerAuthentication, Credential
from shipedge.webhooks.config.v1.subscription_pb2 import CustomHeader
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2
from tests.e2e.test_pair import shipped
from tests.support.pair import CONFIG, DISPATCH, environment_of, eventually, running_pair
from tests.support.receivers import Receiver
from tests.support.trace_collector import Collected, running_collector

pytestmark = pytest.mark.anyio

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "marker-secret"
PATH = "marker-path"


async def test_one_trace_over_everything(tmp_path: Path, receiver: Receiver) -> None:
    """
    The call, its commit, the attempt and its result are in the publisher's trace, and the
    receiver is told its place in it. No span has a secret, a path of a URL or customer data.
    """
    with running_collector() as collector:
        environment = environment_of(
            tmp_path,
            receiver,
            SHIPEDGE_TRACES="otlp",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        )
        async with running_pair(environment) as pair:
            wanted = Credential(display_name="main", bearer=BearerAuthentication(token=SECRET))
            credential = await pair.config.CreateCredential(
                pb.CreateCredentialRequest(parent="accounts/100", credential=wanted)
            )
            await pair.subscribe(
                f"{receiver.url}/{PATH}?key={SECRET}",
                "orders/shipped",
                "v2",
                trace_context=True,
                credential=credential.name,
                custom_headers=[CustomHeader(name="X-Secret", value=SECRET)],
            )
            request = publisher_service_pb2.PublishEventsRequest(events=[shipped("traced")])
            await pair.publisher.PublishEvents(
                request, metadata=(("traceparent", f"00-{TRACE}-{SPAN}-01"),)
            )
            await eventually(lambda: bool(receiver.requests))
            # What is left is exported at the end.
            for package in (DISPATCH, CONFIG):
                assert await pair.stop(package) == 0

    spans = [it for it in collector.spans() if it.trace_id == TRACE]
    by_name = {it.name.rpartition("/")[2]: it for it in spans}
    assert chain(by_name["PublishEvents"], spans) == ["PublishEvents"]
    assert chain(by_name["commit events"], spans) == ["PublishEvents", "commit events"]
    assert chain(by_name["write result"], spans) == ["PublishEvents", "attempt", "write result"]
    assert by_name["PublishEvents"].parent_id == SPAN
    received = receiver.requests[0].headers["traceparent"]
    assert received == f"00-{TRACE}-{by_name['attempt'].span_id}-01"
    assert {it.service for it in collector.spans()} == {"webhooks-config", "webhooks-dispatch"}
    exported = b"".join(collector.bodies)
    for secret in (SECRET, PATH, "marker", "@example.com", "whsec_"):
        assert secret.encode() not in exported


def chain(span: Collected, spans: list[Collected]) -> list[str]:
    """
    Return the names from the first span of ours to one.
    """
    by_id = {it.span_id: it for it in spans}
    names = [span.name.rpartition("/")[2]]
    while (above := by_id.get(span.parent_id)) is not None:
        span = above
        names.insert(0, span.name.rpartition("/")[2])
    return names
