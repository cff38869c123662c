"""The consent stamps of calls as rows (`domain/consent.Stamp`). A stamp only gains: its first answer and times stay."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, or_, select, update

from callreel.domain.call import CallState
from callreel.domain.consent import Answer, Mode, Stamp
from callreel.domain.ids import CallId, LegSid
from callreel.store.db.dialect import insert_new
from callreel.store.db.rows import fetch_all, fetch_one, values_of
from callreel.store.db.tables import calls, consents

_BY_CALL = select(consents).where(consents.c.call_id == bindparam("call_id"))


def insert(conn: Connection, stamp: Stamp) -> bool:
    """Save the stamp of a new call; False if it has one."""
    return insert_new(conn, consents, values_of(consents, stamp))


def of_call(conn: Connection, call_id: CallId) -> Stamp | None:
    return fetch_one(conn, Stamp, _BY_CALL, {"call_id": call_id})


def of_calls(conn: Connection, call_ids: Collection[CallId]) -> dict[CallId, Stamp]:
    """The stamps of those of the calls that have one."""
    found = fetch_all(conn, Stamp, select(consents).where(consents.c.call_id.in_(list(call_ids))))
    return {stamp.call_id: stamp for stamp in found}


def permits_recording(conn: Connection, call_id: CallId) -> bool:
    """Whether recording and streaming of the call may begin."""
    stamp = of_call(conn, call_id)
    return stamp is None or stamp.permits_recording


def set_played(conn: Connection, call_id: CallId, leg_sid: LegSid, at: datetime) -> bool:
    """The notice was played to its end on that leg; False if that was known."""
    first = update(consents).where(consents.c.call_id == call_id, consents.c.played_at.is_(None))
    return conn.execute(first.values(played_at=at, leg_sid=leg_sid)).rowcount == 1


def set_answer(
    conn: Connection, call_id: CallId, answer: Answer, leg_sid: LegSid, at: datetime, by: str
) -> bool:
    """Save the first answer; False if there was one."""
    first = update(consents).where(
        consents.c.call_id == call_id, consents.c.mode == Mode.ASK, consents.c.answer.is_(None)
    )
    values = {"answer": answer, "answered_at": at, "answered_by": by, "played_at": at, "leg_sid": leg_sid}
    return conn.execute(first.values(values)).rowcount == 1


def set_captured(conn: Connection, call_id: CallId, at: datetime, failure: str = "") -> None:
    """Recording and streaming were requested at `at`, or could not be for the reason `failure`."""
    values = {"failure": failure[:200]} if failure else {"capture_at": at, "failure": ""}
    conn.execute(update(consents).where(consents.c.call_id == call_id).values(values))


def stop(conn: Connection, stamp: Stamp, at: datetime) -> None:
    """The call is not recorded from `at` on; `stamp` becomes its stamp if it has none."""
    insert(conn, stamp)
    conn.execute(update(consents).where(consents.c.call_id == stamp.call_id).values(stopped_at=at))


def is_stopped(conn: Connection, call_id: CallId) -> bool:
    """Whether a person chose during the call that it is not recorded."""
    return call_id in stopped(conn, [call_id])


def stopped(conn: Connection, call_ids: Collection[CallId]) -> set[CallId]:
    """Those of the calls for which a person chose so."""
    query = select(consents.c.call_id).where(
        consents.c.call_id.in_(list(call_ids)), consents.c.stopped_at.is_not(None)
    )
    return {CallId(call_id) for call_id in conn.execute(query).scalars()}


def to_erase(conn: Connection) -> list[CallId]:
    """Stopped calls of which something captured may still exist."""
    query = select(consents.c.call_id).where(
        consents.c.stopped_at.is_not(None), consents.c.erased_at.is_(None)
    )
    return [CallId(call_id) for call_id in conn.execute(query).scalars()]


def set_erased(conn: Connection, call_id: CallId, at: datetime) -> bool:
    """What was captured of a stopped call is erased; False if that was known."""
    open_ = consents.c.call_id == call_id, consents.c.stopped_at.is_not(None), consents.c.erased_at.is_(None)
    return conn.execute(update(consents).where(*open_).values(erased_at=at)).rowcount == 1


def reopen_erasure(conn: Connection, call_id: CallId) -> None:
    """The carrier reported another recording of a stopped call."""
    mine = consents.c.call_id == call_id, consents.c.stopped_at.is_not(None)
    conn.execute(update(consents).where(*mine).values(erased_at=None))


def claim_capture(conn: Connection, call_id: CallId, now: datetime, until: datetime) -> bool:
    """Whether this process alone requests the recording of a live call with consent until `until`."""
    claimed = _waiting(now).where(consents.c.call_id == call_id)
    query = update(consents).where(consents.c.call_id.in_(claimed)).values(capture_claimed_until=until)
    return conn.execute(query).rowcount == 1


def waiting_for_capture(conn: Connection, now: datetime) -> list[CallId]:
    """Live calls with consent whose recording no process is about to request."""
    return [CallId(call_id) for call_id in conn.execute(_waiting(now)).scalars()]


def _waiting(now: datetime) -> Select[Any]:
    return (
        select(consents.c.call_id)
        .join(calls, calls.c.id == consents.c.call_id)
        .where(
            consents.c.answer == Answer.GRANTED,
            consents.c.capture_at.is_(None),
            consents.c.failure == "",
            consents.c.stopped_at.is_(None),
            or_(consents.c.capture_claimed_until.is_(None), consents.c.capture_claimed_until < now),
            calls.c.state == CallState.LIVE,
        )
    )
