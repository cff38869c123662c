"""Alembic runs this file. It uses the connection it is handed, inside that connection's transaction."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import JSON, TypeDecorator

from callreel.store.db.tables import in_metadata, metadata


def in_plain_types(kind: str, item: Any, drafted: Any) -> str | Literal[False]:
    """Write our column types as what the database sees, so that a released step does not change with our code."""
    plain = item.impl if isinstance(item, TypeDecorator) else item
    if kind == "type" and isinstance(plain, JSON):
        drafted.imports.add("from sqlalchemy.dialects import postgresql")
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return f"sa.{plain!r}" if kind == "type" and plain is not item else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_item=in_plain_types,
    include_object=in_metadata,
    # SQLite can hardly alter a table: drafts use batch operations, which rebuild it.
    render_as_batch=True,
)
context.run_migrations()
