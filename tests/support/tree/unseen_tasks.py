"""
Tasks that are started elsewhere than in the one module that says who sees their end.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from tests.support.tree.sources import Source, Violation

STARTERS = ("observability/tasks.py", "rpc/shielded.py")
"""
The module for it, and the one that keeps the work of calls that were cancelled.
"""

_STARTS = {"create_task", "ensure_future"}


def unseen_tasks(sources: Iterable[Source]) -> Iterator[Violation]:
    """
    Find calls of `create_task` and `ensure_future` in the packages, but those of a `TaskGroup`.
    """
    for source in sources:
        if source.is_test or source.path.endswith(STARTERS):
            continue
        groups = set(_groups(source))
        for node in source.nodes:
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="create_task")) if (
                    name in groups
                ):
                    continue
                case ast.Call(func=ast.Attribute(attr=attr) | ast.Name(id=attr)) if attr in _STARTS:
                    yield Violation(source.path, node.lineno, f"calls {attr}")


def _groups(source: Source) -> Iterator[str]:
    """
    Yield the names that blocks give to a `TaskGroup`.
    """
    for node in source.nodes:
        match node:
            case ast.withitem(
                context_expr=ast.Call(func=ast.Attribute(attr="TaskGroup")),
                optional_vars=ast.Name(id=name),
            ):
                yield name
