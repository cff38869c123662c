"""Which processes live; the carrier's copies that were deleted; stages tried anew."""

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"


def upgrade() -> None:
    # With a default in the database: a server of the version before goes on inserting rows meanwhile.
    with op.batch_alter_table("recordings") as batch:
        batch.add_column(sa.Column("retries", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "processes",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_processes")),
    )
    op.create_table(
        "carrier_deletions",
        sa.Column("sid", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("found_gone", sa.Boolean(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.id"], name=op.f("fk_carrier_deletions_call_id_calls"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sid", name=op.f("pk_carrier_deletions")),
    )
    op.create_index(op.f("ix_carrier_deletions_call_id"), "carrier_deletions", ["call_id"])


def downgrade() -> None:
    op.drop_table("carrier_deletions")
    op.drop_table("processes")
    with op.batch_alter_table("recordings") as batch:
        batch.drop_column("retries")
