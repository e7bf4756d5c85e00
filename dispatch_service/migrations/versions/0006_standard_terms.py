"""
rename tables and columns to the terms of the glossary

Revision: 0006, after 0005.
"""

import sqlalchemy as sa
from alembic import op

from service_runtime.database.instants import Instant

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = (
    ("deliveries", "begun", "attempt_count"),
    ("deliveries", "step", "retries_used"),
    ("deliveries", "lane_number", "sequence_position"),
    ("endpoint_states", "parked_until", "open_until"),
)
ACTIONS = (("DUE", "RESUME"), ("PARKED", "SUSPEND"), ("CANCELLED", "CANCEL"))

OLD_COMMENTS = {
    "deliveries": (
        "Events owed to subscriptions: the log and the queue in one. due_time is when the row"
        " may be claimed: the next attempt, or for a leased row the end of its lease."
        " A pending row without it is parked, or waits behind an earlier lane_number."
    ),
    "endpoint_states": (
        "Endpoints in trouble: nothing is claimed for them until then, after it one probe."
    ),
    "endpoint_reports": "What the config service has not been told yet.",
}
NEW_COMMENTS = {
    "deliveries": (
        "Events owed to subscriptions: the log and the queue in one. due_time is when the row"
        " may be claimed: the next attempt, the end of the lease of a leased row, or expire_time"
        " for a suspended row. A pending row without it waits behind an earlier sequence_position."
    ),
    "endpoint_states": (
        "Endpoints whose breaker is open: nothing is claimed until open_until, then one probe."
    ),
    "endpoint_reports": "Endpoint events that the config service has not confirmed yet.",
}


def upgrade() -> None:
    """
    Apply the revision.
    """
    for table, old, new in COLUMNS:
        op.alter_column(table, old, new_column_name=new)
    _create_sequences("sequences")
    op.execute("INSERT INTO sequences SELECT * FROM order_lanes")
    op.drop_table("order_lanes")
    _create_updates(
        "backlog_updates",
        "action",
        [new for _, new in ACTIONS],
        "Changes of subscriptions that are still to be applied to the waiting deliveries, in"
        " batches: resume, suspend or cancel them, move them to endpoint unless it is NULL, and"
        " take them out of their sequences unless ordered.",
    )
    _copy_updates("wishes", "fate", "backlog_updates", "action", ACTIONS)
    op.drop_table("wishes")
    _comment(NEW_COMMENTS)


def downgrade() -> None:
    """
    Take the revision back; nothing is lost.
    """
    _create_updates(
        "wishes",
        "fate",
        [old for old, _ in ACTIONS],
        "Subscriptions whose waiting deliveries are still to be parked, made due or cancelled,"
        " in batches, at an endpoint, and in lanes only where ordered. A NULL endpoint leaves"
        " them at theirs.",
    )
    back = tuple((new, old) for old, new in ACTIONS)
    _copy_updates("backlog_updates", "action", "wishes", "fate", back)
    op.drop_table("backlog_updates")
    _create_sequences("order_lanes")
    op.execute("INSERT INTO order_lanes SELECT * FROM sequences")
    op.drop_table("sequences")
    for table, old, new in COLUMNS:
        op.alter_column(table, new, new_column_name=old)
    _comment(OLD_COMMENTS)


def _create_sequences(name: str) -> None:
    op.create_table(
        name,
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("next_number", sa.BigInteger(), nullable=False),
        sa.Column("head_number", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("head_number < next_number", name=op.f(f"ck_{name}_has_waiting")),
        sa.PrimaryKeyConstraint("owner", "subscription", "resource", name=op.f(f"pk_{name}")),
        comment=(
            "The unfinished deliveries of an ordered subscription about one resource: the number"
            " that the next one gets, and that of the only one that may be sent now."
        ),
    )


def _create_updates(name: str, column: str, values: list[str], comment: str) -> None:
    allowed = ", ".join(f"'{value}'" for value in values)
    op.create_table(
        name,
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column(column, sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=True),
        sa.Column("ordered", sa.Boolean(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.Column("due_time", Instant(), nullable=False),
        sa.CheckConstraint(f"{column} IN ({allowed})", name=op.f(f"ck_{name}_{column}")),
        sa.PrimaryKeyConstraint("owner", "subscription", name=op.f(f"pk_{name}")),
        comment=comment,
    )
    op.create_index(op.f(f"ix_{name}_due_time"), name, ["due_time"])


def _copy_updates(
    old: str, old_column: str, new: str, new_column: str, values: tuple[tuple[str, str], ...]
) -> None:
    mapped = " ".join(f"WHEN '{before}' THEN '{after}'" for before, after in values)
    op.execute(
        f"INSERT INTO {new} (owner, subscription, revision, {new_column}, endpoint, ordered,"  # noqa: S608 - words of this file
        " create_time, due_time)"
        f" SELECT owner, subscription, revision, CASE {old_column} {mapped} END, endpoint, ordered,"
        f" create_time, due_time FROM {old}"
    )


def _comment(comments: dict[str, str]) -> None:
    if op.get_bind().dialect.name == "sqlite":
        return  # it keeps no comments
    for table, comment in comments.items():
        op.create_table_comment(table, comment)
