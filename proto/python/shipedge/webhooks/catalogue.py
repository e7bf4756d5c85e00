"""
The catalogue of event types, read from the descriptors of the contract.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from shipedge.webhooks.events.v1 import catalogue_pb2, event_pb2

Conditions = tuple[tuple[str, int], ...]
"""
Conditions on a domain event: fields of `EventConditions` and their values.
"""

_VERSION = re.compile(r"v[1-9][0-9]*")
_LOOKS_VERSIONED = re.compile(r"_v[0-9]+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """
    An event type that can be subscribed to. Its enums are those of the contract.
    """

    event_type: str
    title: str
    group: int
    description: str
    payload_versions: tuple[str, ...]
    recommended_version: str
    filter_kind: int
    filter_presence: int
    warehouse: bool
    feature: int
    domain_events: tuple[str, ...]

    @property
    def system(self) -> bool:
        """
        Whether the dispatch service raises it by itself.
        """
        return self.group == catalogue_pb2.EVENT_GROUP_WEBHOOK

    @property
    def file_stem(self) -> str:
        """
        Its name in names of files, with a dot in place of the slash.
        """
        return self.event_type.replace("/", ".")


class Catalogue:
    """
    All event types, ordered by group and, within a group, as in the contract.
    """

    def __init__(
        self,
        event_types: Mapping[str, EventType],
        raised: Mapping[str, tuple[tuple[EventType, Conditions], ...]],
    ) -> None:
        self.event_types = event_types
        self._raised = raised
        self._topics = {
            self.topic(name, version): (name, version)
            for name, event_type in event_types.items()
            for version in event_type.payload_versions
        }

    def raised_by(self, payload_field: str) -> tuple[tuple[EventType, Conditions], ...]:
        """
        Return the event types that a field of `Event.payload` can raise, with their conditions.
        """
        return self._raised.get(payload_field, ())

    def topic(self, event_type: str, payload_version: str) -> str:
        """
        Return the name of an event type and version in payloads: `orders/shipped_v2`, without v1.
        """
        return event_type if payload_version == "v1" else f"{event_type}_{payload_version}"

    def parse_topic(self, topic: str) -> tuple[str, str]:
        """
        Return the event type and version of a wire name. Raises `LookupError`.
        """
        return self._topics[topic]


def _rules() -> Iterator[tuple[str, str, catalogue_pb2.EventTypeRule]]:
    """
    Yield the payload field, the message name and the rule, for each rule.
    """
    for field in event_pb2.Event.DESCRIPTOR.oneofs_by_name["payload"].fields:
        message = field.message_type
        if message is None:
            raise ValueError(f"{field.name} is not a message")
        for rule in message.GetOptions().Extensions[catalogue_pb2.event_types]:
            yield field.name, message.name, rule


def _described(rule: catalogue_pb2.EventTypeRule, message: str) -> EventType:
    versions = tuple(rule.payload_versions)
    if not versions or not all(map(_VERSION.fullmatch, versions)):
        raise ValueError(f"{rule.event_type} has payload versions that are not v1, v2, …")
    if rule.recommended_version not in versions or _LOOKS_VERSIONED.search(rule.event_type):
        raise ValueError(f"{rule.event_type} recommends no version of its own, or looks like one")
    return EventType(
        event_type=rule.event_type,
        title=rule.title,
        group=rule.group,
        description=rule.description,
        payload_versions=versions,
        recommended_version=rule.recommended_version,
        filter_kind=rule.filter.kind,
        filter_presence=rule.filter.presence,
        warehouse=rule.warehouse,
        feature=rule.feature,
        domain_events=(message,),
    )


def _read() -> Catalogue:
    event_types: dict[str, EventType] = {}
    sources: list[tuple[str, str, Conditions]] = []
    for field, message, rule in _rules():
        if rule.title and rule.event_type in event_types:
            raise ValueError(f"{rule.event_type} is described twice")
        if rule.title:
            event_types[rule.event_type] = _described(rule, message)
        else:
            first = event_types[rule.event_type]
            domain_events = tuple(dict.fromkeys((*first.domain_events, message)))
            event_types[rule.event_type] = replace(first, domain_events=domain_events)
        conditions = tuple((it.name, value) for it, value in rule.conditions.ListFields())
        sources.append((field, rule.event_type, conditions))
    in_order = dict(sorted(event_types.items(), key=lambda item: item[1].group))
    raised: dict[str, tuple[tuple[EventType, Conditions], ...]] = {}
    for field, event_type, conditions in sources:
        raised[field] = (*raised.get(field, ()), (event_types[event_type], conditions))
    return Catalogue(in_order, raised)


CATALOGUE = _read()
