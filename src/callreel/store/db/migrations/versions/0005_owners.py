"""Which process holds a live call, its streams and its growing files."""

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"

_TABLES = ("calls", "streams", "layers")


def upgrade() -> None:
    # Nullable: a server of the version before goes on inserting rows meanwhile.
    for table in _TABLES:
        op.add_column(table, sa.Column("owner", sa.String(), nullable=True))


def downgrade() -> None:
    for table in _TABLES:
        with op.batch_alter_table(table) as batch:
            batch.drop_column("owner")
