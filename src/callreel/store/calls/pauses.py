"""Pauses of recordings as rows. A call has at most one that has not ended."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update

from callreel.domain.call import CallState
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.pause import CarrierPause, PauseCause, PauseEnd, warning
from callreel.store.db.rows import fetch_all, fetch_one
from callreel.store.db.tables import calls, pauses


@dataclass(frozen=True, slots=True)
class PauseRow:
    """`start_ms` and `end_ms` are positions in the live layers, between which these are silent.

    `start_ms` is None until the process that has the call's streams confirms the silence, `end_ms` until it writes audio
    again; after the end of the call None means until its end. `by` is a person's name, empty for a rule.
    `carrier_at` is when `carrier`, `carrier_error` (its last error) or `carrier_resumed` changed.
    """

    id: int
    call_id: CallId
    began_at: datetime
    cause: PauseCause
    by: str
    carrier: CarrierPause
    carrier_error: str
    carrier_resumed: bool
    carrier_at: datetime
    start_ms: int | None = None
    end_ms: int | None = None
    ended_at: datetime | None = None
    ended_by: PauseEnd | None = None

    @property
    def warning(self) -> str | None:
        """What people must know of it (`domain.pause.warning`)."""
        return warning(self.ended_at is None, self.carrier, self.carrier_error, self.carrier_resumed)

    @property
    def event(self) -> LiveEvent:
        """The live event that reports this state."""
        return LiveEvent(
            self.call_id, EventKind.PAUSE,
            {"id": self.id, "paused": self.ended_at is None, "silent": self.start_ms is not None,
             "start_ms": self.start_ms, "end_ms": self.end_ms, "cause": self.cause, "by": self.by,
             "ended_by": self.ended_by, "carrier": self.carrier, "carrier_error": self.carrier_error,
             "carrier_resumed": self.carrier_resumed, "warning": self.warning},
        )  # fmt: skip


def begin(
    conn: Connection, call_id: CallId, cause: PauseCause, by: str, at: datetime
) -> tuple[PauseRow | None, bool]:
    """The open pause of a live call, and whether it is new. None if the call is not live."""
    live = select(calls.c.id).where(calls.c.id == call_id, calls.c.state == CallState.LIVE).with_for_update()
    if conn.execute(live).first() is None:
        return None, False
    if (row := open_one(conn, call_id)) is not None:
        return row, False
    values = {
        "call_id": call_id, "began_at": at, "cause": cause, "by": by, "carrier": CarrierPause.PENDING,
        "carrier_error": "", "carrier_resumed": False, "carrier_at": at,
    }  # fmt: skip
    return fetch_one(conn, PauseRow, insert(pauses).values(**values).returning(pauses)), True


def end(conn: Connection, call_id: CallId, ended_by: PauseEnd, at: datetime) -> PauseRow | None:
    """End the open pause of a call; None without one."""
    ended = update(pauses).where(pauses.c.call_id == call_id, pauses.c.ended_at.is_(None))
    return fetch_one(conn, PauseRow, ended.values(ended_at=at, ended_by=ended_by).returning(pauses))


def change(conn: Connection, pause_id: int, **values: Any) -> PauseRow | None:
    """Set columns of a pause; None if it was erased meanwhile."""
    return fetch_one(
        conn, PauseRow, update(pauses).where(pauses.c.id == pause_id).values(**values).returning(pauses)
    )


def get(conn: Connection, pause_id: int) -> PauseRow | None:
    return fetch_one(conn, PauseRow, select(pauses).where(pauses.c.id == pause_id))


def open_one(conn: Connection, call_id: CallId) -> PauseRow | None:
    """The pause of a call that has not ended."""
    query = select(pauses).where(pauses.c.call_id == call_id, pauses.c.ended_at.is_(None))
    return fetch_one(conn, PauseRow, query)


def paused(conn: Connection, call_ids: Collection[CallId]) -> set[CallId]:
    """Those of the calls that are paused now."""
    mine = pauses.c.call_id.in_(list(call_ids)), pauses.c.ended_at.is_(None)
    return {CallId(call_id) for call_id in conn.execute(select(pauses.c.call_id).where(*mine)).scalars()}


def of_call(conn: Connection, call_id: CallId) -> list[PauseRow]:
    """In the order in which they began."""
    return fetch_all(conn, PauseRow, select(pauses).where(pauses.c.call_id == call_id).order_by(pauses.c.id))


def during(conn: Connection, call_id: CallId, start_ms: int, end_ms: int) -> bool:
    """Whether a pause silences a part of the live layers between these positions."""
    ends_later = or_(pauses.c.end_ms.is_(None), pauses.c.end_ms > start_ms)
    mine = pauses.c.call_id == call_id, pauses.c.start_ms < end_ms, ends_later
    return conn.execute(select(pauses.c.id).where(*mine).limit(1)).first() is not None


def unplaced(conn: Connection) -> list[PauseRow]:
    """Pauses of live calls whose place in the live layers is not known, or may change."""
    missing = or_(pauses.c.start_ms.is_(None), pauses.c.end_ms.is_(None))
    query = select(pauses).join(calls, calls.c.id == pauses.c.call_id)
    return fetch_all(
        conn, PauseRow, query.where(calls.c.state == CallState.LIVE, missing).order_by(pauses.c.id)
    )


def unsettled(conn: Connection) -> list[PauseRow]:
    """Pauses of live calls that have not ended, or after which the carrier has not resumed."""
    query = (
        select(pauses)
        .join(calls, calls.c.id == pauses.c.call_id)
        .where(calls.c.state == CallState.LIVE)
        .where(or_(pauses.c.ended_at.is_(None), pauses.c.carrier_resumed.is_(False)))
    )
    return fetch_all(conn, PauseRow, query.order_by(pauses.c.id))
