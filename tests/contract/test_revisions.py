"""
Revisions say what they do, so that two versions of a service can work side by side.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType

import pytest
from alembic.script import ScriptDirectory

from service_runtime.database.revisions.phases import CONTRACT, EXPAND
from service_runtime.database.revisions.runs import config_of

RELEASED = {"config_service": "0011", "dispatch_service": "0022"}
"""
The newest revision of the last release. Until there is a release: the first one with a phase.
"""

SERVICES = pytest.mark.parametrize("package", RELEASED)
TAKES_AWAY = {"drop_column", "drop_table", "rename_table"}


def modules(package: str, *, after: str) -> list[ModuleType]:
    """
    Return the revisions of a service from *after* on, which is the first of them.
    """
    scripts = ScriptDirectory.from_config(config_of(package))
    return [it.module for it in scripts.walk_revisions(base=after)][::-1]


@SERVICES
def test_each_has_a_phase(package: str) -> None:
    """
    From the first one with a phase on, each revision has one.
    """
    first = next(
        it.revision
        for it in ScriptDirectory.from_config(config_of(package)).walk_revisions()
        if (it.path or "").endswith("_schema_compatibility.py")
    )
    phases = {it.revision: getattr(it, "phase", None) for it in modules(package, after=first)}
    wrong = [name for name, phase in phases.items() if phase not in {EXPAND, CONTRACT}]
    assert not wrong, f"phase is to be {EXPAND!r} or {CONTRACT!r}"


@SERVICES
def test_a_release_expands_before_it_contracts(package: str) -> None:
    """
    `migrate --expand` can run all that the new version needs: no revision that expands comes
    after one of the same release that contracts. Put it before, both are new.
    """
    new = modules(package, after=RELEASED[package])[1:]
    phases = [it.phase for it in new]
    assert phases == sorted(phases, key=[EXPAND, CONTRACT].index)


@SERVICES
def test_what_expands_takes_nothing_away(package: str) -> None:
    """
    The version before writes rows without new columns, and reads the old ones.
    """
    for module in modules(package, after=RELEASED[package]):
        if module.phase == EXPAND:
            assert list(taken_away(inspect.getsource(module.upgrade))) == [], module.__name__


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ('op.drop_table("a")', ["drop_table"]),
        ('table.drop_column("a")', ["drop_column"]),
        ('op.rename_table("a", "b")', ["rename_table"]),
        ('op.alter_column("a", "b", new_column_name="c")', ["new_column_name"]),
        ('op.add_column("a", sa.Column("b", sa.Text, nullable=False))', ["NOT NULL: add_column"]),
        ('op.add_column("a", sa.Column("b", sa.Text))', []),
        ('op.add_column("a", sa.Column("b", nullable=False, server_default="0"))', []),
        ('op.create_table("a", sa.Column("b", sa.Text, nullable=False))', []),
    ],
)
def test_search(statement: str, found: list[str]) -> None:
    """
    The search finds what breaks the version before.
    """
    assert list(taken_away(f"def upgrade():\n    {statement}")) == found


def taken_away(source: str) -> Iterator[str]:
    """
    Yield the calls of a function that break the version before.
    """
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        name = call.func.attr
        if name in TAKES_AWAY:
            yield name
        yield from (it.arg for it in call.keywords if it.arg == "new_column_name")
        if name == "add_column" and any(map(_needs_value, ast.walk(call))):
            yield f"NOT NULL: {name}"


def _needs_value(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    given = {it.arg: it.value for it in node.keywords}
    nullable = given.get("nullable")
    is_required = isinstance(nullable, ast.Constant) and nullable.value is False
    return is_required and "server_default" not in given
