"""Bringing the search index up to date with transcripts that are older than it."""

import logging

from callreel.domain.ids import CallId
from callreel.store.db.database import Database
from callreel.store.transcripts import transcripts

log = logging.getLogger(__name__)


def index_older(database: Database) -> int:
    """Index every call that has a transcript and is not indexed; how many there were. Blocking, a batch at a time."""
    total, last = 0, CallId("")
    while True:
        with database.write() as conn:
            done = transcripts.index_missing(conn, last)
        if not done:
            break
        total, last = total + len(done), done[-1]
    if total:
        log.info("indexed the transcripts of %d older calls for search", total)
    return total
