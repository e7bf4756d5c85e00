"""
The fast path of validation: generated functions that recognise valid messages.

For each payload of the contract one function is written as Python source, from the same tables
as the checks in `messages`, and compiled at import. It makes few calls and gives up at the
first doubt; `messages` then decides, and describes the faults.
"""

from collections.abc import Callable, Mapping, Sequence
from types import CodeType
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from dispatch_service.payloads.checks import rules
from dispatch_service.payloads.checks.messages import (
    is_choice,
    known_values,
    leaf_rule,
    required_fields,
    scalar_rule,
)
from dispatch_service.payloads.checks.rules import LARGEST_INTEGER, Currencies, Rule

FastCheck: TypeAlias = Callable[[Any, Currencies], int]
"""
Returns how many zeros a message states that is certainly valid, and `DOUBT` for another one. Adds
the currencies in it.

A number or flag with presence that is 0 or false takes one zero byte in the serialised message. If
that has no other zero bytes, no text in it has a NUL.
"""

DOUBT: Final = -1

_INDENT = "    "

# Adds the currency, too.
_STEP = "(step := currencies.get(code := {0}.currency_code) or add_currency(currencies, code))"
_DIGITS_FIT = f"{_STEP} and not nanos % step"

_TEXTS: Final[Mapping[Rule, str]] = {
    rules.count: f"0 <= {{0}} <= {LARGEST_INTEGER}",
    rules.required_id: f"1 <= {{0}} <= {LARGEST_INTEGER}",
    rules.signed_count: f"-{LARGEST_INTEGER} <= {{0}} <= {LARGEST_INTEGER}",
    rules.required_text: "{0}",
    rules.moment: f"{rules.FIRST_SECOND} <= {{0}}.seconds <= {rules.LAST_SECOND}"
    " and 0 <= {0}.nanos <= 999_999_999",
    rules.decimal: "(not (text := {0}.value) or is_decimal(text))",
    rules.money: "{0}.units >= 0 and 0 <= (nanos := {0}.nanos) <= 999_999_999"
    f" and {_DIGITS_FIT}",
    rules.unit_price: "{0}.units >= 0 and 0 <= (nanos := {0}.nanos) <= 999_999_999"
    f" and {_STEP} and not nanos % {rules.NANOS_OF_UNIT_PRICE}",
    rules.signed_money: "-999_999_999 <= (nanos := {0}.nanos) <= 999_999_999"
    f" and {{0}}.units * nanos >= 0 and {_DIGITS_FIT}",
}
"""
The common rules as expressions over the value; other rules are called as functions.
"""

_MAY_BE_EMPTY: Final = frozenset({rules.moment, rules.decimal})
"""
The rules that an empty message satisfies: no need to test whether the message is present.
"""


def fast_check_of(kind: Descriptor) -> FastCheck:
    """
    Write and compile the function that recognises valid messages of *kind*.
    """
    writer = _Writer()
    writer.write_message(kind, "message", 1)
    names: dict[str, Any] = {
        **writer.constants,
        "is_decimal": rules.is_decimal,
        "add_currency": rules.add_currency,
    }
    exec(_compiled(kind.name, writer.lines), names)  # noqa: S102 - our own source
    stated_zeros: FastCheck = names["stated_zeros"]
    return stated_zeros


def expression(rule: Rule, value: str) -> str | None:
    """
    Write *rule* as an expression over *value* that is true if the rule holds; None if it has none.
    """
    text = _TEXTS.get(rule)
    return None if text is None else text.format(value)


def _compiled(name: str, lines: Sequence[str]) -> CodeType:
    begin = ["def stated_zeros(message, currencies):", f"{_INDENT}zeros = 0"]
    source = "\n".join([*begin, *lines, f"{_INDENT}return zeros"])
    return compile(source, f"<fast check of {name}>", "exec")


class _Writer:
    """
    Writes the body of a function; the code for nested messages is inlined.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {}
        self._variables = 0

    def write_message(self, kind: Descriptor, at: str, depth: int) -> None:
        """
        Write the checks of the message in the variable *at*: scalars first, then nested messages.
        """
        required = required_fields(kind)
        fields = [field for field in kind.fields if not is_choice(field)]
        started = len(self.lines)
        # Looking up a method costs more than calling it.
        self._add(f"has_{at} = {at}.HasField", depth)
        for field in fields:
            if field.message_type is None and not field.is_repeated:
                self._write_scalar(field, at, depth, required=field.name in required)
        for field in fields:
            if field.message_type is not None:
                write = self._write_list if field.is_repeated else self._write_nested
                write(field, field.message_type, at, depth, required=field.name in required)
        if not any(f"has_{at}(" in line for line in self.lines[started:]):
            del self.lines[started]

    def _write_scalar(self, field: FieldDescriptor, at: str, depth: int, *, required: bool) -> None:
        value = f"{at}.{field.name}"
        if field.enum_type is not None:
            # `OTHER` needs a label, which `messages` checks.
            known = known_values(field.enum_type) - ({0} if required else set())
            self._require(f"{value} in {self._constant(known)}", depth)
        elif (rule := scalar_rule(field, required=required)) is not None:
            read = f"(value := {value})" if field.has_presence else value
            self._require(self._expression(rule, read), depth)
            value = "value" if field.has_presence else value
        if field.has_presence:
            # A 0 that is stated is counted. What is not 0 is there: no need to ask.
            self._add(f"if not {value}:", depth)
            if required:
                self._require(f"has_{at}({field.name!r})", depth + 1)
            self._add(f"zeros += has_{at}({field.name!r})", depth + 1)

    def _write_nested(
        self, field: FieldDescriptor, kind: Descriptor, at: str, depth: int, *, required: bool
    ) -> None:
        started = len(self.lines)
        rule = leaf_rule(field, kind)
        guarded = required or rule not in _MAY_BE_EMPTY
        if guarded:
            self._add(f"if has_{at}({field.name!r}):", depth)
            depth += 1
        part = self._variable()
        self._add(f"{part} = {at}.{field.name}", depth)
        filled = len(self.lines)
        if rule is not None:
            self._require(self._expression(rule, part), depth)
        else:
            self.write_message(kind, part, depth)
        if len(self.lines) == filled:
            del self.lines[started:]
            if required:
                self._require(f"has_{at}({field.name!r})", depth - 1)
        elif required:
            self._add("else:", depth - 1)
            self._add(f"return {DOUBT}", depth)

    def _write_list(
        self, field: FieldDescriptor, kind: Descriptor, at: str, depth: int, *, required: bool
    ) -> None:
        if required:
            self._require(f"{at}.{field.name}", depth)
        started = len(self.lines)
        part = self._variable()
        # A copy: iterating over the field itself takes longer than copying it.
        self._add(f"for {part} in {at}.{field.name}[:]:", depth)
        self.write_message(kind, part, depth + 1)
        if len(self.lines) == started + 1:
            del self.lines[started:]

    def _expression(self, rule: Rule, value: str) -> str:
        return expression(rule, value) or f"{self._constant(rule)}({value}) is None"

    def _require(self, condition: str, depth: int) -> None:
        self._add(f"if not ({condition}):", depth)
        self._add(f"return {DOUBT}", depth + 1)

    def _add(self, line: str, depth: int) -> None:
        self.lines.append(_INDENT * depth + line)

    def _variable(self) -> str:
        self._variables += 1
        return f"part_{self._variables}"

    def _constant(self, value: Any) -> str:
        for name, known in self.constants.items():
            if known == value:
                return name
        name = f"constant_{len(self.constants)}"
        self.constants[name] = value
        return name
