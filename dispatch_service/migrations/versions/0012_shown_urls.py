"""
table of whole URLs, sealed; deliveries and attempts show no path any more

Revision: 0011, after 0010.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from service_runtime.database.instants import Instant
from service_runtime.rules.urls import shown_url

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

BATCH = 5000
KEYS = {"deliveries": ("owner", "delivery_id"), "attempts": ("owner", "delivery_id", "number")}
TYPES = {"delivery_id": sa.Uuid(as_uuid=False), "number": sa.Integer(), "url_hash": sa.LargeBinary}


def upgrade() -> None:
    """
    Apply the revision.
    """
    op.create_table(
        "urls",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("url_hash", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_url", sa.LargeBinary(), nullable=False),
        sa.Column("update_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "url_hash", name=op.f("pk_urls")),
        comment="The whole URLs of which deliveries and attempts hold the shown form and the hash.",
    )
    op.create_index(op.f("ix_urls_update_time"), "urls", ["update_time"])
    if op.get_bind().dialect.name == "sqlite":
        # Otherwise the old texts stay in the unused parts of the file's pages.
        op.execute("PRAGMA secure_delete = ON")
    for table, key in KEYS.items():
        _hide_paths(table, key)


def downgrade() -> None:
    """
    Take the revision back: the whole URLs are lost, and paths that were hidden stay hidden.
    """
    op.drop_table("urls")


def _hide_paths(name: str, key: tuple[str, ...]) -> None:
    """
    Rewrite the shown URLs of a table in the order of its key, a batch in memory at a time.
    """
    columns = (*key, "url_shown", "url_hash")
    table = sa.table(name, *(sa.column(it, TYPES.get(it, sa.Text())) for it in columns))
    order = [table.c[it] for it in key]
    query = sa.select(table).where(table.c.url_shown != "").order_by(*order).limit(BATCH)
    change = (
        sa.update(table)
        .where(*(table.c[it] == sa.bindparam(f"key_{it}", type_=table.c[it].type) for it in key))
        .values(url_shown=sa.bindparam("shown"))
    )
    rows = op.get_bind().execute(query).all()
    while rows:
        op.get_bind().execute(change, [_changed(row, key) for row in rows])
        last = [sa.literal(getattr(rows[-1], it), table.c[it].type) for it in key]
        following = query.where(sa.tuple_(*order) > sa.tuple_(*last))
        rows = op.get_bind().execute(following).all()


def _changed(row: Any, key: tuple[str, ...]) -> dict[str, object]:
    parts: dict[str, object] = {f"key_{it}": getattr(row, it) for it in key}
    return parts | {"shown": shown_url(row.url_shown, row.url_hash)}
