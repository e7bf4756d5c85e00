"""
`listen`: an account's deliveries on a developer's own machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Final

import typer

from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from webhooksctl.commands.log.attempts import attempts_filter
from webhooksctl.forwarding.receiver import Answer, Receiver, receiver_url
from webhooksctl.options.groups import Given, takes
from webhooksctl.options.log_flags import WATCHED
from webhooksctl.options.secrets import referenced
from webhooksctl.options.session import Session, say, session_of
from webhooksctl.options.streams import followed
from webhooksctl.output.formats import write_cells
from webhooksctl.rpc.names import short_name
from webhooksctl.words.failures import CommandError
from webhooksctl.words.times import shown_time

SECONDS: Final = 10.0


@takes(WATCHED)
def listen(
    ctx: typer.Context,
    *,
    given: Given,
    forward_to: Annotated[
        str, typer.Option("--forward-to", help="Your receiver: http://localhost:3000/hooks.")
    ],
    owner: Annotated[
        str, typer.Option("--owner", "--account", help="accounts/100, warehouses/W1 or 100.")
    ] = "",
    secret: Annotated[
        str, typer.Option("--secret", help="Sign with this one: env:NAME or file:PATH.")
    ] = "",
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, help="How long an answer may take, in seconds.")
    ] = SECONDS,
    count: Annotated[int, typer.Option("--count", min=0, help="End after so many; 0: never.")] = 0,
) -> None:
    """
    Send a copy of what an account's endpoints get to your own machine, until Ctrl-C.
    """
    session = session_of(ctx)
    parent = session.owner(owner)
    try:
        receiver = Receiver(receiver_url(forward_to), timeout)
    except ValueError as refused:
        raise CommandError(f"--forward-to: {refused}") from refused
    request = pb.ForwardDeliveriesRequest(
        parent=parent,
        filter=attempts_filter(session, given, parent),
        signing_secret=referenced("--secret", secret),
    )
    for copy in islice(_copies(session, request), count or None):
        _show(copy, receiver.send({it.name: it.value for it in copy.headers}, copy.body))


def _copies(
    session: Session, request: pb.ForwardDeliveriesRequest
) -> Iterator[pb.ForwardDeliveriesResponse]:
    """
    Yield the copies of requests. The first stream gives the secret, the next ones get it.
    """
    for answer in followed(session.services.deliveries.ForwardDeliveries, request):
        if answer.signing_secret and not request.signing_secret:
            say(f"the requests are signed with {answer.signing_secret}")
            request.signing_secret = answer.signing_secret
        if answer.HasField("attempt"):
            yield answer


def _show(copy: pb.ForwardDeliveriesResponse, answer: Answer) -> None:
    """
    Write a line: what was forwarded, and what the receiver answered.
    """
    attempt = copy.attempt
    write_cells(
        [
            shown_time(attempt.start_time),
            attempt.event_type,
            short_name(attempt.name),
            "success" if answer.is_success else "failure",
            answer.text,
            f"{answer.seconds * 1000:.0f}ms",
        ]
    )
