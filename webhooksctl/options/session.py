"""
What a command has: a profile, both services and a clock.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import Any

import typer

from shipedge.webhooks.client.pages import all_items
from webhooksctl.rpc import names
from webhooksctl.rpc.connection import Services, connected
from webhooksctl.settings.profiles import Profile
from webhooksctl.words.failures import MISUSED, REFUSED, CommandError

_PAGE = 1_000


class Session:
    """
    One run of the program.
    """

    def __init__(self, profile: Callable[[], Profile], clock: Callable[[], datetime]) -> None:
        self._read_profile = profile
        self.clock = clock

    @cached_property
    def profile(self) -> Profile:
        """
        Return the profile. Raises `ProfileInvalidError`.
        """
        return self._read_profile()

    @cached_property
    def services(self) -> Services:
        """
        Return both services.
        """
        return connected(self.profile)

    def close(self) -> None:
        """
        Close the connections, if there are any.
        """
        if "services" in self.__dict__:
            self.services.close()

    def owner(self, given: str) -> str:
        """
        Return the owner that a flag names, else that of the profile. Raises `CommandError`.
        """
        text = given or self.profile.owner
        if not text:
            raise CommandError(
                "--owner is missing: accounts/100, for example, here or in a profile"
            )
        return owner_name_of(text)

    def name(self, collection: str, owner: str, text: str) -> str:
        """
        Return the full name of a resource. Raises `CommandError`.
        """
        of = owner or self.profile.owner
        parent = owner_name_of(of) if of else ""
        try:
            return names.resource_name(collection, parent, text)
        except ValueError as refused:
            raise CommandError(str(refused)) from refused

    def found(self, method: Callable[[Any], Any], request: Any, limit: int) -> Iterator[Any]:
        """
        Yield the items of a List method, *limit* at most, or all if that is 0. Says on the error
        output if there are more.
        """
        request.page_size = min(limit + 1, _PAGE) if limit else _PAGE
        items = all_items(method, request)
        if not limit:
            yield from items
            return
        yield from islice(items, limit)
        if next(items, None) is not None:
            say(f"only the first {limit} are shown: --limit 0 shows all")


def session_of(ctx: typer.Context) -> Session:
    """
    Return the session of a command.
    """
    found = ctx.find_object(Session)
    if found is None:
        raise CommandError("the command was not called through webhooksctl")
    return found


def owner_name_of(text: str) -> str:
    """
    Return the owner that a text names. Raises `CommandError`.
    """
    try:
        return names.owner_name(text)
    except ValueError as refused:
        raise CommandError(f"--owner: {refused}") from refused


def understood(what: str, read: Callable[[str], Any], text: str) -> Any:
    """
    Return what *read* makes of the text of a flag. Raises `CommandError` that names it.
    """
    try:
        return read(text)
    except ValueError as refused:
        raise CommandError(f"{what}: {refused}") from refused


def say(text: str) -> None:
    """
    Tell the person at the terminal something that is no result.
    """
    print(text, file=sys.stderr)  # noqa: T201 - not part of the output


def confirm(question: str, *, yes: bool) -> None:
    """
    Ask before something is done. Raises `CommandError` unless the answer is yes.
    """
    if yes:
        return
    try:
        agreed = typer.confirm(question, err=True)
    except (typer.Abort, EOFError):
        raise CommandError("nobody answered: --yes answers yes", MISUSED) from None
    if not agreed:
        raise CommandError("nothing was done", REFUSED)
