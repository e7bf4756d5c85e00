"""
`egress`: the addresses that deliveries come from.
"""

from __future__ import annotations

import typer

from shipedge.webhooks.config.v1.config_service_pb2 import GetEgressRangesRequest
from webhooksctl.options.flags import Output
from webhooksctl.options.session import say, session_of
from webhooksctl.output.formats import Format, write


def egress(ctx: typer.Context, *, output: Output = Format.TABLE) -> None:
    """
    Show the addresses that deliveries come from, for the firewalls of receivers.
    """
    session = session_of(ctx)
    ranges = list(session.services.config.GetEgressRanges(GetEgressRangesRequest()).ranges)
    if output is not Format.TABLE:
        write(ranges, output)
        return
    if not ranges:
        say("the config service was not told from where deliveries come")
    for each in ranges:
        typer.echo(each)
