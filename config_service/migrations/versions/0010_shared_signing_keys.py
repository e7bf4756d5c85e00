"""
signing keys that many subscriptions share

Revision: 0010, after 0009.
"""

import sqlalchemy as sa
from alembic import op

from service_runtime.database.instants import Instant

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Apply the revision.
    """
    op.create_table(
        "signing_keys",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("signing_key_id", sa.Text(), nullable=False),
        sa.Column("created_revision", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("sealed_config", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.Column("update_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "signing_key_id", name=op.f("pk_signing_keys")),
        sa.UniqueConstraint("created_revision", name=op.f("uq_signing_keys_created_revision")),
        comment="Keys that sign the requests of many subscriptions.",
    )
    op.create_table(
        "signing_key_secrets",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("signing_key_id", sa.Text(), nullable=False),
        sa.Column("secret_id", sa.Text(), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_signing_key", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.Column("expire_time", Instant(), nullable=True),
        sa.PrimaryKeyConstraint(
            "owner", "signing_key_id", "secret_id", name=op.f("pk_signing_key_secrets")
        ),
        comment="The secrets of signing keys; several during a rotation.",
    )
    op.add_column(
        "subscriptions", sa.Column("signing_key", sa.Text(), server_default="", nullable=False)
    )


def downgrade() -> None:
    """
    Take the revision back. Raises `RuntimeError` while subscriptions use a signing key: they
    would have no secret, and their requests no signature.
    """
    used = sa.text("SELECT count(*) FROM subscriptions WHERE signing_key <> ''")
    count = op.get_bind().execute(used).scalar_one()
    if count:
        raise RuntimeError(
            f"subscriptions use a signing key ({count}, deleted ones included): empty signing_key"
            " of those that stay, and wait until the deleted ones are erased, before the downgrade"
        )
    # The code before this revision does not know the kind.
    op.execute(sa.text("DELETE FROM feed_items WHERE kind = 'signing_key'"))
    with op.batch_alter_table("subscriptions") as table:
        table.drop_column("signing_key")
    op.drop_table("signing_key_secrets")
    op.drop_table("signing_keys")
