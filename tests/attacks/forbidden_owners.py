"""
Events for owners that a publisher may not touch.
"""

from __future__ import annotations

from service_runtime.rpc.status import read_status
from shipedge.webhooks.dispatch.v1 import (
    delivery_service_pb2,
    delivery_service_pb2_grpc,
    publisher_service_pb2_grpc,
)
from tests.attacks.harness.clock import publish
from tests.attacks.harness.model import Attack, Verdict
from tests.attacks.harness.setups import ATTACKER, OPERATOR
from tests.attacks.harness.stage import Stage


async def warehouse(stage: Stage) -> Verdict:
    """
    A publisher of an account names a warehouse; the event beside it is accepted.
    """
    verdict = Verdict()
    stub = publisher_service_pb2_grpc.PublisherServiceStub(await stage.connect(ATTACKER))
    batch = publish(100)
    batch.MergeFrom(publish(100, "w2"))
    body = publish(100)
    body.events[0].order_status_changed.order.shipments.add(warehouse="w2")
    batch.MergeFrom(body)
    mine, *theirs = (await stub.PublishEvents(batch)).results
    verdict.expect(mine.HasField("accepted"), "the event beside it is accepted")
    reasons = {read_status(it.error).reason for it in theirs}
    verdict.expect(reasons == {"CALLER_FORBIDDEN"}, f"the others are refused: {reasons}")
    log = delivery_service_pb2_grpc.DeliveryServiceStub(await stage.connect(OPERATOR))
    request = delivery_service_pb2.ListDeliveriesRequest(parent="warehouses/w2")
    written = (await log.ListDeliveries(request)).deliveries
    verdict.expect(not written, "nothing is written")
    return verdict


ATTACKS = [
    Attack(
        "owners.warehouse",
        warehouse,
        "an event for a warehouse that its publisher may not touch is refused, nothing is written",
        alone=False,
    )
]
