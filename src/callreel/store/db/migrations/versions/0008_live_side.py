"""Closed segments that wait on disk for an engine that cannot keep up; what reading along was worth."""

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "spilled_segments",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("start_ms", sa.Integer(), nullable=False),
        sa.Column("end_ms", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.id"], name=op.f("fk_spilled_segments_call_id_calls"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spilled_segments")),
        sa.UniqueConstraint(
            "call_id", "role", "number", name=op.f("uq_spilled_segments_call_id_role_number")
        ),
    )
    counts = ("heard", "late", "taken_back", "words", "same", "replaced", "missing", "added")
    op.create_table(
        "live_scores",
        sa.Column("call_id", sa.String(), nullable=False),
        *(sa.Column(name, sa.Integer()) for name in counts),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.id"], name=op.f("fk_live_scores_call_id_calls"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_live_scores")),
    )


def downgrade() -> None:
    op.drop_table("live_scores")
    op.drop_table("spilled_segments")
