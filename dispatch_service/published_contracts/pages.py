"""
The pages of `docs/payloads`: one for each event type, and an index.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import attrgetter

from dispatch_service.payloads import example_body, example_event, schema
from dispatch_service.payloads.core.leaves import leaves
from dispatch_service.payloads.differences import Difference, Kind, compare
from dispatch_service.payloads.orders.several_shipments import SEVERAL_SHIPMENTS
from dispatch_service.published_contracts.files import pretty
from shipedge.webhooks.catalogue import CATALOGUE, EventType
from shipedge.webhooks.events.v1 import catalogue_pb2

_FILTERS: Mapping[int, str] = {
    catalogue_pb2.FILTER_KIND_STATUSES: (
        "`statuses`: the status that the order changed to; `other:` and the label for one that is"
        " not listed"
    ),
    catalogue_pb2.FILTER_KIND_SHIPPING_METHODS: (
        "`shipping_methods`: that of any shipment, else the one that was asked for"
    ),
    catalogue_pb2.FILTER_KIND_STORES: (
        "`store_ids` or `channels`: the store or the sales channel that the order came from"
    ),
    catalogue_pb2.FILTER_KIND_ORDER_TYPES: "`order_types`: the type of the order",
    catalogue_pb2.FILTER_KIND_SKUS: "`skus`: at least one of the items",
}
_NOTE = "<!-- Written by `make contracts`; edit the typed definitions instead. -->"


def pages() -> Iterator[tuple[str, bytes]]:
    """
    Yield the name and the content of every page.
    """
    yield "README.md", _text(_index())
    for event_type in CATALOGUE.event_types.values():
        yield f"{event_type.file_stem}.md", _text(_page(event_type))


def _text(lines: Iterator[str]) -> bytes:
    return ("\n".join(lines).rstrip() + "\n").encode()


def _index() -> Iterator[str]:
    yield from ("# Payloads", "", _NOTE, "")
    yield "Every event type, its payload versions and the domain events that raise it."
    yield "Schemas and examples for machines: `make contract-bundle`."
    for group, event_types in groupby(CATALOGUE.event_types.values(), attrgetter("group")):
        yield from ("", f"## {_group_title(group)}", "")
        yield from ("| event type | sent when | versions | raised by |", "|---|---|---|---|")
        for event_type in event_types:
            versions = ", ".join(event_type.payload_versions)
            raised_by = ", ".join(f"`{name}`" for name in event_type.domain_events)
            link = f"[`{event_type.event_type}`]({event_type.file_stem}.md)"
            yield f"| {link} | {event_type.description} | {versions} | {raised_by} |"


def _page(event_type: EventType) -> Iterator[str]:
    yield from (f"# `{event_type.event_type}`: {event_type.title}", "", _NOTE, "")
    yield from (event_type.description, "")
    yield from _facts(event_type)
    for version in event_type.payload_versions:
        yield from _version(event_type.event_type, version)
    for older, newer in zip(event_type.payload_versions, event_type.payload_versions[1:]):  # noqa: B905 - pairs
        yield from _move(event_type.event_type, older, newer)


def _facts(event_type: EventType) -> Iterator[str]:
    yield f"- Group: {_group_title(event_type.group)}"
    yield f"- Raised by: {', '.join(f'`{name}`' for name in event_type.domain_events)}"
    yield f"- For: {'accounts and warehouses' if event_type.warehouse else 'accounts'}"
    if event_type.filter_kind:
        required = event_type.filter_presence == catalogue_pb2.FILTER_PRESENCE_REQUIRED
        presence = "required" if required else "optional"
        yield f"- Filter ({presence}): {_FILTERS[event_type.filter_kind]}"
    if event_type.feature:
        name = catalogue_pb2.OwnerFeature.DESCRIPTOR.values_by_number[event_type.feature].name
        yield f"- Needs the feature `{name.removeprefix('OWNER_FEATURE_').lower()}`"
    yield f"- New subscriptions should choose: {event_type.recommended_version}"


def _version(event_type: str, version: str) -> Iterator[str]:
    yield from ("", f"## Version {version[1:]}: `{CATALOGUE.topic(event_type, version)}`", "")
    if (several := SEVERAL_SHIPMENTS.get((event_type, version))) is not None:
        yield from (several, "")
    yield from ("| field | type | meaning |", "|---|---|---|")
    for leaf in leaves(schema(event_type, version)):
        yield f"| `{leaf.path}` | {leaf.type} | {leaf.description} |"
    yield from ("", "```json", pretty(example_body(event_type, version)).decode().rstrip(), "```")


def _move(event_type: str, older: str, newer: str) -> Iterator[str]:
    found = compare(example_event(event_type), event_type, older, newer).differences
    yield from ("", f"## From version {older[1:]} to {newer[1:]}", "")
    yield from (f"| {older} | {newer} | change |", "|---|---|---|")
    for difference in found:
        if difference.kind is not Kind.ADDED:
            before, after = _code(difference.before.path), _code(difference.after.path)
            yield f"| {before} | {after} | {_change(difference)} |"
    added = [_code(it.after.path) for it in found if it.kind is Kind.ADDED]
    if added:
        yield from ("", f"New in {newer}: {', '.join(added)}.")


def _change(difference: Difference) -> str:
    match difference.kind:
        case Kind.REMOVED:
            return "has no place any more"
        case Kind.RENAMED:
            return "is elsewhere"
    before, after = difference.before, difference.after
    return f"{before.type} `{before.value}` becomes {after.type} `{after.value}`"


def _code(path: str) -> str:
    return f"`{path}`" if path else ""


def _group_title(group: int) -> str:
    name = catalogue_pb2.EventGroup.DESCRIPTOR.values_by_number[group].name
    return name.removeprefix("EVENT_GROUP_").replace("_", " ").capitalize()
