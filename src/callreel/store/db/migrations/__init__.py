"""The history of the tables: `versions/` holds one file for each step. A released step never changes.

For a new step, change `tables.py`, run `python scripts/draft_migration.py "DESCRIPTION"`, and review the file it writes.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from callreel.domain.errors import StoreError

FOLDER = Path(__file__).parent


def upgrade(conn: Connection) -> None:
    """Run the missing steps in the transaction of `conn`. Leaves the logging configuration alone.

    Raises StoreError if a newer Callreel has already migrated the database.
    """
    config = configuration(conn)
    current = MigrationContext.configure(conn).get_current_revision()
    known = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise StoreError(
            f"the database belongs to a newer Callreel (table version {current}); update this program"
        )
    command.upgrade(config, "head")


def configuration(conn: Connection) -> Config:
    """Alembic's configuration for the steps here, on `conn`."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = conn
    return config
