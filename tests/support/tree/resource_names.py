"""
Resource names that are put together, or cut, elsewhere than in the one module for that.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from tests.support.tree.sources import Source, Violation

WRITERS = "rpc/names.py"

COLLECTIONS = (
    "accounts",
    "warehouses",
    "subscriptions",
    "credentials",
    "clientCertificates",
    "signingKeys",
    "events",
    "deliveries",
    "attempts",
    "resendJobs",
    "callers",
    "eventTypes",
)

_ANY = "|".join(COLLECTIONS)
_WHOLE = re.compile(r"[\w.-]+(?:/[\w.-]+)+")
_INSIDE = re.compile(rf"/(?:{_ANY})/")
_BEFORE_VALUE = re.compile(rf"(?:^|[/ ])(?:{_ANY})/$")


def spelled_names(sources: Iterable[Source]) -> Iterator[Violation]:
    """
    Find texts of the packages that are parts of resource names, such as `f"{owner}/events/{id}"`
    and `"/events/"`. A name as a whole, as in an example, is none.
    """
    for source in sources:
        if source.is_test or source.path.endswith(WRITERS):
            continue
        for line, text in sorted(set(_texts(source))):
            yield Violation(source.path, line, f"spells a resource name: {text}")


def _texts(source: Source) -> Iterator[tuple[int, str]]:
    """
    Yield the texts with a collection in them, docstrings left out.
    """
    docstrings = {id(node.value) for node in source.nodes if isinstance(node, ast.Expr)}
    inside = {
        id(part) for node in source.nodes if isinstance(node, ast.JoinedStr) for part in node.values
    }
    for node in source.nodes:
        match node:
            case ast.JoinedStr() if _writes(node):
                yield node.lineno, ast.unparse(node)
            case ast.Constant(value=str(text)) if id(node) not in docstrings | inside:
                if _INSIDE.search(text) and not _WHOLE.fullmatch(text):
                    yield node.lineno, repr(text)


def _writes(joined: ast.JoinedStr) -> bool:
    """
    Tell whether a formatted text has a collection in it or before one of its values.
    """
    parts = [str(part.value) for part in joined.values if isinstance(part, ast.Constant)]
    return any(_INSIDE.search(part) or _BEFORE_VALUE.search(part) for part in parts)
