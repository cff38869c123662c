"""The end of a call, once: whoever notices first says so."""

import logging
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from callreel.cluster.group_commit import GroupCommit, Written
from callreel.domain.call import CallState
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.store.calls import calls

log = logging.getLogger(__name__)


def end_in(conn: Connection, call_id: CallId, at: datetime, *, owner: str | None) -> Written | None:
    """Mark a call of `owner`'s as ended; None when it had ended before, or is another's."""
    if not calls.end(conn, call_id, at, owner):
        return None
    told = LiveEvent(call_id, EventKind.CALL, {"state": CallState.ENDED})
    return Written((told,), (partial(log.info, "call ended", extra={"call_id": call_id}),))


def end_call(commits: GroupCommit, call_id: CallId, at: datetime, *, owner: str | None) -> bool:
    """The same in a transaction of its own, and told. Blocking."""
    ended: list[Written] = []

    def write(conn: Connection) -> Written:
        ended[:] = [written] if (written := end_in(conn, call_id, at, owner=owner)) else []
        return ended[0] if ended else Written()

    commits.commit_blocking(write)
    return bool(ended)
