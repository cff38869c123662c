"""Cloud recordings as rows: what the carrier said of each, and how far its stages after the call are."""

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Update, case, exists, func, select, update

from callreel.domain.call import CallState
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId, LegSid, RecordingSid
from callreel.domain.recording import CloudState, advance
from callreel.store.db.dialect import insert_new
from callreel.store.db.tables import calls, recordings

SKIPPED = "skipped"
JUDGED = "judge"
"""The last stage."""
_STUCK = (recordings.c.stage_error.is_not(None) | (recordings.c.state == CloudState.PARKED)) & (
    recordings.c.stage.is_(None) | (recordings.c.stage != SKIPPED)
)

DISPATCHABLE = (CloudState.COMPLETED, CloudState.ABSENT, CloudState.FAILED, CloudState.MISSING)
"""States after which the stages after the call can run: there is a recording to fetch, or there never will be."""

UNSETTLED = (CloudState.EXPECTED, CloudState.IN_PROGRESS)
"""States after which the carrier will say more."""

_CARRIER_COLUMNS = (
    "carrier_status",
    "source",
    "channels",
    "duration_s",
    "error_code",
    "url",
    "started_at",
    "price",
)


@dataclass(frozen=True, slots=True)
class RecordingRow:
    """A cloud recording.

    `carrier_status`, `source`, `error_code` and `price` (signed, in the account's currency) are the carrier's own words.
    `stage`, `stage_error` and `attempts` say where the work after the call is; `dispatched_at` when it was started.
    `retries` counts how often all stages were begun anew, by a person or by itself after a while; of what is stuck,
    `retry_at` says when that happens next.
    """

    sid: RecordingSid
    call_id: CallId
    leg_sid: LegSid
    state: CloudState
    updated_at: datetime
    carrier_status: str | None = None
    source: str | None = None
    channels: int | None = None
    duration_s: int | None = None
    error_code: int | None = None
    url: str | None = field(default=None, repr=False)
    started_at: datetime | None = None
    price: str | None = None
    dispatched_at: datetime | None = None
    stage: str | None = None
    stage_error: str | None = None
    attempts: int = 0
    retries: int = 0
    retry_at: datetime | None = None


def upsert(conn: Connection, report: RecordingRow) -> tuple[RecordingRow, bool]:
    """Save what the carrier reported about a recording. Returns the merged row, and whether its state changed.

    Callbacks repeat and come in any order: the later state wins (`domain.recording.advance`), and so do the values
    reported with it; a value missing from the report keeps its old one. When a state changes after the stages were
    started (`absent`, then `completed`), the recording is undispatched again.
    """
    if insert_new(conn, recordings, asdict(report)):
        return report, True
    known = _row(
        conn.execute(select(recordings).where(recordings.c.sid == report.sid).with_for_update()).one()
    )
    merged = _merge(known, report)
    if merged != known:
        conn.execute(update(recordings).where(recordings.c.sid == report.sid).values(**asdict(merged)))
    return merged, merged.state is not known.state


def get(conn: Connection, sid: RecordingSid) -> RecordingRow | None:
    found = conn.execute(select(recordings).where(recordings.c.sid == sid)).first()
    return None if found is None else _row(found)


def of_call(conn: Connection, call_id: CallId) -> list[RecordingRow]:
    query = (
        select(recordings)
        .where(recordings.c.call_id == call_id)
        .order_by(recordings.c.started_at, recordings.c.sid)
    )
    return [_row(found) for found in conn.execute(query)]


@dataclass(frozen=True, slots=True)
class UnsettledCall:
    """A call that ended and of whose recording the carrier has not said the last word."""

    call_id: CallId
    leg_sid: LegSid
    ended_at: datetime


def unsettled_calls(conn: Connection) -> list[UnsettledCall]:
    """Ended calls without a settled recording, oldest first. One query, however many calls there are."""
    settled = exists().where(recordings.c.call_id == calls.c.id, recordings.c.state.not_in(UNSETTLED))
    query = (
        select(calls.c.id, calls.c.leg_sid, calls.c.ended_at)
        .where(calls.c.state == CallState.ENDED, calls.c.ended_at.is_not(None), ~settled)
        .order_by(calls.c.created_at, calls.c.id)
    )
    return [
        UnsettledCall(CallId(call_id), LegSid(leg_sid), at) for call_id, leg_sid, at in conn.execute(query)
    ]


