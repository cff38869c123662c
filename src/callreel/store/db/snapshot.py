"""A consistent copy of an SQLite database in use, with SQLite's backup API."""

import sqlite3
from pathlib import Path

from callreel.domain.errors import StoreError
from callreel.store.files.durable_files import sync_file, sync_folder

_PAGES_A_STEP = 1_000


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy the database `source` to the new file `target`, and sync it.

    One read transaction of the source gives a snapshot, while others may write (WAL). Raises StoreError.
    """
    if not source.is_file():
        raise StoreError(f"there is no database {source}")
    if target.exists():
        raise StoreError(f"{target} exists; name a new file for the copy")
    reading = sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=20, isolation_level=None)
    writing = sqlite3.connect(target)
    try:
        target.chmod(0o600)
        # Without a transaction any write between two steps restarts the copy, under load forever.
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
        reading.backup(writing, pages=_PAGES_A_STEP, sleep=0)
        found = writing.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise StoreError(f"the database {source} cannot be copied: {error}") from None
    finally:
        writing.close()
        reading.close()
    if found != "ok":
        raise StoreError(f"the copy of {source} is damaged: {found}")
    sync_file(target)
    sync_folder(target.parent)
