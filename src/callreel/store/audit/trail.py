"""The entries of the audit trail. `record` is the only way to add one; triggers refuse changes (`migrations`).

A transaction calls `record` last: on PostgreSQL it locks the trail until its end, and another order of locks could deadlock.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from callreel.domain.audit import (
    START,
    AuditAction,
    AuditEntry,
    AuditEvent,
    Checked,
    Link,
    Via,
    chained,
    check_chain,
)
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.store.db.dialect import advisory_lock
from callreel.store.db.rows import fetch_all, fetch_one, values_of
from callreel.store.db.tables import audit_entries
from callreel.store.db.types import storable_text, to_json

_TRAIL_LOCK = 0x0CA11_A0D1
_BATCH = 1000
_BY_NUMBER = audit_entries.c.number


@dataclass(frozen=True, slots=True)
class TrailFilter:
    """Conditions on entries; None and empty values do not filter. `since` is inclusive, `until` exclusive."""

    since: datetime | None = None
    until: datetime | None = None
    actor: str = ""
    action: str = ""
    call_id: str = ""

    def conditions(self) -> list[ColumnElement[bool]]:
        named = (("actor", self.actor), ("action", self.action), ("call_id", self.call_id))
        found = [audit_entries.c[column] == value for column, value in named if value]
        if self.since is not None:
            found.append(audit_entries.c.at >= self.since)
        if self.until is not None:
            found.append(audit_entries.c.at < self.until)
        return found


def record(conn: Connection, event: AuditEvent) -> AuditEntry:
    """Append an entry. The last statement of its transaction, which makes later entries wait on every server."""
    advisory_lock(conn, _TRAIL_LOCK)
    entry = chained(_as_stored(event), head(conn))
    conn.execute(insert(audit_entries).values(**values_of(audit_entries, entry)))
    return entry


def _as_stored(event: AuditEvent) -> AuditEvent:
    """The event as it is read back, so that its digest fits."""
    return replace(
        event,
        actor=storable_text(event.actor),
        address=storable_text(event.address),
        subject=storable_text(event.subject),
        reason=storable_text(event.reason),
        details=json.loads(to_json(dict(event.details))),
    )


def head(conn: Connection) -> Link:
    """The newest entry."""
    query = select(_BY_NUMBER, audit_entries.c.digest).order_by(_BY_NUMBER.desc()).limit(1)
    found = conn.execute(query).first()
    return Link(*found) if found is not None else START


def newest(conn: Connection, action: AuditAction, actor: str = "", call_id: str = "") -> AuditEntry | None:
    """The newest entry of an action, of an actor and a call if they are given."""
    wanted = TrailFilter(actor=actor, action=action, call_id=call_id).conditions()
    query = select(audit_entries).where(*wanted).order_by(_BY_NUMBER.desc()).limit(1)
    return fetch_one(conn, AuditEntry, query)


def page(conn: Connection, wanted: TrailFilter, limit: int, before: int | None = None) -> list[AuditEntry]:
    """Up to `limit` entries, newest first, with numbers below `before`."""
    query = select(audit_entries).where(*wanted.conditions()).order_by(_BY_NUMBER.desc()).limit(limit)
    return fetch_all(conn, AuditEntry, query if before is None else query.where(_BY_NUMBER < before))


def of_call(
    conn: Connection, call_id: CallId, actions: tuple[AuditAction, ...], limit: int
) -> list[AuditEntry]:
    """Up to `limit` entries of these actions on a call, newest first."""
    wanted = (audit_entries.c.call_id == call_id, audit_entries.c.action.in_(actions))
    query = select(audit_entries).where(*wanted).order_by(_BY_NUMBER.desc()).limit(limit)
    return fetch_all(conn, AuditEntry, query)


def entries(conn: Connection, wanted: TrailFilter = TrailFilter(), after: int = 0) -> Iterator[AuditEntry]:
    """All entries in their order, read in batches."""
    while True:
        query = select(audit_entries).where(*wanted.conditions(), _BY_NUMBER > after)
        batch = fetch_all(conn, AuditEntry, query.order_by(_BY_NUMBER).limit(_BATCH))
        yield from batch
        if len(batch) < _BATCH:
            return
        after = batch[-1].number


def start(conn: Connection) -> Link:
    """What the first entry must follow: the newest checkpoint, or nothing."""
    checkpoint = newest(conn, AuditAction.TRAIL_TRIMMED)
    return START if checkpoint is None else Link(int(checkpoint.subject), str(checkpoint.details["digest"]))


def verify(conn: Connection, expected: Link | None = None) -> Checked:
    """Check the whole trail. The newest checkpoint is an entry of it, so a wrong one breaks the chain too.

    An `expected` entry that retention has removed cannot be checked any more and is ignored.
    """
    return check_chain(entries(conn), start(conn), expected)


def trim(conn: Connection, before: datetime, at: datetime) -> int:
    """Remove the entries older than `before`, after a checkpoint with the digest of the last one; returns their number.

    The first entry that is young enough stays with all that follow it.
    """
    advisory_lock(conn, _TRAIL_LOCK)
    young = conn.execute(select(func.min(_BY_NUMBER)).where(audit_entries.c.at >= before)).scalar()
    last = head(conn).number + 1 if young is None else young
    query = select(audit_entries).where(_BY_NUMBER < last).order_by(_BY_NUMBER.desc()).limit(1)
    removed = fetch_one(conn, AuditEntry, query)
    if removed is None:
        return 0
    number = conn.execute(select(func.count()).where(_BY_NUMBER <= removed.number)).scalar_one()
    if (
        number == 1 and removed.action == AuditAction.TRAIL_TRIMMED
    ):  # the checkpoint stays until it has a successor
        return 0
    details: dict[str, Json] = {"digest": removed.digest, "entries": number}
    subject = str(removed.number)
    record(
        conn,
        AuditEvent(at, AuditAction.TRAIL_TRIMMED, "policy", Via.SERVER, subject=subject, details=details),
    )
    conn.execute(delete(audit_entries).where(_BY_NUMBER <= removed.number))
    return number