def undispatched(conn: Connection) -> list[RecordingRow]:
    """Recordings whose stages can run and were not started, the longest unchanged first.

    Not while their call lives: it would be judged, and closed, before it is over. Also those that are stored already: their stages are begun anew, or were so quick that nobody marked them.
    """
    query = (
        select(recordings)
        .join(calls, calls.c.id == recordings.c.call_id)
        .where(
            recordings.c.state.in_((*DISPATCHABLE, CloudState.STORED)),
            recordings.c.dispatched_at.is_(None),
            calls.c.state != CallState.LIVE,
        )
        .order_by(recordings.c.updated_at, recordings.c.sid)
    )
    return [_row(found) for found in conn.execute(query)]


def mark_dispatched(conn: Connection, sid: RecordingSid, at: datetime) -> bool:
    """The stages were started; whether they had not been before."""
    marked = (
        update(recordings)
        .where(recordings.c.sid == sid, recordings.c.dispatched_at.is_(None))
        .values(dispatched_at=at, updated_at=at)
    )
    return conn.execute(marked).rowcount == 1


def set_stage(
    conn: Connection,
    sid: RecordingSid,
    stage: str,
    error: str | None = None,
    retry_at: datetime | None = None,
) -> None:
    """Without `error` an attempt at `stage` begins and is counted; with it, the attempt that runs has failed.

    `attempts` counts within one stage, from 1. `error` is one line without secrets. `retry_at`: not to be tried again
    before, where somebody said so.
    """
    same = recordings.c.stage == stage
    attempts = recordings.c.attempts if error is not None else recordings.c.attempts + 1
    conn.execute(
        update(recordings)
        .where(recordings.c.sid == sid)
        .values(stage=stage, stage_error=error, attempts=case((same, attempts), else_=1), retry_at=retry_at)
    )


def retry(conn: Connection, sid: RecordingSid, at: datetime) -> bool:
    """Let all stages of a parked recording, or of one of whose stages one failed, begin anew; whether it was one."""
    return conn.execute(_begun_again(at).where(recordings.c.sid == sid)).rowcount == 1


def retry_all(conn: Connection, at: datetime) -> int:
    """The same for all that is stuck; how many there were."""
    return conn.execute(_begun_again(at)).rowcount


def _begun_again(at: datetime) -> Update:
    again = case(
        (recordings.c.state == CloudState.PARKED, CloudState.COMPLETED.value), else_=recordings.c.state
    )
    return (
        update(recordings)
        .where(_STUCK)
        .values(
            state=again,
            stage_error=None,
            dispatched_at=None,
            retries=recordings.c.retries + 1,
            retry_at=None,
            updated_at=at,
        )
    )


def plan_retry(conn: Connection, sid: RecordingSid, retry_at: datetime) -> bool:
    """Say when a stuck recording begins again by itself; whether it is stuck and nobody had said."""
    planned = update(recordings).where(recordings.c.sid == sid, recordings.c.retry_at.is_(None), _STUCK)
    return conn.execute(planned.values(retry_at=retry_at, updated_at=recordings.c.updated_at)).rowcount == 1


def fetch_again(conn: Connection, sid: RecordingSid, at: datetime) -> bool:
    """Our copy is gone: let a stored recording be fetched and all its stages run anew; whether it was one."""
    reopened = (
        update(recordings)
        .where(recordings.c.sid == sid, recordings.c.state == CloudState.STORED)
        .values(
            state=CloudState.COMPLETED, dispatched_at=None, retries=recordings.c.retries + 1, updated_at=at
        )
    )
    return conn.execute(reopened).rowcount == 1


