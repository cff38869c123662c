"""Makes deleted rows unreadable in SQLite's files too. On PostgreSQL autovacuum does that.

`secure_delete` overwrites freed pages. What remains are deleted words in the search index, which FTS5 only marks until it
merges its segments (sqlite.org/fts5.html, section 6.8), and old pages in the write-ahead log.
"""

from callreel.store.db.database import Database

_PAGES = 500
"""Merged in one transaction, to keep the waits of writers short."""


def scrub(database: Database) -> None:
    """Merge the search index and truncate the log. A reader may prevent the latter; the next scrub repeats it. Raises
    StoreError."""
    if database.dialect != "sqlite":
        return
    pages = -_PAGES  # negative: start with the whole index, whatever the levels of its segments
    changed = _PAGES
    while changed > 1:  # a merge without work counts as one change
        with database.write() as conn:
            before = conn.exec_driver_sql("SELECT total_changes()").scalar_one()
            conn.exec_driver_sql(f"INSERT INTO turn_fts(turn_fts, rank) VALUES ('merge', {pages})")
            changed = conn.exec_driver_sql("SELECT total_changes()").scalar_one() - before
        pages = _PAGES
    database.truncate_wal()
