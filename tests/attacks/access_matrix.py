"""
Every method for every kind of caller, at both listeners of both services.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import message_factory

from service_runtime.rpc.access import RULES, AccessRule, owners_of
from service_runtime.rpc.callers import ROLES
from service_runtime.rpc.status import read_status
from shipedge.webhooks.config.v1 import config_admin_service_pb2
from shipedge.webhooks.config.v1.caller_pb2 import Caller
from shipedge.webhooks.dispatch.v1 import (
    delivery_service_pb2,
    delivery_service_pb2_grpc,
    publisher_service_pb2,
)
from tests.attacks.harness.model import Attack, Verdict
from tests.attacks.harness.setups import NOBODY, OPERATOR, Setup
from tests.attacks.harness.stage import Stage, serves
from tests.contract.test_owners import CASES, MINE, fill
from tests.support.odd_requests import answer_of
from tests.support.pair import CONFIG, DISPATCH
from tests.unit.service_runtime.rpc.test_access import EVERYTHING, METHODS, OWNER, request_on

RIGHT, WRONG, ELSEWHERE = "right", "wrong", "elsewhere"
"""
A caller with the roles of a rule; one with all others; one with those roles for another account.
"""

MATRIX = "matrix-mine"
"""
The caller with all roles for one account and one warehouse.
"""

ROLE_SETS: Sequence[frozenset[str]] = sorted({it.roles for it in RULES.values()}, key=sorted)
UNKNOWN, FORBIDDEN = (
    {("UNAUTHENTICATED", "CALLER_UNKNOWN")},
    {("PERMISSION_DENIED", "CALLER_FORBIDDEN")},
)
FAULTS = {"INTERNAL", "UNKNOWN", "UNIMPLEMENTED", "UNAVAILABLE", "DEADLINE_EXCEEDED"}
REFUSED_SECONDS, OPEN_SECONDS = 10.0, 1.0
"""
How long a stream that should be refused is waited for, and one that should stay open.
"""


def caller_id(kind: str, roles: frozenset[str]) -> str:
    """
    Return the id of a caller of the matrix.
    """
    return f"{kind}-{ROLE_SETS.index(roles)}"


def wanted_callers() -> Iterator[Caller]:
    """
    Yield the callers of the matrix, without what they are known by.
    """
    for roles in ROLE_SETS:
        for kind, chosen, owners in (
            (RIGHT, roles, EVERYTHING),
            (WRONG, frozenset(ROLES - roles), EVERYTHING),
            (ELSEWHERE, roles, frozenset({"accounts/200"})),
        ):
            yield _caller(caller_id(kind, roles), chosen, owners)
    yield _caller(MATRIX, MINE.roles, MINE.owners)


def _caller(name: str, roles: frozenset[str], owners: frozenset[str]) -> Caller:
    values = [Caller.Role.Value(f"ROLE_{role.upper()}") for role in sorted(roles)]
    return Caller(display_name=name, roles=values, owners=sorted(owners))


@dataclass
class Matrix:
    """
    The connections of the callers to one kind of listener, by service: with their certificates,
    or with their *tokens*.
    """

    stage: Stage
    tokens: Mapping[str, str] | None
    connections: dict[tuple[str, str], grpc.aio.Channel] = field(default_factory=dict)

    async def answer(
        self, who: str, path: str, request: Any, seconds: float
    ) -> tuple[str, str, list[Any]]:
        """
        Call a method as somebody. A stream that publishes answers a batch that it refuses; that
        counts as the answer to the call.
        """
        package = DISPATCH if ".dispatch." in path else CONFIG
        metadata = []
        if self.tokens is not None:
            token = self.tokens.get(who, "shwt_wrong")
            metadata = [("authorization", f"Bearer {token}")]
        connection = await self._connection("" if metadata else who, package)
        code, reason, answers = await answer_of(
            connection, path, METHODS[path], request, metadata=metadata, stream_seconds=seconds
        )
        for answer in answers:
            if isinstance(answer, publisher_service_pb2.StreamEventsResponse) and answer.HasField(
                "error"
            ):
                refused = read_status(answer.error)
                code, reason = refused.code, refused.reason
        return code, reason, answers

    async def _connection(self, who: str, package: str) -> grpc.aio.Channel:
        key = (who, package)
        if key not in self.connections:
            made = self.stage.connect(who, package) if who else self.stage.connect_without(package)
            self.connections[key] = await made
        return self.connections[key]


async def create_callers(stage: Stage, *, by_token: bool) -> dict[str, str]:
    """
    Create the callers of the matrix; return their tokens, empty where they have a certificate.
    """
    stub, tokens = await stage.admin(), {}
    for caller in wanted_callers():
        name = caller.display_name
        request = config_admin_service_pb2.CreateCallerRequest(caller=caller, caller_id=name)
        if by_token:
            request.caller_id = f"{name}-token"
        else:
            request.caller.certificate_identity = name
        tokens[name] = (await stub.CreateCaller(request)).token
    return tokens


def expectations(path: str, rule: AccessRule) -> Iterator[tuple[str, set[tuple[str, str]]]]:
    """
    Yield who must be refused at a method, and how.
    """
    yield NOBODY, UNKNOWN
    yield caller_id(WRONG, rule.roles), FORBIDDEN
    if rule.everything or list(owners_of(request_on(path, OWNER))):
        yield caller_id(ELSEWHERE, rule.roles), FORBIDDEN


async def roles_held(matrix: Matrix) -> AsyncIterator[str]:
    """
    Call each method as each kind of caller; yield what is not as its rule says, else nothing.
    """
    for path, rule in RULES.items():
        request = request_on(path, OWNER)
        for who, outcomes in expectations(path, rule):
            code, reason, _ = await matrix.answer(who, path, request, REFUSED_SECONDS)
            yield "" if (code, reason) in outcomes else f"{path} {who}: {code} {reason}"
        right = caller_id(RIGHT, rule.roles)
        code, reason, _ = await matrix.answer(right, path, request, OPEN_SECONDS)
        let_in = (code, reason) not in UNKNOWN | FORBIDDEN and code not in FAULTS
        yield "" if let_in else f"{path} {right}: {code} {reason}"


async def owners_held(matrix: Matrix) -> AsyncIterator[str]:
    """
    Let each field name another's account or warehouse; yield where that is not refused, else
    nothing.
    """
    for case in CASES:
        values: Any = case.values
        path, fields = values
        request: Any = message_factory.GetMessageClass(METHODS[path].input_type)()
        fill(request, fields)
        for event in getattr(request, "events", ()):
            event.account_id = event.account_id or int(OWNER.rpartition("/")[2])
        code, reason, answers = await matrix.answer(MATRIX, path, request, REFUSED_SECONDS)
        accepted = not answers or any(map(_accepts, answers))
        held = (code, reason) in FORBIDDEN or (code == "OK" and not accepted)
        yield "" if held else f"{path} {'.'.join(it.name for it in fields)}: {code} {reason}"


def _accepts(answer: Any) -> bool:
    """
    Tell whether an answer takes anything: those to events are OK even where each is refused.
    """
    if isinstance(answer, publisher_service_pb2.StreamEventsResponse):
        return _accepts(answer.results)
    results = getattr(answer, "results", None)
    return results is None or any(it.HasField("accepted") for it in results)


async def all_methods(stage: Stage) -> Verdict:
    """
    Judge all methods and all fields with certificates, and with tokens alone.
    """
    verdict = Verdict()
    for by_token in (False, True):
        tokens = await create_callers(stage, by_token=by_token)
        matrix = Matrix(stage, tokens if by_token else None)
        await _until_known(matrix)
        counts: Counter[str] = Counter()
        for judged in (roles_held(matrix), owners_held(matrix)):
            async for wrong in judged:
                counts[wrong] += 1
        right = counts.pop("")
        text = "by token" if by_token else "by certificate"
        verdict.expect(not counts, f"{right} calls {text}; wrong: {list(counts)[:5]}")
    verdict.expect(not await _written(stage), "nothing is written for others")
    return verdict


async def _until_known(matrix: Matrix) -> None:
    """
    Wait until the caller that was created last is let in by both services.
    """
    for method in (
        "config.v1.ConfigService/ListEventTypes",
        "dispatch.v1.DispatchAdminService/List",
    ):
        prefix = f"/shipedge.webhooks.{method}"
        path = next(it for it in METHODS if it.startswith(prefix))

        async def is_known(path: str = path) -> bool:
            request = request_on(path, OWNER)
            code, _, _ = await matrix.answer(MATRIX, path, request, REFUSED_SECONDS)
            return code != "UNAUTHENTICATED"

        await serves(is_known)


async def _written(stage: Stage) -> list[Any]:
    log = delivery_service_pb2_grpc.DeliveryServiceStub(await stage.connect(OPERATOR))
    written: list[Any] = []
    for owner in ("accounts/200", "warehouses/theirs"):
        request = delivery_service_pb2.ListDeliveriesRequest(parent=owner)
        written += (await log.ListDeliveries(request)).deliveries
    return written


ATTACKS = [
    Attack(
        "access.matrix",
        all_methods,
        "each method lets in whom its rule names, at both listeners, for no other's account",
        Setup(holders=tuple(it.display_name for it in wanted_callers())),
        seconds=240,
        alone=False,
    )
]
