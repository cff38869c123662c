"""What was deleted, made unreadable in SQLite's files too. On PostgreSQL that is autovacuum's work.

Freed pages are overwritten as they are freed (`secure_delete`, set where the database is opened). Two things stay without
this: words in the search index, whose deletions are only noted until its pieces are merged (SQLite, FTS5, section 6.8), and
pages as they were in the write-ahead log.
"""

from callreel.store.db.database import Database

_PAGES = 500
"""Merged in one transaction, so that nobody who writes waits long."""


def scrub(database: Database) -> None:
    """Merge the search index, and fold the log into the file and empty it. Readers may keep the log as it is for a while;
    the next scrub does it then. Raises StoreError."""
    if database.dialect != "sqlite":
        return
    pages = -_PAGES  # below zero: begin with all of the index, whatever its pieces are like
    changed = _PAGES
    while changed > 1:  # a merge with nothing to do still counts as one change
        with database.write() as conn:
            before = conn.exec_driver_sql("SELECT total_changes()").scalar_one()
            conn.exec_driver_sql(f"INSERT INTO turn_fts(turn_fts, rank) VALUES ('merge', {pages})")
            changed = conn.exec_driver_sql("SELECT total_changes()").scalar_one() - before
        pages = _PAGES
    database.truncate_wal()
