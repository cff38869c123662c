"""The end of a call, once: whoever notices first says so."""

import logging
from datetime import datetime

from callreel.domain.call import CallState
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.services.announce import Announcer
from callreel.store import calls
from callreel.store.database import Database

log = logging.getLogger(__name__)


def end_call(
    database: Database, announcer: Announcer, call_id: CallId, at: datetime, *, owner: str | None
) -> bool:
    """Mark a call of `owner`'s as ended and tell; False when it had ended before, or is another's. Blocking."""
    with database.write() as conn:
        if not calls.end(conn, call_id, at, owner):
            return False
        event = announcer.record(conn, LiveEvent(call_id, EventKind.CALL, {"state": CallState.ENDED}))
    announcer.tell(event)
    log.info("call ended", extra={"call_id": call_id})
    return True
