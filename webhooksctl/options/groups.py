"""
Groups of flags that several commands share.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

Given = Mapping[str, Any]
"""
The values of the flags of a group, by name.
"""


@dataclass(frozen=True, slots=True)
class Flag:
    """
    A flag of a group. Repeated ones are of the kind `list[str]`; those that are `None` by default
    were not given.
    """

    name: str
    help: str
    kind: Any = str
    default: Any = ""
    text: str = ""
    completed: Callable[[str], list[str]] | None = None

    @property
    def flag(self) -> str:
        """
        Return the flag as it is typed.
        """
        return self.text or f"--{self.name.replace('_', '-')}"

    @property
    def parameter(self) -> inspect.Parameter:
        """
        Return the parameter of a command.
        """
        option = typer.Option(self.flag, help=self.help, autocompletion=self.completed)
        annotation = Annotated[self.kind, option]  # type: ignore[name-defined]
        return inspect.Parameter(
            self.name, inspect.Parameter.KEYWORD_ONLY, default=self.default, annotation=annotation
        )


def takes(flags: Sequence[Flag]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """
    Give a command the flags of a group. It gets their values as the mapping `given`.
    """

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def called(*arguments: Any, **values: Any) -> None:
            given = {flag.name: values.pop(flag.name) for flag in flags}
            command(*arguments, given=given, **values)

        parameters = _own_parameters(command) + [flag.parameter for flag in flags]
        # The program builds the command line from these two.
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {it.name: it.annotation for it in parameters}
        return called

    return decorated


def _own_parameters(command: Callable[..., None]) -> list[inspect.Parameter]:
    hints = get_type_hints(command, include_extras=True)
    found = inspect.signature(command).parameters.values()
    return [it.replace(annotation=hints[it.name]) for it in found if it.name != "given"]
