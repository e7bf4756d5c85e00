"""
Previews, comparisons, test events and explanations for developers, over the wire.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dispatch_service.domain.errors import (
    BodyErased,
    EventInvalid,
    EventNotFound,
    EventTypeNotRaised,
    event_type_unknown,
    payload_version_unknown,
)
from dispatch_service.domain.outcomes import failure_kind_value
from dispatch_service.domain.transitions import State
from dispatch_service.intake.samples import Samples, Source
from dispatch_service.log import events, read
from dispatch_service.log.waiting_times import waiting
from dispatch_service.payloads import check, example_event, render, schema
from dispatch_service.payloads.differences import Difference, compare
from dispatch_service.routing.explain import (
    AcceptedEvent,
    EventDelivery,
    Explanation,
    explain_all,
    explain_named,
)
from dispatch_service.routing.facts import read_facts
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.rows import DeliveryRow
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.engine import reading
from service_runtime.rpc import names
from service_runtime.rpc.callers import current_caller
from service_runtime.rpc.errors import FieldFault, InvalidArgument
from service_runtime.rpc.paging import PageTokens, page_size
from service_runtime.rpc.request_ids import check_request_id
from shipedge.webhooks.catalogue import CATALOGUE
from shipedge.webhooks.dispatch.v1 import payload_service_pb2 as pb
from shipedge.webhooks.dispatch.v1 import payload_service_pb2_grpc
from shipedge.webhooks.events.v1 import event_pb2
from shipedge.webhooks.failures.words import failure_text

if TYPE_CHECKING:
    import grpc
    from sqlalchemy.ext.asyncio import AsyncEngine

    Context = grpc.aio.ServicerContext[Any, Any]

LARGE_BYTES = 100_000
"""
The size from which some receivers refuse a body by default, for example Express.
"""


class PayloadServicer(payload_service_pb2_grpc.PayloadServiceServicer):
    def __init__(
        self,
        engine: AsyncEngine,
        keys: DayKeys,
        tokens: PageTokens,
        subscriptions: SubscriptionIndex,
        samples: Samples,
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._tokens = tokens
        self._subscriptions = subscriptions
        self._samples = samples

    async def PreviewPayload(
        self, request: pb.PreviewPayloadRequest, context: Context
    ) -> pb.PreviewPayloadResponse:
        """
        Render the payload of an event, as it would be sent.
        """
        _check(request.event_type, request.event, payload_version=request.payload_version)
        body = render(request.event, request.event_type, request.payload_version)
        return pb.PreviewPayloadResponse(
            body=body,
            text=body.decode(),
            json_schema=json.dumps(schema(request.event_type, request.payload_version)),
            over_100_kb=len(body) > LARGE_BYTES,
        )

    async def DiffPayloadVersions(
        self, request: pb.DiffPayloadVersionsRequest, context: Context
    ) -> pb.DiffPayloadVersionsResponse:
        """
        Compare two payload versions of an event, given or an example.
        """
        given = request.event if request.HasField("event") else None
        _check(
            request.event_type,
            given,
            from_version=request.from_version,
            to_version=request.to_version,
        )
        event = given or example_event(request.event_type)
        found = compare(event, request.event_type, request.from_version, request.to_version)
        return pb.DiffPayloadVersionsResponse(
            differences=map(_difference_message, found.differences),
            from_text=found.before.decode(),
            to_text=found.after.decode(),
        )

    async def SendTestEvent(
        self, request: pb.SendTestEventRequest, context: Context
    ) -> pb.SendTestEventResponse:
        """
        Send a test event to one subscription.
        """
        names.parse("subscription", request.subscription, "subscription")
        check_request_id(request.request_id)
        caller, source = current_caller.get().name, await self._source(request)
        delivery = await self._samples.send(
            request.subscription, request.request_id, caller, source
        )
        return pb.SendTestEventResponse(delivery=delivery)

    async def _source(self, request: pb.SendTestEventRequest) -> Source | None:
        """
        Return the event that a test sends; None for the sample. Raises `EventNotFound` and
        `BodyErased`.
        """
        match request.WhichOneof("source"):
            case "event":
                return Source(request.event)
            case "accepted_event":
                name = request.accepted_event
                parsed = names.parse("event", name, "accepted_event")
                account = names.account_number(parsed.owner)
                stored = await events.find(self._engine, self._keys, account, parsed.id)
                if stored is None:
                    raise EventNotFound(name)
                if stored.event is None:
                    raise BodyErased(name)
                return Source(stored.event, name)
        return None

    async def ExplainEvent(
        self, request: pb.ExplainEventRequest, context: Context
    ) -> pb.ExplainEventResponse:
        """
        Explain for each subscription of an event's owners what became of the event.
        """
        if request.subscription:
            names.parse("subscription", request.subscription, "subscription")
        accepted, owners = await self._accepted(request.name)
        after = self._tokens.read(request.page_token, request)
        if only := request.subscription:
            explained = explain_named(accepted, owners, self._subscriptions, only)
        else:
            explained = list(explain_all(accepted, owners, self._subscriptions))
        found = sorted(explained, key=_by_name)
        rest = [it for it in found if after is None or it.subscription > str(after[0])]
        page = rest[: page_size(request.page_size)]
        more = len(rest) > len(page)
        response = pb.ExplainEventResponse(
            event_types=[it.event_type for it in accepted.facts.event_types]
            if accepted.facts
            else [],
            explanations=map(_explanation_message, page),
            next_page_token=self._tokens.make([page[-1].subscription], request) if more else "",
        )
        response.accept_time.FromDatetime(accepted.accept_time)
        return response

    async def _accepted(self, name: str) -> tuple[AcceptedEvent, tuple[str, ...]]:
        """
        Return the accepted event *name*, and those of its owners that the caller may access.
        Raises `EventNotFound`.
        """
        parsed = names.parse("event", name)
        account = names.account_number(parsed.owner)
        stored = await events.find(self._engine, self._keys, account, parsed.id)
        if stored is None:
            raise EventNotFound(name)
        facts = None if stored.event is None else read_facts(stored.event)
        concerned = (parsed.owner,) if facts is None else facts.owners
        owners = tuple(filter(current_caller.get().may_touch, concerned))
        async with reading(self._engine) as db:
            rows = await read.deliveries_of_event(db, owners, account, parsed.id)
        accepted = AcceptedEvent(
            accept_time=stored.accept_time,
            matched=stored.matched,
            facts=facts,
            deliveries=dict(map(_event_delivery, rows)),
        )
        return accepted, owners


def _event_delivery(row: DeliveryRow) -> tuple[str, EventDelivery]:
    """
    Return the subscription of a delivery, and the delivery as it is explained.
    """
    waits = waiting(row)
    detail = "" if waits is None else waits.text
    if row.state == State.DELIVERING:
        detail = "an attempt is being made"
    if row.state in {State.FAILED, State.CANCELLED} and row.failure_kind:
        kind = failure_kind_value(row.failure_kind)
        count = f"{row.attempt_count} attempt{'' if row.attempt_count == 1 else 's'}"
        detail = f"after {count}: {failure_text(kind, row.response_code or 0)}"
    delivery = EventDelivery(names.delivery(row.owner, row.delivery_id), State(row.state), detail)
    return names.subscription(row.owner, row.subscription), delivery


def _check(event_type: str, event: event_pb2.Event | None, **versions: str) -> None:
    """
    Check what is to be rendered: *versions* by the fields that hold them.

    Raises `InvalidArgument` with all faults, and `EventTypeNotRaised`.
    """
    faults = [*_version_faults(event_type, versions)]
    if event is not None:
        wrong = check(event)
        faults += [FieldFault(f"event.{at}", text, EventInvalid.reason) for at, text in wrong]
    if faults:
        raise InvalidArgument("The request is not valid.", faults=faults)
    raised = [] if event is None else [it.event_type for it in read_facts(event).event_types]
    if event is not None and event_type not in raised:
        raise EventTypeNotRaised(event_type, raised)


def _version_faults(event_type: str, versions: Mapping[str, str]) -> Iterator[FieldFault]:
    known = CATALOGUE.event_types.get(event_type)
    if known is None:
        yield event_type_unknown(event_type)
        return
    for field, version in versions.items():
        if version not in known.payload_versions:
            yield payload_version_unknown(field, event_type, version, known.payload_versions)


def _by_name(explanation: Explanation) -> str:
    return explanation.subscription


def _explanation_message(explanation: Explanation) -> pb.Explanation:
    return pb.Explanation(
        subscription=explanation.subscription,
        verdict=pb.Explanation.Verdict.Value(explanation.verdict.value),
        reason=pb.Explanation.Reason.Value(explanation.reason.value),
        delivery=explanation.delivery,
        detail=explanation.detail,
    )


def _difference_message(difference: Difference) -> pb.FieldDifference:
    return pb.FieldDifference(
        kind=pb.FieldDifference.Kind.Value(f"KIND_{difference.kind.name}"),
        from_path=difference.before.path,
        to_path=difference.after.path,
        from_type=difference.before.type,
        to_type=difference.after.type,
        from_value=difference.before.value,
        to_value=difference.after.value,
    )
