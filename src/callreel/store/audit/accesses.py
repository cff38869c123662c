"""Open accesses: many requests of a person for the same thing, which become one entry of the audit trail.

A player reads a file in many parts, a page reloads itself, a search runs at every letter. The first request stores a row,
later ones extend it, and when none has come for a while the row becomes an entry. A killed server loses nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, select, update

from callreel.domain.audit import AuditAction, AuditEvent, Via
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.domain.intervals import Interval, merged
from callreel.store.audit import trail
from callreel.store.db.database import Database
from callreel.store.db.dialect import insert_new
from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import open_accesses

OPEN_FOR: Final = timedelta(minutes=10)
"""Since the last request; longer than the server waits for a player that does not read."""
_GAP_MS: Final = 250
_MOST_SPANS: Final = 100


@dataclass(frozen=True, slots=True)
class OpenAccess:
    """`spans` are the parts of the file that were sent, in milliseconds; a player may have read ahead."""

    key: str
    action: str
    actor: str
    via: str
    address: str
    call_id: CallId | None
    subject: str
    reason: str
    began_at: datetime
    last_at: datetime
    requests: int
    spans: list[Interval]


def key_of(event: AuditEvent) -> str:
    """Equal for the requests of one access."""
    parts = (event.action, event.actor, event.via, event.address, event.call_id, event.subject, event.reason)
    return "\n".join(part or "" for part in parts)


def extend(conn: Connection, event: AuditEvent, spans: Sequence[Interval] = (), *, requests: int = 1) -> None:
    """Store that `event` happened (again); `spans` are parts of the file that were sent."""
    key = key_of(event)
    row: dict[str, object] = {
        "key": key, "action": event.action, "actor": event.actor, "via": event.via, "address": event.address,
        "call_id": event.call_id, "subject": event.subject, "reason": event.reason, "began_at": event.at,
        "last_at": event.at, "requests": requests, "spans": [],
    }  # fmt: skip
    new = insert_new(conn, open_accesses, row)
    if new and not spans:
        return
    query = select(open_accesses.c.spans).where(open_accesses.c.key == key).with_for_update()
    stored = conn.execute(query).scalar()
    if stored is None:  # it became an entry meanwhile
        return extend(conn, event, spans, requests=requests)
    known = [(int(first), int(last)) for first, last in stored]
    conn.execute(
        update(open_accesses)
        .where(open_accesses.c.key == key)
        .values(
            last_at=event.at,
            requests=open_accesses.c.requests + (0 if new else requests),
            spans=_bounded(merged([*known, *spans], _GAP_MS)),
        )
    )


def settle(database: Database, before: datetime) -> int:
    """Turn the accesses without a request since `before` into entries; returns their number."""
    with database.read() as conn:
        old = (open_accesses.c.last_at < before,)
        due = conn.execute(
            select(open_accesses.c.key).where(*old).order_by(open_accesses.c.began_at)
        ).scalars()
        keys = list(due)
    settled = 0
    for key in keys:
        with database.write() as conn:
            # Deleted first: a request that extends the row meanwhile waits, and then stores a new one.
            ended = delete(open_accesses).where(open_accesses.c.key == key, *old).returning(*open_accesses.c)
            for row in fetch_all(conn, OpenAccess, ended):
                trail.record(conn, _event(row))
                settled += 1
    return settled


def still_open(conn: Connection, call_id: CallId | None = None, *, limit: int) -> list[OpenAccess]:
    """The latest accesses that are not entries yet, at most `limit`; those to one call if it is given."""
    query = select(open_accesses).order_by(open_accesses.c.last_at.desc()).limit(limit)
    return fetch_all(
        conn, OpenAccess, query if call_id is None else query.where(open_accesses.c.call_id == call_id)
    )


def details_of(row: OpenAccess) -> dict[str, Json]:
    """How long and how often; for a file also which parts of it, in milliseconds."""
    details: dict[str, Json] = {"until": row.last_at.isoformat(timespec="seconds"), "requests": row.requests}
    return details | ({"sent_ms": [list(span) for span in row.spans]} if row.spans else {})


def _event(row: OpenAccess) -> AuditEvent:
    return AuditEvent(
        row.began_at, AuditAction(row.action), row.actor, Via(row.via), row.address, row.call_id, row.subject,
        row.reason, details_of(row),
    )  # fmt: skip


def _bounded(spans: list[Interval]) -> list[Interval]:
    """Beyond a hundred parts, the nearest of them as one."""
    while len(spans) > _MOST_SPANS:
        gaps = [after[0] - before[1] for before, after in zip(spans, spans[1:], strict=False)]
        spans = merged(spans, min(gaps))
    return spans
