"""
The secrets of a subscription that an update keeps: no answer shows them, so a new host gets them
only from who knows them. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from config_service.rules.subscriptions import refuse
from service_runtime.rpc.errors import FieldFault
from service_runtime.rules.urls import UrlRules, same_endpoint
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription


def keep_header_values(old: Subscription, new: Subscription) -> None:
    """
    Give each header of *new* that has no value the value of *old*, in place.
    """
    values = {header.name.lower(): header.value for header in old.custom_headers}
    for header in new.custom_headers:
        if not header.value:
            header.value = values.get(header.name.lower(), "")


def check_destination(
    before: Subscription, after: Subscription, fields: Collection[str], rules: UrlRules
) -> None:
    """
    Raise `InvalidArgument` where an update of *fields* would send secrets of *before* to another
    scheme, host or port.

    *after* has the values of headers that the request gives, and those of fields that it leaves.
    """
    if same_endpoint(before.url, after.url, rules):
        return
    refuse([FieldFault(path, text, "SECRET_REQUIRED") for path, text in _not_given(after, fields)])


def _not_given(after: Subscription, fields: Collection[str]) -> Iterator[tuple[str, str]]:
    why = "since url has another scheme, host or port"
    for index, header in enumerate(after.custom_headers):
        if "custom_headers" not in fields or not header.value:
            yield f"custom_headers[{index}].value", f"must be given again, {why}"
    for field in ("credential", "client_certificate"):
        if getattr(after, field) and field not in fields:
            yield field, f"must be named again, {why}"
