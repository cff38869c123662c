"""What a layer that was dropped is made of again, and in which form its samples are kept."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0007"
down_revision: str | None = "0006"


def upgrade() -> None:
    op.add_column("layers", sa.Column("archived", sa.JSON().with_variant(JSONB(), "postgresql")))
    op.add_column("layers", sa.Column("form", sa.String()))
    op.add_column("layers", sa.Column("kept_bytes", sa.BigInteger()))


def downgrade() -> None:
    with op.batch_alter_table("layers") as batch:
        batch.drop_column("kept_bytes")
        batch.drop_column("form")
        batch.drop_column("archived")
