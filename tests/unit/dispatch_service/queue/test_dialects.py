"""
Expressions that are written once become the SQL of both databases.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from dispatch_service.queue.dialects import POSTGRESQL, SQLITE, SqlDialect, clause

SETTLING = replace(POSTGRESQL, given="s.{}", column="d.{}", special={"lease_us": ":lease_us"})


@pytest.mark.parametrize(
    ("expression", "on_postgresql", "on_sqlite"),
    [
        ("'PENDING'", "'PENDING'", "'PENDING'"),
        ("{now}", "now()", ":now"),
        ("$state", "s.state", ":state"),
        ("@state", "d.state", "state"),
        ("{now + $lease_us}", "now() + :lease_us * interval '1 microsecond'", ":now + :lease_us"),
        (
            "{$accept_time - @span}",
            "s.accept_time - d.span * interval '1 microsecond'",
            ":accept_time - span",
        ),
        (
            "{now + CASE WHEN $leased THEN $lease_us ELSE 0 END}",
            "now() + CASE WHEN s.leased THEN :lease_us ELSE 0 END * interval '1 microsecond'",
            ":now + CASE WHEN :leased THEN :lease_us ELSE 0 END",
        ),
    ],
)
def test_expression_is_written_for_each_database(
    expression: str, on_postgresql: str, on_sqlite: str
) -> None:
    """
    Given values, columns and instants have the words of the statement that they stand in.
    """
    assert SETTLING.render(expression) == on_postgresql
    assert SQLITE.render(expression) == on_sqlite


def test_insert_has_each_value_beside_its_column() -> None:
    """
    The names and the values of an INSERT have one order.
    """
    columns = {"owner": "$owner", "state": "'PENDING'", "create_time": "{now}"}

    assert SQLITE.insert("deliveries", columns) == (
        "INSERT INTO deliveries (owner, state, create_time)\nVALUES (:owner, 'PENDING', :now)"
    )


@pytest.mark.parametrize(
    ("dialect", "instant"),
    [
        (postgresql.dialect(), "now() + CAST("),  # type: ignore[no-untyped-call]
        (sqlite.dialect(), "julianday('now')"),
    ],
)
def test_clause_is_compiled_for_the_database_that_runs_it(
    dialect: sa.Dialect, instant: str
) -> None:
    """
    An update of SQLAlchemy with an expression runs on both databases.
    """
    value = clause(
        "CASE WHEN @state = $state THEN {now + $lifetime_us} END",
        {"state": "FAILED", "lifetime_us": 5},
    )
    compiled = sa.select(value).compile(dialect=dialect)

    assert instant in str(compiled)
    assert compiled.params == {"state": "FAILED", "lifetime_us": 5}


def test_value_that_is_not_given_is_refused() -> None:
    """
    An expression needs all its values.
    """
    with pytest.raises(KeyError, match="state"):
        clause("$state", {})


def test_special_value_is_written_as_the_statement_says() -> None:
    """
    What a statement names itself comes before its usual form.
    """
    dialect = SqlDialect("now()", given="s.{}", special={"owner": "owner"})

    assert dialect.render("$owner, $state") == "owner, s.state"
