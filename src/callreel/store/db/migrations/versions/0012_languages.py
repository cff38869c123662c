"""Which language a call was asked to be heard in, and in which one each transcript was."""

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"


def upgrade() -> None:
    # With defaults in the database: a server of the version before goes on inserting rows meanwhile.
    with op.batch_alter_table("calls") as batch:
        batch.add_column(sa.Column("language", sa.String(), nullable=False, server_default=""))
    with op.batch_alter_table("transcripts") as batch:
        batch.add_column(sa.Column("language", sa.String(), nullable=False, server_default=""))
        batch.add_column(sa.Column("detected", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    with op.batch_alter_table("transcripts") as batch:
        batch.drop_column("detected")
        batch.drop_column("language")
    with op.batch_alter_table("calls") as batch:
        batch.drop_column("language")
