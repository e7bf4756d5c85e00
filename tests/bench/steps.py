"""
The cost of each step of a delivery in the dispatch service, in CPU microseconds, without network
and database.

    python -m tests.bench.steps
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median

from dispatch_service.api.publisher import _fill
from dispatch_service.delivery import request as outbound
from dispatch_service.domain.outcomes import Response, Timings, from_response
from dispatch_service.domain.transitions import decide, succeed
from dispatch_service.domain.work import NewEvent, Receipt, Settlement
from dispatch_service.egress.requests import OutboundRequest, wire_form
from dispatch_service.intake.bodies import seal_body
from dispatch_service.intake.prepare import Preparer, seal_event, serialised
from dispatch_service.log.attempts import attempt_record
from dispatch_service.payloads import check, example_event, render
from dispatch_service.queue.claimed import dispatched
from dispatch_service.queue.layouts import (
    BODY,
    DELIVERY,
    EVENT,
    SETTLEMENT,
    StoredBody,
    StoredDelivery,
)
from dispatch_service.queue.postgresql.inserts import arrays
from dispatch_service.queue.postgresql.statements import OF_ATTEMPT
from dispatch_service.queue.sequences import UNORDERED
from dispatch_service.routing.facts import read_facts
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.match import match
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.ids import new_id
from dispatch_service.storage.sealing import Sealer
from service_runtime.keys.keyring import DataKey, KeyRing
from shipedge.webhooks.dispatch.v1.publisher_service_pb2 import PublishEventsResponse
from shipedge.webhooks.events.v1.event_pb2 import Event
from tests.support.dispatch_factories import subscription

EVENT_TYPE, VERSION = "orders/shipped", "v2"
ROUNDS = 7
CALLS = 2000

Steps = dict[str, Callable[[], object]]

ANSWER = Response(
    status_code=200,
    headers=((b"content-length", b"2"), (b"content-type", b"text/plain")),
    body=b"ok",
    timings=Timings(first_byte_us=900, total_us=1000),
    remote_address="127.0.0.1",
)


def steps() -> Steps:
    """
    Return the steps of one event with one delivery that succeeds at once.
    """
    ring = KeyRing({"a": b"k" * 32}, b"h" * 32)
    sealer = Sealer(20_000, DataKey.generate(), ring.keyed_hash)
    now = datetime.now(UTC)  # noqa: TID251 - nothing here depends on the time
    wanted = subscription()
    index = SubscriptionIndex(received=True, complete=True)
    index.put(wanted)
    event = example_event(EVENT_TYPE)
    (prepared,) = Preparer(index, new_id).prepare([event], sealer)
    return {
        **publish_steps(event, prepared.event, index, sealer, now),
        **delivery_steps(prepared.event, wanted, sealer, now),
    }


def publish_steps(
    event: Event, stored: NewEvent, index: SubscriptionIndex, sealer: Sealer, now: datetime
) -> Steps:
    """
    Return the steps of a publish call: from the bytes of *event* to its rows and its result.
    """
    content = event.SerializeToString()
    facts = read_facts(event)
    body = render(event, EVENT_TYPE, VERSION)
    preparer = Preparer(index, new_id)
    receipt = Receipt(now, stored.sha256, fresh=True)
    key = (stored.deliveries[0].owner, EVENT_TYPE, VERSION)
    return {
        "parse": lambda: type(event).FromString(content),
        "serialise": lambda: serialised(event),
        "check": lambda: check(event, content),
        "facts": lambda: read_facts(event),
        "match": lambda: match(facts, index),
        "render": lambda: render(event, EVENT_TYPE, VERSION),
        "seal_event": lambda: seal_event(event, content, facts, sealer),
        "seal_body": lambda: seal_body(event, key, body, sealer),
        "prepare_in_all": lambda: preparer.prepare([event], sealer, contents=[content]),
        "dispatch": lambda: dispatched(stored, stored.deliveries[0]),
        "rows_to_store": lambda: (
            arrays("e", EVENT, [stored]),
            arrays("b", BODY, [StoredBody(stored, it) for it in stored.bodies]),
            arrays(
                "d", DELIVERY, [StoredDelivery(stored, it, UNORDERED) for it in stored.deliveries]
            ),
        ),
        "result": lambda: _fill(PublishEventsResponse().results, [event], [receipt]),
    }


def delivery_steps(stored: NewEvent, wanted: Subscription, sealer: Sealer, now: datetime) -> Steps:
    """
    Return the steps of an attempt: from a leased delivery to the rows of its result.
    """
    claimed = dispatched(stored, stored.deliveries[0])
    body = render(example_event(EVENT_TYPE), EVENT_TYPE, VERSION)

    def request_of() -> OutboundRequest:
        return outbound.build(claimed, wanted, body, now=now, deadline=10.0, keys=wanted.keys)

    request = request_of()
    outcome = from_response(ANSWER, lambda: now)

    def settled() -> Settlement:
        record = attempt_record(
            claimed, wanted, outcome, sealer, start_time=now, request_headers=request.headers
        )
        return Settlement(claimed, succeed(0), record, 200)

    settlement = settled()
    return {
        "build_and_sign": request_of,
        "wire_form": lambda: wire_form(request),
        "judge": lambda: decide(
            from_response(ANSWER, lambda: now),
            state=claimed.state,
            retries_used=0,
            schedule=(),
            time_left=timedelta(),
            age=timedelta(),
            chance=0.5,
        ),
        "attempt_record": settled,
        "rows_to_settle": lambda: (
            arrays("s", SETTLEMENT, [settlement]),
            arrays("s", OF_ATTEMPT, [settlement.attempt]),
        ),
    }


def measured() -> dict[str, float]:
    """
    Return the cost of each step, the median of several rounds.
    """
    return {name: _cost_us(step) for name, step in steps().items()}


def _cost_us(step: Callable[[], object]) -> float:
    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(CALLS):
            step()
        rounds.append((time.process_time() - started) / CALLS * 1e6)
    return median(rounds)


if __name__ == "__main__":
    print(json.dumps({name: round(cost, 1) for name, cost in measured().items()}, indent=1))
