"""
The outcome of a request, whatever happens to it, and what operators learn of it.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from dispatch_service.delivery.send import AttemptSender, FaultLines, exchange_outcome
from dispatch_service.domain.authentication import ClientCredentials, compile_credential
from dispatch_service.domain.outcomes import NO_TIMINGS, FailureKind, Outcome, Response
from dispatch_service.domain.transitions import DEFAULT_RETRY_SCHEDULE, State, decide
from dispatch_service.egress.oauth_tokens import OAuthTokens, TokenRefusedError
from dispatch_service.egress.requests import OutboundRequest, Transport
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import SharedKeys
from service_runtime.rules.urls import UrlRules, parse_url
from shipedge.webhooks.config.v1.credential_pb2 import Credential, OAuth2ClientCredentials
from shipedge.webhooks.failures.causes import Cause
from tests.support.dispatch_factories import claimed, subscription
from tests.support.receivers import answering, https_receiver, raw_receiver
from tests.support.transports import LOOPBACK, guarded_transport, outbound

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Broken:
    """
    A transport with a bug.
    """

    async def exchange(self, request: OutboundRequest) -> Response:
        """
        Raise what no transport should.
        """
        raise RuntimeError(f"postgresql://app:hunter2@db, {request.owner}")


async def outcome_of(transport: Transport, request: OutboundRequest) -> Outcome:
    """
    Send a request; return what came of it.
    """
    return await exchange_outcome(transport, request, lambda: NOW, FaultLines())


async def test_answers_become_outcomes() -> None:
    """
    An answer is judged, with the wait that it asks for.
    """
    date = "Retry-After: Sun, 01 Mar 2026 12:01:00 GMT"
    script = answering(503, b"busy", (date,))
    async with https_receiver(script) as receiver, guarded_transport(receiver) as transport:
        with capture_logs() as logs:
            outcome = await exchange_outcome(
                transport, outbound(receiver), lambda: NOW, FaultLines()
            )

    assert (outcome.succeeded, outcome.status_code) == (False, 503)
    assert outcome.failure_kind is FailureKind.HTTP_STATUS
    assert outcome.retry_after == timedelta(minutes=1)
    assert (outcome.response_body, outcome.remote_address) == (b"busy", "127.0.0.1")
    assert logs == []


async def test_what_came_in_the_place_of_an_answer_is_kept() -> None:
    """
    The log shows what spoke at the port, at most 2 KiB of it.
    """
    greeting = b"220 mail.example ESMTP\r\n" + b"x" * 5000

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.write(greeting)
        await asyncio.Event().wait()

    async with raw_receiver(script, scheme="http") as receiver, guarded_transport() as transport:
        outcome = await exchange_outcome(transport, outbound(receiver), lambda: NOW, FaultLines())

    assert (outcome.failure_kind, outcome.status_code) == (FailureKind.PROTOCOL, None)
    assert (outcome.response_body, outcome.response_headers) == (greeting[:2048], ())


async def test_blocked_destinations_are_reported() -> None:
    """
    The operator learns that a destination is blocked; the customer cannot tell it from a name
    that has no addresses.
    """
    answers = {"a.com": ("10.0.0.5",), "b.com": ()}
    async with guarded_transport(answers=answers, rules=UrlRules()) as transport:
        with capture_logs() as logs:
            outcome = await exchange_outcome(
                transport, outbound("https://a.com/"), lambda: NOW, FaultLines()
            )
            unknown = await exchange_outcome(
                transport, outbound("https://b.com/"), lambda: NOW, FaultLines()
            )

    assert outcome.failure_kind is FailureKind.DNS
    assert replace(outcome, timings=NO_TIMINGS) == replace(unknown, timings=NO_TIMINGS)
    for phase in ("connect_us", "tls_us", "first_byte_us"):
        assert getattr(outcome.timings, phase) == getattr(unknown.timings, phase)
    assert "10.0.0.5" not in repr(outcome)
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("delivery.blocked", "warning")
    assert line["detail"] == "https://a.com:443 is 10.0.0.5, in 10.0.0.0/8"


async def test_blocked_token_servers_are_reported() -> None:
    """
    So it is with the server of a credential's tokens.
    """
    refusals = []
    async with guarded_transport(answers={"a.com": ("10.0.0.5",)}, rules=UrlRules()) as transport:
        with capture_logs() as logs:
            for host in ("a.com", "b.com"):
                credential = compile_credential(token_credential(host), UrlRules())
                assert isinstance(credential, ClientCredentials)
                with pytest.raises(TokenRefusedError) as raised:
                    await OAuthTokens(transport).token(credential, 5.0)
                refusals.append(str(raised.value))

    why = Cause.NO_PUBLIC_ADDRESS.happened()
    assert set(refusals) == {Cause.TOKEN_UNREACHABLE.text(why)}
    (line,) = logs
    assert (line["event"], line["owner"]) == ("delivery.blocked", "accounts/100")
    assert line["detail"] == "https://a.com:443 is 10.0.0.5, in 10.0.0.0/8"


def token_credential(host: str) -> Credential:
    """
    Make a credential whose tokens come from a host.
    """
    return Credential(
        name="accounts/100/credentials/main",
        oauth2_client_credentials=OAuth2ClientCredentials(
            token_url=f"https://{host}/token", client_id="id", client_secret="secret"
        ),
    )


async def test_bugs_become_outcomes() -> None:
    """
    An exception that nobody foresaw is logged with its trace, and shown to no customer.
    """
    with capture_logs() as logs:
        outcome = await exchange_outcome(
            Broken(), outbound("https://a.com/"), lambda: NOW, FaultLines()
        )

    assert outcome.failure_kind is FailureKind.INTERNAL
    assert "hunter2" not in repr(outcome)
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("delivery.fault", "error")
    assert line["exc_info"]


async def test_what_repeats_is_folded() -> None:
    """
    A blocked destination with a thousand deliveries is one line, and then one a minute; a bug
    has its trace once.
    """
    lines = FaultLines()
    async with guarded_transport(answers={"a.com": ("10.0.0.5",)}, rules=UrlRules()) as transport:
        with capture_logs() as logs:
            for _ in range(3):
                await exchange_outcome(transport, outbound("https://a.com/"), lambda: NOW, lines)
                await exchange_outcome(Broken(), outbound("https://a.com/"), lambda: NOW, lines)

    assert [line["event"] for line in logs] == ["delivery.blocked", "delivery.fault"]


SHARED = "accounts/100/signingKeys/shop"


@pytest.mark.parametrize("without", [{"signing_key": SHARED}, {"keys": ()}], ids=["shared", "own"])
async def test_nothing_is_sent_without_a_signature(without: dict[str, Any]) -> None:
    """
    Where no key is known the attempt fails before a request, and is made again by the schedule.
    """
    async with https_receiver(answering(200)) as receiver, guarded_transport(receiver) as transport:
        index = SubscriptionIndex()
        sender = AttemptSender(
            index, transport, OAuthTokens(transport), clock=lambda: NOW, deadline=10
        )
        wanted = subscription(url=parse_url(receiver.url, LOOPBACK), **without)
        outcome = (await sender.send(claimed(), wanted, b"{}", 0.0)).outcome
        after = decide(
            outcome,
            state=State.PENDING,
            retries_used=0,
            schedule=DEFAULT_RETRY_SCHEDULE,
            time_left=timedelta(days=4),
            age=timedelta(),
            chance=0.5,
        )
        assert (outcome.failure_kind, outcome.status_code) == (FailureKind.AUTH, None)
        assert outcome.error == Cause.SIGNING_KEY_UNKNOWN.text()
        assert (after.state, after.failure_kind) == (State.PENDING, FailureKind.AUTH)
        assert receiver.requests == []

        (key,) = subscription().keys
        index.signing_keys[SHARED] = SharedKeys((key,), (key,))
        with_key = subscription(url=wanted.url, signing_key=SHARED, keys=())
        assert (await sender.send(claimed(), with_key, b"{}", 0.0)).outcome.succeeded

    (request,) = receiver.requests
    assert request.headers["webhook-signature"].startswith("v1,")
