"""Erasures as rows: the request to erase a call, and then its tombstone.

A tombstone has the time, author and reason of the erasure, digests of the erased files, the outcome for the recordings at
the carrier, the number of deleted rows, and the legal holds. It has no phone number, no name of a party and no transcript.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, cast, delete, func, or_, select, update
from sqlalchemy import Text as SqlText

from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.store.db.dialect import insert_new
from callreel.store.db.rows import fetch_all, fetch_one, values_of
from callreel.store.db.tables import callbacks, calls, erasures, facts, metadata, transcripts, turns


@dataclass(frozen=True, slots=True)
class ErasureRow:
    """`files` are digests by path, `counts` numbers of rows by table. `erased_at` is None until the erasure is complete.
    `recordings` has, by the carrier's id, an `AtCarrier` as `outcome` and the number of deleted `transcriptions`. `holds`
    lists who held and released the call, without reasons.
    """

    call_id: CallId
    by: str
    began_at: datetime
    files: dict[str, Json]
    erased_at: datetime | None = None
    reason: str = ""
    at_carrier: bool = True
    recordings: dict[str, Json] = field(default_factory=dict)
    counts: dict[str, Json] = field(default_factory=dict)
    holds: list[Json] = field(default_factory=list)


def begin(conn: Connection, row: ErasureRow) -> bool:
    """Save a request; False if there is one for this call."""
    return insert_new(conn, erasures, values_of(erasures, row))


def repeat_request(conn: Connection, call_id: CallId, *, at_carrier: bool) -> None:
    """Update an unfinished request with the repeated one's choice for the carrier's copy."""
    again = update(erasures).where(erasures.c.call_id == call_id, erasures.c.erased_at.is_(None))
    conn.execute(again.values(at_carrier=at_carrier))


def get(conn: Connection, call_id: CallId) -> ErasureRow | None:
    return fetch_one(conn, ErasureRow, select(erasures).where(erasures.c.call_id == call_id))


def names_recording(conn: Connection, sid: str) -> bool:
    """Whether a recording belonged to a call that was erased, or is being erased."""
    named = (cast(column, SqlText).contains(sid) for column in (erasures.c.recordings, erasures.c.files))
    return conn.execute(select(erasures.c.call_id).where(or_(*named)).limit(1)).first() is not None


def set_files(conn: Connection, call_id: CallId, files: dict[str, Json]) -> None:
    conn.execute(update(erasures).where(erasures.c.call_id == call_id).values(files=files))


def set_recordings(conn: Connection, call_id: CallId, recordings: dict[str, Json]) -> None:
    conn.execute(update(erasures).where(erasures.c.call_id == call_id).values(recordings=recordings))


def delete_call(
    conn: Connection, call_id: CallId, sids: Sequence[str], counts: dict[str, Json], at: datetime
) -> bool:
    """Delete the call with all rows that refer to it, and the callbacks about `sids`; False if there is no such call."""
    if sids:
        conn.execute(delete(callbacks).where(or_(*(callbacks.c.key.contains(sid) for sid in sids))))
        conn.execute(delete(facts).where(facts.c.leg_sid.in_(sids)))
    existed = conn.execute(delete(calls).where(calls.c.id == call_id)).rowcount == 1
    done = update(erasures).where(erasures.c.call_id == call_id)
    conn.execute(done.values(erased_at=at, counts=counts))
    return existed


def counts(conn: Connection, call_id: CallId) -> dict[str, Json]:
    """The number of rows that refer to a call, by table; tables without any are left out."""
    found = {}
    for table in metadata.sorted_tables:
        if any(key.column is calls.c.id for key in table.foreign_keys):
            found[table.name] = select(func.count()).select_from(table).where(table.c.call_id == call_id)
    of_call = transcripts.c.call_id == call_id
    found["turns"] = select(func.count()).select_from(turns.join(transcripts)).where(of_call)
    numbers = {name: conn.execute(query).scalar_one() for name, query in found.items()}
    return {name: number for name, number in sorted(numbers.items()) if number}


def in_progress(conn: Connection, call_ids: Collection[CallId]) -> set[CallId]:
    """Which of these calls have an unfinished erasure."""
    query = select(erasures.c.call_id).where(
        erasures.c.call_id.in_(list(call_ids)), erasures.c.erased_at.is_(None)
    )
    return {CallId(row.call_id) for row in conn.execute(query)}


def newest(conn: Connection, limit: int | None = None) -> list[ErasureRow]:
    """Up to `limit` erasures: the unfinished ones first, then the newest."""
    query = (
        select(erasures)
        .order_by(erasures.c.erased_at.is_not(None), erasures.c.began_at.desc(), erasures.c.call_id)
        .limit(limit)
    )
    return fetch_all(conn, ErasureRow, query)


def unfinished(conn: Connection) -> list[datetime]:
    """The request times of all unfinished erasures."""
    return list(conn.execute(select(erasures.c.began_at).where(erasures.c.erased_at.is_(None))).scalars())
