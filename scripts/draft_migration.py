"""Draft the next migration: the difference between `store/db/tables.py` and the steps so far.

Run `python scripts/draft_migration.py "what changes"` in a checkout and review the file that it writes.
"""

import sys
import tempfile

from alembic import command

from callreel.store.db.database import Database
from callreel.store.db.migrations import FOLDER, configuration

with tempfile.TemporaryDirectory() as folder:
    database = Database.open(f"{folder}/draft.db")
    database.migrate()
    number = 1 + len(list((FOLDER / "versions").glob("[0-9]*.py")))
    with database.write() as conn:
        command.revision(configuration(conn), sys.argv[1], autogenerate=True, rev_id=f"{number:04}")
    database.close()
