"""Which engine made what of a transcript, why, and what it cost; runs over calls again; words that engines should
expect."""

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    # With defaults in the database: a server of the version before goes on inserting rows meanwhile.
    with op.batch_alter_table("transcripts") as batch:
        batch.add_column(sa.Column("run", sa.String(), nullable=False, server_default=""))
        batch.add_column(sa.Column("why", sa.Text(), nullable=False, server_default=""))
        batch.add_column(sa.Column("heard_ms", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("price_per_minute", sa.Float(), nullable=False, server_default="0"))
        batch.drop_constraint(op.f("uq_transcripts_call_id_kind_engine"), type_="unique")
        batch.create_unique_constraint(
            op.f("uq_transcripts_call_id_kind_engine_run"), ["call_id", "kind", "engine", "run"]
        )
    with op.batch_alter_table("turns") as batch:
        batch.add_column(sa.Column("heard_by", sa.String(), nullable=False, server_default=""))
    with op.batch_alter_table("finals") as batch:
        batch.add_column(sa.Column("heard_by", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "vocabulary",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("phrase", sa.String(), nullable=False),
        sa.Column("added_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vocabulary")),
        sa.UniqueConstraint("phrase", name=op.f("uq_vocabulary_phrase")),
    )


def downgrade() -> None:
    op.drop_table("vocabulary")
    with op.batch_alter_table("finals") as batch:
        batch.drop_column("heard_by")
    with op.batch_alter_table("turns") as batch:
        batch.drop_column("heard_by")
    op.execute("DELETE FROM transcripts WHERE run <> ''")
    with op.batch_alter_table("transcripts") as batch:
        batch.drop_constraint(op.f("uq_transcripts_call_id_kind_engine_run"), type_="unique")
        batch.create_unique_constraint(
            op.f("uq_transcripts_call_id_kind_engine"), ["call_id", "kind", "engine"]
        )
        for name in ("price_per_minute", "heard_ms", "why", "run"):
            batch.drop_column(name)
