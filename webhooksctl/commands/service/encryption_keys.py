"""
`encryption-keys`: values that are sealed anew after the first key was changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import typer

from shipedge.webhooks.config.v1 import config_admin_service_pb2 as config_pb
from shipedge.webhooks.dispatch.v1 import dispatch_admin_service_pb2 as dispatch_pb
from webhooksctl.options.flags import Output
from webhooksctl.options.session import say, session_of
from webhooksctl.output.formats import Format, show_rows, write

app = typer.Typer(no_args_is_help=True, help="Values that are sealed anew under the first key.")


@app.command("rotate")
def rotate(ctx: typer.Context, *, output: Output = Format.TABLE) -> None:
    """
    Seal all values of both services under their first key. Then the old one can be removed.
    """
    services = session_of(ctx).services
    calls: Mapping[str, tuple[Callable[[Any], Any], Any]] = {
        "config": (
            services.config_admin.RotateEncryptionKeys,
            config_pb.RotateEncryptionKeysRequest(),
        ),
        "dispatch": (
            services.dispatch_admin.RotateEncryptionKeys,
            dispatch_pb.RotateEncryptionKeysRequest(),
        ),
    }
    found = [_rotated(service, method, request) for service, (method, request) in calls.items()]
    if output is Format.TABLE:
        show_rows(["Service", "Key", "Sealed anew"], [list(map(str, it.values())) for it in found])
    else:
        write(found, output)


def _rotated(service: str, method: Callable[[Any], Any], request: Any) -> dict[str, Any]:
    count = 0
    while True:
        answer = method(request)
        count += answer.rotated_count
        # What fits no key is not sealed anew: without progress there is no end.
        if not answer.remaining_count or not answer.rotated_count:
            if answer.remaining_count:
                say(f"{service}: {answer.remaining_count} values are still under another key")
            return {"service": service, "key_id": answer.key_id, "rotated_count": count}
