"""
Commands that all resources of an owner have alike: list, get and delete.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any

import typer

from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from webhooksctl.options.flags import Limit, Output, Owner, Yes
from webhooksctl.options.session import Session, confirm, say, session_of
from webhooksctl.output.formats import Columns, Format, show_list, show_message

Name = Annotated[str, typer.Argument(help="Id or name.")]


@dataclass(frozen=True, slots=True)
class Kind:
    """
    A kind of resource: its name and its plural in the methods of the API, its collection, a word
    for people, the columns of its table, and the module of its requests.
    """

    name: str
    plural: str
    collection: str
    word: str
    columns: Columns
    requests: ModuleType = pb

    def call(self, session: Session, method: str, **fields: Any) -> Any:
        """
        Call `{method}{name}` with a request of these fields.
        """
        request = getattr(self.requests, f"{method}{self.name}Request")(**fields)
        return getattr(session.services.config, method + self.name)(request)

    def full_name(self, session: Session, owner: str, text: str) -> str:
        """
        Return the name of a resource from it or its id.
        """
        return session.name(self.collection, owner, text)


def add_common(app: typer.Typer, kind: Kind) -> None:
    """
    Add the commands `list`, `get` and `delete`.
    """

    @app.command("list", help=f"List the {kind.word}s of an owner.")
    def list_all(
        ctx: typer.Context, *, owner: Owner = "", limit: Limit = 0, output: Output = Format.TABLE
    ) -> None:
        session = session_of(ctx)
        parent = session.owner(owner)
        request = getattr(kind.requests, f"List{kind.plural}Request")(parent=parent)
        method = getattr(session.services.config, f"List{kind.plural}")
        show_list(session.found(method, request, limit), kind.columns, output, parent)

    @app.command("get", help=f"Show a {kind.word}, without its secrets.")
    def get(
        ctx: typer.Context, name: Name, *, owner: Owner = "", output: Output = Format.TABLE
    ) -> None:
        session = session_of(ctx)
        full = kind.full_name(session, owner, name)
        show_message(kind.call(session, "Get", name=full), output)

    @app.command("delete", help=f"Delete a {kind.word} that no subscription uses.")
    def delete(ctx: typer.Context, name: Name, *, owner: Owner = "", yes: Yes = False) -> None:
        session = session_of(ctx)
        full = kind.full_name(session, owner, name)
        confirm(f"Delete {full}?", yes=yes)
        kind.call(session, "Delete", name=full)
        say(f"deleted: {full}")
