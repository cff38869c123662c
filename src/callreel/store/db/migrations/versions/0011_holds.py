"""Legal holds; of an erasure how far it is, what kept it, and what went."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0011"
down_revision: str | None = "0010"

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "holds",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("release_reason", sa.String()),
        sa.Column("released_by", sa.String()),
        sa.Column("released_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.id"], name=op.f("fk_holds_call_id_calls"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
    )
    op.create_index(op.f("ix_holds_call_id"), "holds", ["call_id"])
    # With defaults in the database: a server of the version before goes on inserting rows meanwhile.
    with op.batch_alter_table("erasures") as batch:
        batch.add_column(sa.Column("reason", sa.String(), nullable=False, server_default=""))
        batch.add_column(sa.Column("at_carrier", sa.Boolean(), nullable=False, server_default=sa.true()))
        batch.add_column(sa.Column("step", sa.String(), nullable=False, server_default="asked"))
        batch.add_column(sa.Column("trouble", sa.String()))
        batch.add_column(sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("retry_at", sa.DateTime(timezone=True)))
        batch.add_column(sa.Column("recordings", _JSON, nullable=False, server_default="{}"))
        batch.add_column(sa.Column("counts", _JSON, nullable=False, server_default="{}"))
        batch.add_column(sa.Column("holds", _JSON, nullable=False, server_default="[]"))
        batch.create_index(op.f("ix_erasures_erased_at"), ["erased_at"])
    op.execute("UPDATE erasures SET step = 'done' WHERE erased_at IS NOT NULL")


def downgrade() -> None:
    with op.batch_alter_table("erasures") as batch:
        batch.drop_index(op.f("ix_erasures_erased_at"))
        for name in (
            "holds", "counts", "recordings", "retry_at", "attempts", "trouble", "step", "at_carrier", "reason",
        ):  # fmt: skip
            batch.drop_column(name)
    op.drop_table("holds")
