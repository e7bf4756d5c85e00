"""
several tokens of a caller during a rotation, and when callers were changed

Revision: 0006, after 0005.
"""

import sqlalchemy as sa
from alembic import op

from service_runtime.database.instants import Instant

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Apply the revision.
    """
    op.create_table(
        "caller_tokens",
        sa.Column("caller_id", sa.Text(), nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("created_revision", sa.BigInteger(), nullable=False),
        sa.Column("expire_time", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("caller_id", "token_sha256", name=op.f("pk_caller_tokens")),
        comment="The hashes of the tokens of callers; several during a rotation.",
    )
    op.execute(
        "INSERT INTO caller_tokens (caller_id, token_sha256, created_revision)"
        " SELECT caller_id, token_sha256, created_revision FROM callers"
        " WHERE token_sha256 IS NOT NULL"
    )
    op.add_column("callers", sa.Column("update_time", Instant(), nullable=True))
    op.execute("UPDATE callers SET update_time = create_time")
    with op.batch_alter_table("callers") as table:
        table.drop_constraint(op.f("uq_callers_token_sha256"), type_="unique")
        table.drop_column("token_sha256")
        table.alter_column("update_time", existing_type=Instant(), nullable=False)
    _comment("Who may call.")


def downgrade() -> None:
    """
    Take the revision back. Of several tokens the newest stays.
    """
    op.add_column("callers", sa.Column("token_sha256", sa.LargeBinary(), nullable=True))
    op.execute(
        "UPDATE callers SET token_sha256 = (SELECT token_sha256 FROM caller_tokens"
        " WHERE caller_tokens.caller_id = callers.caller_id"
        " ORDER BY created_revision DESC LIMIT 1)"
    )
    with op.batch_alter_table("callers") as table:
        table.create_unique_constraint(op.f("uq_callers_token_sha256"), ["token_sha256"])
        table.drop_column("update_time")
    op.drop_table("caller_tokens")
    _comment("Who may call; of tokens only the hashes.")


def _comment(text: str) -> None:
    if op.get_bind().dialect.supports_comments:
        op.create_table_comment("callers", text)