def skip(conn: Connection, sid: RecordingSid, at: datetime) -> bool:
    """A person says that what is stuck may stay so; whether it was stuck. A retry is possible no more."""
    left = update(recordings).where(recordings.c.sid == sid, _STUCK)
    return (
        conn.execute(left.values(stage=SKIPPED, stage_error=None, retry_at=None, updated_at=at)).rowcount == 1
    )


def stuck(conn: Connection) -> list[RecordingRow]:
    """Recordings of which a stage was parked, the longest unchanged first."""
    query = select(recordings).where(_STUCK).order_by(recordings.c.updated_at, recordings.c.sid)
    return [_row(found) for found in conn.execute(query)]


def running(conn: Connection) -> list[RecordingRow]:
    """Recordings whose stages wait or run: their call has not been judged since they were last begun."""
    waits = recordings.c.state.in_((*DISPATCHABLE, CloudState.STORED)) & recordings.c.dispatched_at.is_(None)
    open_call = calls.c.state != CallState.CLOSED
    begun = recordings.c.state.in_((*DISPATCHABLE, CloudState.STORED)) & open_call
    query = select(recordings).join(calls, calls.c.id == recordings.c.call_id).where(waits | begun)
    return [_row(found) for found in conn.execute(query.order_by(recordings.c.updated_at))]


def at_work(conn: Connection, call_id: CallId) -> bool:
    """Whether stages of one of the call's recordings run, after its first verdict too. What is stuck does not."""
    last = func.coalesce(recordings.c.stage, JUDGED)
    runs = (
        (calls.c.state != CallState.CLOSED)
        | (recordings.c.state == CloudState.COMPLETED)
        | last.not_in((JUDGED, SKIPPED))
    )
    query = (
        select(recordings.c.sid)
        .join(calls, calls.c.id == recordings.c.call_id)
        .where(recordings.c.call_id == call_id, recordings.c.stage_error.is_(None), runs)
    )
    return conn.execute(query).first() is not None


def begun(conn: Connection) -> list[RecordingRow]:
    """Recordings whose stages were started and have neither come to a verdict nor got stuck."""
    query = (
        select(recordings)
        .join(calls, calls.c.id == recordings.c.call_id)
        .where(
            recordings.c.state.in_((*DISPATCHABLE, CloudState.STORED)),
            recordings.c.dispatched_at.is_not(None),
            recordings.c.stage_error.is_(None),
            (calls.c.state != CallState.CLOSED) | (recordings.c.state == CloudState.COMPLETED),
        )
    )
    return [_row(found) for found in conn.execute(query.order_by(recordings.c.dispatched_at))]


def set_state(conn: Connection, sid: RecordingSid, state: CloudState, at: datetime) -> bool:
    """What we ourselves found (stored, parked, missing), under the same rule as `upsert`; whether it changed anything."""
    earlier = [known for known in CloudState if advance(known, state) is not known]
    moved = (
        update(recordings)
        .where(recordings.c.sid == sid, recordings.c.state.in_(earlier))
        .values(state=state, updated_at=at)
    )
    return conn.execute(moved).rowcount == 1


def _merge(known: RecordingRow, told: RecordingRow) -> RecordingRow:
    state = advance(known.state, told.state)
    first, second = (told, known) if state is told.state else (known, told)
    moved = state is not known.state
    words = {name: _either(getattr(first, name), getattr(second, name)) for name in _CARRIER_COLUMNS}
    merged = replace(known, state=state, dispatched_at=None if moved else known.dispatched_at, **words)
    return merged if merged == known else replace(merged, updated_at=told.updated_at)


def _either(first: Any, second: Any) -> Any:
    return second if first is None else first


def _row(found: Row[Any]) -> RecordingRow:
    return RecordingRow(**found._asdict())


def error_number(code: str | None) -> int | None:
    """The carrier's error code, which it sends as text, as a number; None for text that is no number."""
    return int(code) if code is not None and code.isdecimal() else None


def state_event(call_id: CallId, sid: str, state: CloudState, error_code: int | None) -> LiveEvent:
    """The live event for a recording's new state."""
    return LiveEvent(
        call_id, EventKind.RECORDING, {"recording_sid": sid, "state": state, "error_code": error_code}
    )
