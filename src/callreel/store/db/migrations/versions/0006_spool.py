"""On which machine's spool a layer lies until it has moved to the object store."""

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    op.add_column("layers", sa.Column("spool", sa.String()))


def downgrade() -> None:
    with op.batch_alter_table("layers") as batch:
        batch.drop_column("spool")
