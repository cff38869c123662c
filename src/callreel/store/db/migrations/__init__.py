"""The history of the tables. `versions/` holds one file a step; a step that was released is never changed.

A new step: change `tables.py`, then, in a checkout,
`python -c "from callreel.store.migrations import draft; draft('what changes')"`, and read what it wrote.
"""

import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from callreel.domain.errors import StoreError

_HERE = Path(__file__).parent


def upgrade(conn: Connection) -> None:
    """Run what is missing on a connection whose transaction has begun. Logging is left as it is.

    Raises StoreError for a database of a newer program.
    """
    config = _config(conn)
    at = MigrationContext.configure(conn).get_current_revision()
    known = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
    if at is not None and at not in known:
        raise StoreError(f"the database is of a newer Callreel (its tables are at {at}); update this program")
    command.upgrade(config, "head")


def draft(message: str) -> None:
    """Write a new step: the difference between the metadata and the last step."""
    from callreel.store.db.database import Database

    with tempfile.TemporaryDirectory() as folder:
        database = Database.open(f"{folder}/draft.db")
        database.migrate()
        with database.write() as conn:
            command.revision(_config(conn), message, autogenerate=True, rev_id=_next_number())
        database.close()


def _config(conn: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = conn
    return config


def _next_number() -> str:
    return f"{1 + len(list((_HERE / 'versions').glob('[0-9]*.py'))):04}"
