"""
Attempts with OAuth tokens: which token is sent, and what follows if the receiver refuses it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from dispatch_service.delivery.send import AttemptSender
from dispatch_service.domain.authentication import compile_credential
from dispatch_service.domain.outcomes import FailureKind, Outcome, Response
from dispatch_service.domain.transitions import State
from dispatch_service.egress import oauth_tokens
from dispatch_service.egress.oauth_tokens import OAuthTokens
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest
from dispatch_service.routing.index import SubscriptionIndex
from service_runtime.rules.urls import UrlRules, parse_url
from shipedge.webhooks.config.v1.credential_pb2 import Credential, OAuth2ClientCredentials
from shipedge.webhooks.failures.causes import Cause
from tests.support.dispatch_factories import claimed, subscription

pytestmark = pytest.mark.anyio

CREDENTIAL = "accounts/100/credentials/main"
RECEIVER = "https://receiver.example/hook"
STALE = FailureKind.STALE_TOKEN


class Servers:
    """
    A token server, which numbers its tokens, and a receiver, which refuses those in *refused*.
    """

    def __init__(self) -> None:
        self.given = 0
        self.refused: set[str] = set()
        self.refuses_all = False
        self.token_failure: ExchangeFailedError | None = None
        self.token_seconds = 0.0
        self.sent: list[str] = []

    async def exchange(self, request: OutboundRequest) -> Response:
        """
        Answer as the one or the other.
        """
        await asyncio.sleep(0)
        if request.url.target == "/hook":
            token = dict(request.headers)[b"Authorization"].decode().removeprefix("Bearer ")
            self.sent.append(token)
            is_refused = self.refuses_all or token in self.refused
            return Response(status_code=401 if is_refused else 200)
        await asyncio.sleep(self.token_seconds)
        if self.token_failure is not None:
            raise self.token_failure
        self.given += 1
        body = json.dumps({"access_token": f"t{self.given}", "expires_in": 3600})
        return Response(status_code=200, body=body.encode())


class Process:
    """
    A process that sends, with its own cache of tokens.
    """

    def __init__(self, servers: Servers, deadline: float = 10.0) -> None:
        index = SubscriptionIndex()
        index.credentials[CREDENTIAL] = compile_credential(
            Credential(
                name=CREDENTIAL,
                oauth2_client_credentials=OAuth2ClientCredentials(
                    token_url="https://tokens.example/token", client_id="id", client_secret="secret"
                ),
            ),
            UrlRules(),
        )
        self._sender = AttemptSender(
            index,
            servers,
            OAuthTokens(servers),
            clock=lambda: datetime(2026, 3, 1, tzinfo=UTC),
            deadline=deadline,
        )

    async def attempt(
        self, last_failure: FailureKind | None = None, state: State = State.DELIVERING
    ) -> Outcome:
        """
        Make an attempt, which follows one that failed in this way.
        """
        wanted = subscription(url=parse_url(RECEIVER, UrlRules()), credential=CREDENTIAL)
        of = claimed(last_failure=last_failure, state=state)
        return (await self._sender.send(of, wanted, b"{}", 0.0)).outcome


@pytest.fixture
def servers() -> Servers:
    """
    Return both servers.
    """
    return Servers()


def tell(outcomes: Sequence[Outcome]) -> list[tuple[str | None, int | None]]:
    """
    Return kinds of failure and status codes.
    """
    return [(it.failure_kind, it.status_code) for it in outcomes]


async def test_stale_token_fails_its_attempt_and_the_next_one_has_another(servers: Servers) -> None:
    """
    Each attempt is one request, and says what came of it.
    """
    process = Process(servers)
    first = await process.attempt()
    servers.refused.add("t1")
    stale = await process.attempt()
    again = await process.attempt(STALE)

    assert tell([first, stale, again]) == [(None, 200), (STALE, 401), (None, 200)]
    assert servers.sent == ["t1", "t1", "t2"]
    assert stale.error == Cause.STALE_TOKEN.text()


async def test_new_token_that_is_refused_is_no_stale_one(servers: Servers) -> None:
    """
    Another new token would bring the same answer; the next attempt of the schedule has one.
    """
    servers.refuses_all = True
    process = Process(servers)
    outcomes = [await process.attempt(), await process.attempt(FailureKind.HTTP_STATUS)]

    assert tell(outcomes) == [(FailureKind.HTTP_STATUS, 401)] * 2
    assert servers.sent == ["t1", "t2"]


@pytest.mark.parametrize("last_failure", [STALE, FailureKind.CONNECTION_LOST])
async def test_there_is_one_repetition_a_step(servers: Servers, last_failure: FailureKind) -> None:
    """
    A repetition that is refused, too, is a failure like any other.
    """
    process = Process(servers)
    await process.attempt()
    servers.refuses_all = True
    outcome = await process.attempt(last_failure)

    assert tell([outcome]) == [(FailureKind.HTTP_STATUS, 401)]
    assert len(servers.sent) == 2


@pytest.mark.parametrize(
    ("last_failure", "state"), [(STALE, State.DELIVERING), (None, State.SUCCEEDED)]
)
async def test_what_has_no_repetition_takes_a_new_token(
    servers: Servers,
    last_failure: FailureKind | None,
    state: State,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    So does a process that had no part in the refusal, and still has the old token.
    """
    process = Process(servers)
    await process.attempt()
    servers.refused.add("t1")
    monkeypatch.setattr(oauth_tokens, "NEW_SECONDS", 0.0)

    assert tell([await process.attempt(last_failure, state)]) == [(None, 200)]
    assert servers.sent == ["t1", "t2"]


async def test_many_that_were_refused_share_a_new_token(servers: Servers) -> None:
    """
    A revoked token costs its server one request, however many deliveries it was sent with.
    """
    process = Process(servers)
    await process.attempt()
    servers.refused.add("t1")
    stale = await asyncio.gather(*[process.attempt() for _ in range(20)])
    again = await asyncio.gather(*[process.attempt(STALE) for _ in range(20)])

    assert tell(stale) == [(STALE, 401)] * 20
    assert tell(again) == [(None, 200)] * 20
    assert servers.given == 2


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (
            ExchangeFailedError(Cause.TIMEOUT_CONNECT, seconds=10.0),
            Cause.TOKEN_TIMEOUT.text("the server took no connection within 10 seconds"),
        ),
        (
            ExchangeFailedError(Cause.NOT_CONNECTED, why="connection refused"),
            Cause.TOKEN_UNREACHABLE.text("cannot connect to the server: connection refused"),
        ),
    ],
)
async def test_token_servers_that_do_not_answer(
    servers: Servers, failure: ExchangeFailedError, text: str
) -> None:
    """
    The attempt fails as auth, never as a timeout of the receiver, and says what was waited for.
    """
    servers.token_failure = failure
    outcome = await Process(servers).attempt()

    assert (outcome.failure_kind, outcome.error) == (FailureKind.AUTH, text)
    assert servers.sent == []


@pytest.mark.parametrize("token_seconds", [0.5, 60.0])
async def test_token_servers_that_take_up_the_deadline(
    servers: Servers, token_seconds: float
) -> None:
    """
    The receiver was not asked, so it is not blamed.
    """
    servers.token_seconds = token_seconds
    outcome = await Process(servers, deadline=0.05).attempt()

    assert outcome.failure_kind is FailureKind.AUTH
    assert (outcome.error or "").endswith("(token_timeout)")
    assert servers.sent == []
