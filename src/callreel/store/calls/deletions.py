"""Recordings that we deleted at the carrier, as rows: a tombstone each, with the digest of our own copy."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, exists, false, or_, select

from callreel.domain.call import CallState
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.pause import CarrierPause
from callreel.domain.recording import CloudState, LayerFile
from callreel.domain.verdict import Verdict
from callreel.store.calls.holds import open_holds
from callreel.store.db.dialect import insert_new
from callreel.store.db.rows import fetch_all, values_of
from callreel.store.db.tables import calls, carrier_deletions, pauses, recordings


@dataclass(frozen=True, slots=True)
class DeletionRow:
    """`sha256` and `duration_ms` describe our copy. `already_deleted`: the carrier had no copy any more."""

    sid: RecordingSid
    call_id: CallId
    sha256: str
    duration_ms: int
    already_deleted: bool
    deleted_at: datetime


def record(
    conn: Connection,
    sid: RecordingSid,
    call_id: CallId,
    at: datetime,
    *,
    was_there: bool,
    copy: LayerFile | None = None,
) -> None:
    """Save the tombstone of a recording, unless there is one. `copy` is our own, if we have one."""
    sha256, duration_ms = (copy.sha256 or "", copy.duration_ms) if copy else ("", 0)
    row = DeletionRow(sid, call_id, sha256, duration_ms, not was_there, at)
    insert_new(conn, carrier_deletions, values_of(carrier_deletions, row))


def all_deletions(conn: Connection) -> list[DeletionRow]:
    """All tombstones, oldest first."""
    query = select(carrier_deletions).order_by(carrier_deletions.c.deleted_at, carrier_deletions.c.sid)
    return fetch_all(conn, DeletionRow, query)


def sids_of_call(conn: Connection, call_id: CallId) -> set[RecordingSid]:
    """The call's recordings that were deleted at the carrier."""
    query = select(carrier_deletions.c.sid).where(carrier_deletions.c.call_id == call_id)
    return {RecordingSid(row.sid) for row in conn.execute(query)}


def candidates(
    conn: Connection, closed_before: datetime | None, paused: Collection[CarrierPause] = ()
) -> list[tuple[RecordingSid, CallId]]:
    """Stored recordings without a tombstone, of calls closed before `closed_before`, neither `suspect` nor held.

    The carrier's copy of a suspect call stays: it may settle the doubt. With `paused` also, whatever the age, those of
    calls with a pause that the carrier left in one of these states.
    """
    with_pause = exists().where(pauses.c.call_id == calls.c.id, pauses.c.carrier.in_(paused))
    query = (
        select(recordings.c.sid, recordings.c.call_id)
        .join(calls, calls.c.id == recordings.c.call_id)
        .outerjoin(carrier_deletions, carrier_deletions.c.sid == recordings.c.sid)
        .where(
            recordings.c.state == CloudState.STORED,
            carrier_deletions.c.sid.is_(None),
            calls.c.state == CallState.CLOSED,
            calls.c.verdict.in_((Verdict.VERIFIED, Verdict.EXPLAINED)),
            or_(calls.c.closed_at < closed_before if closed_before else false(), with_pause),
            calls.c.id.not_in(open_holds()),
        )
        .order_by(calls.c.closed_at, recordings.c.sid)
    )
    return [(RecordingSid(row.sid), CallId(row.call_id)) for row in conn.execute(query)]
