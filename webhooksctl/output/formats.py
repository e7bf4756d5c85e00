"""
Messages as tables for people, and as JSON or YAML for programs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

import yaml
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from webhooksctl.rpc.names import is_wildcard, short_name
from webhooksctl.words.values import details, printable, text_at

_WIDE = 10_000
"""
Columns of what is not a terminal: nothing is wrapped there.
"""

_SHORT = ("Id", "Delivery")

_GAP = 3
_LAST = 24
"""
The space between columns, and the least width of the last one, in columns of a terminal.
"""

_STYLES = {
    **dict.fromkeys(("active", "succeeded", "success", "healthy", "serving", "delivered"), "green"),
    **dict.fromkeys(("failed", "failure", "failing", "gone", "error", "not serving"), "red"),
    **dict.fromkeys(("inactive", "cancelled", "pending", "waiting", "interrupted"), "yellow"),
}

Columns = Sequence[tuple[str, str]]
"""
The columns of a table: title and field. Columns `Id` and `Delivery` show names without owner and
collection.
"""


class Format(StrEnum):
    """
    How a command shows what it found.
    """

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def console() -> Console:
    """
    Return what tables are written to: the terminal, or wide plain text where there is none.
    """
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_WIDE)


def plain(message: Message) -> dict[str, Any]:
    """
    Return a message as protobuf's JSON, with the names of fields as in the contract.
    """
    return MessageToDict(message, preserving_proto_field_name=True)


def write(value: Any, form: Format) -> None:
    """
    Write plain data as JSON or YAML.
    """
    if form is Format.JSON:
        print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201 - the output
    else:
        print(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), end="")  # noqa: T201


def write_line(message: Message, form: Format) -> None:
    """
    Write a message of a stream: as a line of JSON, or as a document of YAML.
    """
    if form is Format.JSON:
        print(json.dumps(plain(message), ensure_ascii=False), flush=True)  # noqa: T201 - the output
    else:
        text = yaml.safe_dump(plain(message), sort_keys=False, allow_unicode=True)
        print(f"---\n{text}", end="", flush=True)  # noqa: T201 - the output


def show_list(messages: Iterable[Message], columns: Columns, form: Format, owner: str = "") -> None:
    """
    Show a list of messages; with full names if *owner* stands for many.
    """
    if is_wildcard(owner):
        columns = [("Name" if title == "Id" else title, path) for title, path in columns]
    if form is Format.TABLE:
        show_rows([title for title, _ in columns], [row_of(it, columns) for it in messages])
    else:
        write([plain(it) for it in messages], form)


def row_of(message: Message, columns: Columns) -> list[str]:
    """
    Return the cells of a message.
    """
    return [
        short_name(text_at(message, path)) if title in _SHORT else text_at(message, path)
        for title, path in columns
    ]


def show_rows(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """
    Show a table of texts. The last column is folded; where that is not enough for the terminal, it
    breaks the lines itself.
    """
    if not rows:
        print("nothing was found", file=sys.stderr)  # noqa: T201 - not part of the output
        return
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    for title in titles[:-1]:
        table.add_column(title, no_wrap=True)
    table.add_column(titles[-1], overflow="fold")
    for row in rows:
        table.add_row(*(_cell(text) for text in row))
    terminal = console()
    terminal.width = max(terminal.width, least_width([titles, *rows]))
    terminal.print(table, crop=False)


def least_width(rows: Sequence[Sequence[str]]) -> int:
    """
    Return how wide a terminal must be, in columns, to show rows with the last cell folded.
    """
    widths = [
        max(cell_len(printable(cell)) for cell in column) for column in zip(*rows, strict=True)
    ]
    return sum(widths[:-1]) + _GAP * (len(widths) - 1) + min(widths[-1], _LAST)


def show_message(message: Message, form: Format) -> None:
    """
    Show all fields of one message that are set.
    """
    if form is not Format.TABLE:
        write(plain(message), form)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for path, text in details(message):
        table.add_row(path, _cell(text))
    console().print(table)


def _cell(text: str) -> Text:
    return Text(printable(text), style=_STYLES.get(text, ""))


def write_row(message: Message, columns: Columns, owner: str) -> None:
    """
    Write a row of a table that has no end, without a box.
    """
    wide = [("Name", path) if title == "Id" else (title, path) for title, path in columns]
    write_cells(row_of(message, wide if is_wildcard(owner) else columns))


def write_cells(cells: Sequence[str]) -> None:
    """
    Write the cells of a row that are not empty as a line.
    """
    line = Text("  ").join(_cell(text) for text in cells if text)
    console().print(line, soft_wrap=True)
