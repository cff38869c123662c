"""Erasures as rows: the order to erase a call, and what stays when it is done.

What stays of a call is that it was, when it went, who wanted it and why, the digests of its files, what became of its
recordings at the carrier, how many rows went, and who had held it. No number, no name of a party, no word.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, delete, func, or_, select, update

from callreel.domain.call import CallState
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.store.calls.holds import open_holds
from callreel.store.db.dialect import insert_new
from callreel.store.db.tables import (
    callbacks,
    calls,
    erasures,
    facts,
    metadata,
    transcripts,
    turns,
    words,
)


@dataclass(frozen=True, slots=True)
class ErasureRow:
    """`files` are the digests of what was erased, by path, `counts` the rows, by table. `erased_at` is None until it is
    done. `recordings` says by the carrier's id what became of each there: an `AtCarrier` as `outcome`, and how many
    `transcriptions` of it went. `holds` says who held the call and let it go, without their reasons.
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
    """Note that a call is to go; False when that was noted before."""
    return insert_new(conn, erasures, {column.name: getattr(row, column.name) for column in erasures.c})


def ask_again(conn: Connection, call_id: CallId, *, at_carrier: bool) -> None:
    """Somebody asks once more for what is not done, with the carrier's copy as they now say."""
    again = update(erasures).where(erasures.c.call_id == call_id, erasures.c.erased_at.is_(None))
    conn.execute(again.values(at_carrier=at_carrier))


def get(conn: Connection, call_id: CallId) -> ErasureRow | None:
    """None where nobody asked for it."""
    found = conn.execute(select(erasures).where(erasures.c.call_id == call_id)).first()
    return None if found is None else ErasureRow(**found._asdict())


def set_files(conn: Connection, call_id: CallId, files: dict[str, Json]) -> None:
    conn.execute(update(erasures).where(erasures.c.call_id == call_id).values(files=files))


def set_recordings(conn: Connection, call_id: CallId, recordings: dict[str, Json]) -> None:
    conn.execute(update(erasures).where(erasures.c.call_id == call_id).values(recordings=recordings))


def forget_call(
    conn: Connection, call_id: CallId, sids: Sequence[str], counts: dict[str, Json], at: datetime
) -> bool:
    """Delete the call's row and all that hangs on it, and the carrier's words about `sids`; whether there was a call."""
    if sids:
        conn.execute(delete(callbacks).where(or_(*(callbacks.c.key.contains(sid) for sid in sids))))
        conn.execute(delete(facts).where(facts.c.leg_sid.in_(sids)))
    there = conn.execute(delete(calls).where(calls.c.id == call_id)).rowcount == 1
    done = update(erasures).where(erasures.c.call_id == call_id)
    conn.execute(done.values(erased_at=at, counts=counts))
    return there


def counts(conn: Connection, call_id: CallId) -> dict[str, Json]:
    """How many rows hang on a call, by table; tables with none are left out."""
    found = {}
    for table in metadata.sorted_tables:
        if any(key.column is calls.c.id for key in table.foreign_keys):
            found[table.name] = select(func.count()).select_from(table).where(table.c.call_id == call_id)
    of_call = transcripts.c.call_id == call_id
    found["turns"] = select(func.count()).select_from(turns.join(transcripts)).where(of_call)
    found["words"] = select(func.count()).select_from(words.join(turns).join(transcripts)).where(of_call)
    numbers = {name: conn.execute(query).scalar_one() for name, query in found.items()}
    return {name: number for name, number in sorted(numbers.items()) if number}


def begun(conn: Connection, call_ids: Collection[CallId]) -> set[CallId]:
    """Which of these calls are to go."""
    query = select(erasures.c.call_id).where(
        erasures.c.call_id.in_(list(call_ids)), erasures.c.erased_at.is_(None)
    )
    return {CallId(row.call_id) for row in conn.execute(query)}


def newest(conn: Connection, limit: int | None = None) -> list[ErasureRow]:
    """The newest first, those that are not done before all others; up to `limit`."""
    query = (
        select(erasures)
        .order_by(erasures.c.erased_at.is_not(None), erasures.c.began_at.desc(), erasures.c.call_id)
        .limit(limit)
    )
    return [ErasureRow(**row._asdict()) for row in conn.execute(query)]


def unfinished(conn: Connection) -> list[datetime]:
    """When each erasure that is not done was asked for."""
    return list(conn.execute(select(erasures.c.began_at).where(erasures.c.erased_at.is_(None))).scalars())


def due(conn: Connection, closed_before: datetime) -> list[CallId]:
    """Calls that were judged before then, are not held and of which nobody asked for the erasing, oldest first."""
    query = (
        select(calls.c.id)
        .outerjoin(erasures, erasures.c.call_id == calls.c.id)
        .where(
            calls.c.state == CallState.CLOSED,
            calls.c.closed_at < closed_before,
            erasures.c.call_id.is_(None),
            calls.c.id.not_in(open_holds()),
        )
        .order_by(calls.c.closed_at)
    )
    return [CallId(row.id) for row in conn.execute(query)]
