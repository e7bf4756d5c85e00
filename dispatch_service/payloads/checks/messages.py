"""
Checks of the messages of the contract, derived from their descriptors at import.

The type of a field decides its rule, so a new field is checked from the start. The tables below
hold the rules that types do not express.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Final, TypeAlias

from google.api.field_behavior_pb2 import REQUIRED, field_behavior
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from dispatch_service.payloads.checks import rules
from dispatch_service.payloads.checks.rules import Rule
from dispatch_service.payloads.core.enum_strings import OTHER

# A field path and what is wrong there.
Fault: TypeAlias = tuple[str, str]

# Checks a message, and adds the currencies in it to the set. Paths start at the message.
Check: TypeAlias = Callable[[Message, set[str]], Iterable[Fault]]

_NONE: Final[Sequence[Fault]] = ()

_LEAVES: Final[Mapping[str, Rule]] = {
    "google.protobuf.Timestamp": rules.moment,
    "google.type.Date": rules.calendar_day,
    "google.type.Decimal": rules.decimal,
    "google.type.Money": rules.money,
}

# Fields with another rule than their type has.
_FIELD_RULES: Final[Mapping[str, Rule]] = {
    "Event.event_id": rules.event_id,
    "Event.account_id": rules.required_id,
    "Event.occurred_at": rules.recent_moment,
    "OrderItem.unit_price": rules.unit_price,
    "OrderTotals.discount": rules.signed_money,
    **{
        f"{message}.{field}": rules.signed_count
        for message, fields in {
            "InventoryCorrected": "previous_quantity new_quantity adjustment",
            "InventoryLevel": "available in_warehouse reserved backorder hurt in_transit",
            "ReplenishmentItem": "quantity_received quantity_hurt",
            "ReceiptItem": "quantity_good quantity_hurt",
            "ReturnItem": "received_good received_hurt",
        }.items()
        for field in fields.split()
    },
}

# By the field of an open enum: the field with the label of its value `OTHER`.
_LABELS: Final[Mapping[str, str]] = {
    "status": "status_label",
    "from_status": "from_label",
    "to_status": "to_label",
    "fulfillment_type": "fulfillment_label",
    "destination": "destination_label",
    "cause": "cause_label",
}


def faults(message: Message, checks: Sequence[Check], currencies: set[str]) -> list[Fault]:
    """
    Run *checks* on *message*, and add the currencies in it to *currencies*.
    """
    found: list[Fault] = []
    for check in checks:
        if wrong := check(message, currencies):
            found += wrong
    return found


def prefixed(prefix: str, found: Iterable[Fault]) -> list[Fault]:
    """
    Put *prefix* before the path of each fault; an empty path becomes *prefix*.
    """
    return [(f"{prefix}.{path}" if path else prefix, wrong) for path, wrong in found]


@cache
def required_fields(message: Descriptor) -> frozenset[str]:
    """
    Return the fields of *message* that the contract declares required (AIP-203).
    """
    behaviours = {it.name: it.GetOptions().Extensions[field_behavior] for it in message.fields}
    return frozenset(name for name, found in behaviours.items() if REQUIRED in found)


@cache
def checks_of(message: Descriptor) -> Sequence[Check]:
    """
    Derive the checks of *message*. Members of a oneof are left out.
    """
    required = required_fields(message)
    checks: list[Check] = []
    for field in message.fields:
        if is_choice(field):
            continue
        if field.message_type is not None:
            check = _list_check if field.is_repeated else _message_check
            checks += check(field, field.message_type, required=field.name in required)
        elif field.is_repeated:
            continue
        elif field.enum_type is not None:
            checks.append(_enum_check(field, field.enum_type, required=field.name in required))
        elif (rule := scalar_rule(field, required=field.name in required)) is not None:
            absent = _absent(field) if field.name in required and field.has_presence else _NONE
            checks.append(_scalar_check(field.name, rule, absent))
    return tuple(checks)


def is_choice(field: FieldDescriptor) -> bool:
    """
    Tell whether *field* is a member of a oneof. An optional field is the only member of one that
    is not in the proto; its name begins with an underscore.
    """
    oneof = field.containing_oneof
    return oneof is not None and not oneof.name.startswith("_")


def _absent(field: FieldDescriptor) -> Sequence[Fault]:
    return [(field.name, "is required")]


def _field_rule(field: FieldDescriptor) -> Rule | None:
    return _FIELD_RULES.get(field.full_name.removeprefix("shipedge.webhooks.events.v1."))


def scalar_rule(field: FieldDescriptor, *, required: bool) -> Rule | None:
    """
    Choose the rule of a number or a text; None if every value is allowed.
    """
    if rule := _field_rule(field):
        return rule
    if field.cpp_type in {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64}:
        return rules.required_id if required and not field.has_presence else rules.count
    return rules.required_text if required else None


def leaf_rule(field: FieldDescriptor, kind: Descriptor) -> Rule | None:
    """
    Choose the rule of a message that holds a single value, such as `Money`; None for others.
    """
    return _field_rule(field) or _LEAVES.get(kind.full_name)


def known_values(enum: EnumDescriptor) -> frozenset[int]:
    """
    Return all values of *enum* but `OTHER`, which needs a label.
    """
    return frozenset(enum.values_by_number) - {OTHER}


def _scalar_check(name: str, rule: Rule, absent: Sequence[Fault]) -> Check:
    def check(message: Message, _: set[str]) -> Iterable[Fault]:
        if absent and not message.HasField(name):
            return absent
        wrong = rule(getattr(message, name))
        return _NONE if wrong is None else [(name, wrong)]

    return check


def _enum_check(field: FieldDescriptor, enum: EnumDescriptor, *, required: bool) -> Check:
    name, kind = field.name, enum.name
    known = known_values(enum)
    label = _LABELS.get(name, "") if OTHER in enum.values_by_number else ""

    def check(message: Message, _: set[str]) -> Iterable[Fault]:
        value = getattr(message, name)
        if value in known:
            return [(name, "is required")] if required and not value else _NONE
        if label and value == OTHER:
            return _NONE if getattr(message, label) else [(label, f"is required: {name} is OTHER")]
        return [(name, f"{value} is no value of {kind}")]

    return check


def _message_check(field: FieldDescriptor, kind: Descriptor, *, required: bool) -> Iterator[Check]:
    """
    Yield the check of a message in *field* and of its absence; nothing if all is allowed.
    """
    absent = _absent(field) if required else _NONE
    if (rule := leaf_rule(field, kind)) is not None:
        check = _money_check if kind.full_name == "google.type.Money" else _leaf_check
        yield check(field.name, rule, absent)
    elif (checks := checks_of(kind)) or required:
        yield _nested_check(field.name, checks, absent)


def _leaf_check(name: str, rule: Rule, absent: Sequence[Fault]) -> Check:
    def check(message: Message, _: set[str]) -> Iterable[Fault]:
        if not message.HasField(name):
            return absent
        return _NONE if (wrong := rule(getattr(message, name))) is None else [(name, wrong)]

    return check


def _money_check(name: str, rule: Rule, absent: Sequence[Fault]) -> Check:
    def check(message: Message, currencies: set[str]) -> Iterable[Fault]:
        if not message.HasField(name):
            return absent
        value = getattr(message, name)
        if (wrong := rule(value)) is not None:
            return [(name, wrong)]
        currencies.add(value.currency_code)
        return _NONE

    return check


def _nested_check(name: str, checks: Sequence[Check], absent: Sequence[Fault]) -> Check:
    def check(message: Message, currencies: set[str]) -> Iterable[Fault]:
        if not message.HasField(name):
            return absent
        value = getattr(message, name)
        # `faults` inlined: one call less for each nested message of every event.
        wrong = [fault for each in checks for fault in each(value, currencies)]
        return prefixed(name, wrong) if wrong else _NONE

    return check


def _list_check(field: FieldDescriptor, kind: Descriptor, *, required: bool) -> Iterator[Check]:
    name = field.name
    checks = checks_of(kind)
    if not checks and not required:
        return

    def check(message: Message, currencies: set[str]) -> Iterable[Fault]:
        found: list[Fault] = []
        values = getattr(message, name)
        for index, value in enumerate(values):
            if wrong := faults(value, checks, currencies):
                found += prefixed(f"{name}[{index}]", wrong)
        return found if values or not required else [(name, "is required")]

    yield check
