"""
The bodies of one event: rendered once for each event type and version, stored once for each
owner with a subscription to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from dispatch_service.domain.confidential import Confidential
from dispatch_service.domain.work import NewBody
from dispatch_service.payloads import render
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage import associated_data
from dispatch_service.storage.associated_data import Contract
from dispatch_service.storage.sealing import Sealer
from service_runtime.process.failpoints import reach
from service_runtime.process.failures import FailureLog
from shipedge.webhooks.events.v1 import event_pb2

_failures = FailureLog("payload.render_failed")

Render = Callable[[event_pb2.Event, str, str], bytes]


class Bodies(Confidential, frozen=True, gc=False):
    """
    The rendered bodies of an event, None where rendering failed, and the rows that are wanted
    of them: (owner, event type, payload version).
    """

    rendered: dict[Contract, bytes | None]
    wanted: frozenset[tuple[str, str, str]]


def render_bodies(
    event: event_pb2.Event, subscriptions: Iterable[Subscription], renderer: Render = render
) -> Bodies:
    """
    Render the bodies that *subscriptions* get of an event.

    A renderer that raises fails the deliveries of its event type and version only.
    """
    rendered: dict[Contract, bytes | None] = {}
    wanted = set()
    for it in subscriptions:
        contract = (it.event_type, it.payload_version)
        wanted.add((it.owner, *contract))
        if contract not in rendered:
            rendered[contract] = _rendered(event, contract, renderer)
    return Bodies(rendered, frozenset(wanted))


def _rendered(event: event_pb2.Event, contract: Contract, renderer: Render) -> bytes | None:
    try:
        reach("render.fail")
        return renderer(event, *contract)
    except Exception as error:  # noqa: BLE001 - a bug, which fails these deliveries alone
        event_type, version = contract
        _failures.log(error, event_type=event_type, payload_version=version)
        return None


def seal_bodies(event: event_pb2.Event, bodies: Bodies, sealer: Sealer) -> list[NewBody]:
    """
    Seal the rendered bodies of an event for their rows.
    """
    return [
        seal_body(event, key, body, sealer)
        for key in sorted(bodies.wanted)
        if (body := bodies.rendered[key[1:]]) is not None
    ]


def seal_body(
    event: event_pb2.Event, key: tuple[str, str, str], body: bytes, sealer: Sealer
) -> NewBody:
    """
    Seal a body for the row of (owner, event type, payload version) *key*.
    """
    owner, event_type, payload_version = key
    associated = associated_data.body(
        owner, event.account_id, event.event_id, (event_type, payload_version)
    )
    return NewBody(
        owner=owner,
        event_type=event_type,
        payload_version=payload_version,
        sealed_body=sealer.seal(body, associated),
        sha256=hashlib.sha256(body).digest(),
        body_bytes=len(body),
    )
