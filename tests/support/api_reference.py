"""
The reference of the API: pages made from the published descriptors with their comments. No I/O
but reading these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from google.api import field_behavior_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    MethodOptions,
)

from service_runtime.rpc.access import RULES
from tests.support.project_files import ROOT

ROOM = "shipedge.webhooks."
PAGES: Mapping[str, str] = {
    "config": "Configuration",
    "dispatch": "Events, deliveries and the log",
    "events": "Events that publishers send",
}
"""
The packages that have a page, and the titles of the pages.
"""

_MADE = "Made from the protos by `make reference`; do not edit."
_BEHAVIORS: Mapping[int, str] = {
    field_behavior_pb2.REQUIRED: "required",
    field_behavior_pb2.OUTPUT_ONLY: "output only",
    field_behavior_pb2.INPUT_ONLY: "input only",
    field_behavior_pb2.IMMUTABLE: "immutable",
}
_REPEATABLE: Mapping[int, str] = {
    MethodOptions.NO_SIDE_EFFECTS: "changes nothing",
    MethodOptions.IDEMPOTENT: "may be repeated",
}
_METHODS = ("| method | roles | does |", "| --- | --- | --- |")
_REASON = re.compile(r"((?:`\w+`(?:, | or )?)+)\.?\s*(.*)", re.DOTALL)
_PREFIX = re.compile(r"^[A-Z_]+?_REASON_")


@dataclass(frozen=True, slots=True)
class Documented:
    """
    A file of the contract with its comments, by the place that they stand at.
    """

    file: FileDescriptorProto
    comments: Mapping[tuple[int, ...], str] = field(default_factory=dict)

    @property
    def package(self) -> str:
        """
        The short name of the package: `config` of `shipedge.webhooks.config.v1`.
        """
        return self.file.package.removeprefix(ROOM).partition(".")[0]


@cache
def contract() -> Sequence[Documented]:
    """
    Return the files of the published contract.
    """
    found = FileDescriptorSet.FromString((ROOT / "proto/published.binpb").read_bytes())
    return [
        Documented(it, {tuple(at.path): at.leading_comments for at in it.source_code_info.location})
        for it in sorted(found.file, key=lambda it: it.name)
        if it.package.startswith(ROOM)
    ]


def overview() -> str:
    """
    Return the page of all services and methods.
    """
    lines = ["# API", "", _MADE, ""]
    lines.append("Field names, masks and errors follow the [AIPs](https://google.aip.dev).")
    lines.append("[Reasons](../reasons.md) has the reasons of all errors.")
    for file in contract():
        for number, service in enumerate(file.file.service):
            lines += ["", f"## {service.name}", "", *_METHODS]
            lines += _methods(file, number)
    return "\n".join(lines) + "\n"


def package_page(package: str) -> str:
    """
    Return the page of the services, messages and enums of a package.
    """
    lines = [f"# {PAGES[package]}", "", _MADE]
    files = [it for it in contract() if it.package == package]
    for file in files:
        lines += _services(file)
    for file in files:
        for index, message in enumerate(file.file.message_type):
            lines += _message(file, message, (4, index), "")
        for index, enum in enumerate(file.file.enum_type):
            lines += _enum(file, enum, (5, index), "")
    return "\n".join(lines) + "\n"


def reasons_page() -> str:
    """
    Return the page of all reasons of errors.
    """
    (file,) = (it for it in contract() if it.package == "errors")
    (enum,) = file.file.enum_type
    lines = ["# Reasons of errors", "", _MADE, "", prose(file.comments[5, 0])]
    lines += ["", "| reason | code | meaning | example |", "| --- | --- | --- | --- |"]
    for index, value in enumerate(enum.value):
        comment = file.comments[5, 0, 2, index]
        if value.number == 0:
            continue
        found = _REASON.fullmatch(prose(comment))
        assert found, f"{value.name}: the comment does not begin with the code"
        code, meaning = found.groups()
        name = _PREFIX.sub("", value.name)
        lines.append(f"| `{name}` | {code} | {cell(meaning)} | {_example(comment)} |")
    return "\n".join(lines) + "\n"


def prose(comment: str) -> str:
    """
    Return a comment as Markdown, without its examples.
    """
    lines = [line.removeprefix(" ") for line in comment.strip("\n").split("\n")]
    return "\n".join(line for line in lines if not line.startswith("    ")).strip()


def cell(text: str) -> str:
    """
    Return Markdown for a cell of a table: in one line, with `|` as a letter.
    """
    return re.sub(r"\s*\n\s*", " ", text.strip()).replace("|", "\\|")


def _example(comment: str) -> str:
    lines = [it.strip() for it in comment.split("\n") if it.startswith("     ")]
    return f"`{cell(' '.join(lines))}`" if lines else ""


def _roles(path: str) -> str:
    rule = RULES[path]
    order = ("publisher", "reader", "operator", "admin", "feed")
    names = ", ".join(role for role in order if role in rule.roles)
    return f"{names}, for all owners" if rule.everything else names


def _methods(file: Documented, number: int) -> Iterator[str]:
    service = file.file.service[number]
    for index, method in enumerate(service.method):
        path = f"/{file.file.package}.{service.name}/{method.name}"
        first, _, _ = prose(file.comments[6, number, 2, index]).partition("\n\n")
        link = f"[{method.name}]({file.package}.md#{method.name.lower()})"
        yield f"| {link} | {_roles(path)} | {cell(first)} |"


def _services(file: Documented) -> Iterator[str]:
    for number, service in enumerate(file.file.service):
        yield from ("", f"## {service.name}", "", prose(file.comments[6, number]))
        for index, method in enumerate(service.method):
            path = f"/{file.file.package}.{service.name}/{method.name}"
            comment = file.comments[6, number, 2, index]
            yield from ("", f"### {method.name}", "", _signature(method), "")
            repeat = _REPEATABLE.get(method.options.idempotency_level)
            yield f"Roles: {_roles(path)}." + (f" The method {repeat}." if repeat else "")
            yield from ("", prose(comment))


def _signature(method: MethodDescriptorProto) -> str:
    asked = ("stream of " if method.client_streaming else "") + _linked(method.input_type)
    answer = ("stream of " if method.server_streaming else "") + _linked(method.output_type)
    return f"{asked} → {answer}"


def _message(
    file: Documented, message: DescriptorProto, at: tuple[int, ...], within: str
) -> Iterator[str]:
    if message.options.map_entry:
        return
    name = f"{within}{message.name}"
    yield from ("", f"## {name}", "", prose(file.comments.get(at, "")))
    if message.field:
        yield from ("", "| field | type | meaning |", "| --- | --- | --- |")
    for index, each in enumerate(message.field):
        yield _field(each, message, file.comments.get((*at, 2, index), ""))
    for index, nested in enumerate(message.nested_type):
        yield from _message(file, nested, (*at, 3, index), f"{name}.")
    for index, enum in enumerate(message.enum_type):
        yield from _enum(file, enum, (*at, 4, index), f"{name}.")


def _field(each: FieldDescriptorProto, message: DescriptorProto, comment: str) -> str:
    behaviors = each.options.Extensions[field_behavior_pb2.field_behavior]
    notes = [_BEHAVIORS[it] for it in behaviors if it in _BEHAVIORS]
    if each.HasField("oneof_index") and not each.proto3_optional:
        notes.append(f"one of `{message.oneof_decl[each.oneof_index].name}`")
    kind = ", ".join([_kind(each, message.nested_type), *notes])
    example = _example(comment)
    meaning = " ".join(it for it in (cell(prose(comment)), example) if it)
    return f"| `{each.name}` | {kind} | {meaning} |"


def _kind(each: FieldDescriptorProto, nested: Iterable[DescriptorProto]) -> str:
    for entry in nested:
        if entry.options.map_entry and each.type_name.endswith(f".{entry.name}"):
            key, value = (_kind(it, ()) for it in entry.field)
            return f"map of {key} to {value}"
    simple = FieldDescriptorProto.Type.Name(each.type).removeprefix("TYPE_").lower()
    kind = _linked(each.type_name) if each.type_name else simple
    return f"list of {kind}" if each.label == FieldDescriptorProto.LABEL_REPEATED else kind


def _linked(full_name: str) -> str:
    name = full_name.removeprefix(".")
    package = name.removeprefix(ROOM).partition(".")[0]
    if not name.startswith(ROOM) or package not in PAGES:
        return f"`{name}`"
    short = re.sub(rf"^{re.escape(ROOM)}\w+\.v\d+\.", "", name)
    return f"[{short}]({package}.md#{short.replace('.', '').lower()})"


def _enum(
    file: Documented, enum: EnumDescriptorProto, at: tuple[int, ...], within: str
) -> Iterator[str]:
    yield from ("", f"## {within}{enum.name}", "", prose(file.comments.get(at, "")))
    yield from ("", "| value | meaning |", "| --- | --- |")
    for index, value in enumerate(enum.value):
        yield f"| `{value.name}` | {cell(prose(file.comments.get((*at, 2, index), '')))} |"
