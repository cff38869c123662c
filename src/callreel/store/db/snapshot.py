"""A consistent copy of an SQLite database while others write to it: SQLite's own backup."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from callreel.domain.errors import StoreError
from callreel.store.files.durable_files import sync_file, sync_folder

_PAGES_A_STEP = 1_000


def copy_sqlite(source: Path, target: Path, *, on_step: Callable[[], None] = lambda: None) -> None:
    """Copy the database `source` to the new file `target`, whole and synced. `on_step` is called between pages.

    In one transaction of the source, which lets others write meanwhile (WAL) and shows none of it. Raises StoreError.
    """
    if not source.is_file():
        raise StoreError(f"there is no database {source}")
    if target.exists():
        raise StoreError(f"{target} exists; a copy goes into a new file")
    reading = sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=20, isolation_level=None)
    writing = sqlite3.connect(target)
    try:
        target.chmod(0o600)
        # Without this a write of somebody else between two steps makes the copy begin again, for ever under load.
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
        reading.backup(writing, pages=_PAGES_A_STEP, progress=lambda *_: on_step(), sleep=0)
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
