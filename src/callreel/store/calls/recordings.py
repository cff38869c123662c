"""Cloud recordings as rows: what the carrier reported about each, and whether we have stored it."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, exists, select, update

from callreel.domain.call import CallState
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId, LegSid, RecordingSid
from callreel.domain.recording import CloudState, advance, from_file
from callreel.domain.work import Workflow
from callreel.store.calls import deletions
from callreel.store.calls import outbox as outbox_rows
from callreel.store.calls.calls import CallRow
from callreel.store.db.dialect import insert_new
from callreel.store.db.rows import fetch_all, fetch_one
from callreel.store.db.tables import calls, outbox, recordings
from callreel.twilio.rest_resources import RecordingResource
from callreel.twilio.webhooks import RecordingProgress

DISPATCHABLE = (CloudState.COMPLETED, CloudState.ABSENT, CloudState.FAILED, CloudState.MISSING)
"""States in which the post-call workflow can run: the recording can be downloaded, or there will be none."""

UNSETTLED = (CloudState.EXPECTED, CloudState.IN_PROGRESS)
"""States before the carrier's last report."""

AT_CARRIER = (CloudState.COMPLETED, CloudState.STORED, CloudState.PARKED)
"""States in which the carrier has a copy, unless we deleted it there."""

_REPORTED = (
    "carrier_status", "source", "channels", "duration_s", "error_code", "started_at", "track", "price", "price_currency",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RecordingRow:
    """`carrier_status`, `source` and `error_code` are as the carrier sent them. `failure` says why a PARKED recording could not be downloaded."""

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
    started_at: datetime | None = None
    failure: str | None = None
    paused: bool = False
    """Whether the carrier ever paused it."""
    encrypted: bool = False
    """Whether the carrier encrypted it with the account owner's key."""
    agreement: float | None = None
    """How well the live layers correlate with it, 0 to 1; measured where several recordings compete."""
    live_start: int | None = None
    """Where it starts in the live layers, in samples at 8 kHz, measured with `agreement`; None where they do not align."""
    track: str | None = None
    """Which tracks of the leg it has, as the carrier said: `both`, `inbound` or `outbound`."""
    price: float | None = None
    """What the carrier charged, in `price_currency`; None until it has rated the recording."""
    price_currency: str | None = None


def upsert(conn: Connection, report: RecordingRow) -> tuple[RecordingRow, bool]:
    """Save what the carrier reported about a recording. Returns the merged row, and whether its state changed.

    Callbacks repeat and arrive in any order: the later state wins (`domain.recording.advance`), and so do the values
    reported with it; a value missing from the report keeps its old one. Each change to a dispatchable state (`absent`,
    then `completed`) adds a workflow to the outbox.
    """
    if insert_new(conn, recordings, asdict(report)):
        _order(conn, report)
        return report, True
    query = select(recordings).where(recordings.c.sid == report.sid).with_for_update()
    (known,) = fetch_all(conn, RecordingRow, query)
    merged = _merge(known, report)
    if merged != known:
        conn.execute(update(recordings).where(recordings.c.sid == report.sid).values(**asdict(merged)))
    changed = merged.state is not known.state
    if changed:
        _order(conn, merged)
    return merged, changed


def reported(report: RecordingProgress | RecordingResource, call: CallRow, at: datetime) -> RecordingRow:
    """The row that the carrier's report about a recording of `call` becomes, from a callback or from a list.

    Raises ValueError for a report whose status has no meaning to us (`cloud_state` is None).
    """
    if report.cloud_state is None:
        raise ValueError(f"expected a known recording status, got {report.status}")
    listed = report if isinstance(report, RecordingResource) else None
    return RecordingRow(
        report.sid, call.id, call.leg_sid, report.cloud_state, at, report.status, report.source, report.channels,
        report.duration_s, error_number(report.error_code), report.start_time, paused=report.status == "paused",
        encrypted=report.encrypted, track=report.track if isinstance(report, RecordingProgress) else None,
        price=listed.charged if listed else None, price_currency=listed.price_unit if listed else None,
    )  # fmt: skip


def get(conn: Connection, sid: RecordingSid) -> RecordingRow | None:
    return fetch_one(conn, RecordingRow, select(recordings).where(recordings.c.sid == sid))


def of_call(conn: Connection, call_id: CallId) -> list[RecordingRow]:
    query = select(recordings).where(recordings.c.call_id == call_id)
    return fetch_all(conn, RecordingRow, query.order_by(recordings.c.started_at, recordings.c.sid))


def at_carrier(
    conn: Connection, call_id: CallId, states: Collection[CloudState] = AT_CARRIER
) -> list[RecordingSid]:
    """The call's recordings in one of `states` that the carrier should still have a copy of."""
    gone = deletions.sids_of_call(conn, call_id)
    return [
        row.sid
        for row in of_call(conn, call_id)
        if row.state in states and row.sid not in gone and not from_file(row.sid)
    ]


def set_agreement(conn: Connection, sid: RecordingSid, agreement: float, live_start: int | None) -> None:
    """Store how well the live layers correlate with a recording, 0 to 1, and where it starts in them."""
    values = {"agreement": agreement, "live_start": live_start}
    conn.execute(update(recordings).where(recordings.c.sid == sid).values(**values))


def set_price(conn: Connection, sid: RecordingSid, price: float, currency: str) -> bool:
    """Save what the carrier charged; False if that is known, or the recording is not."""
    unknown = update(recordings).where(recordings.c.sid == sid, recordings.c.price.is_(None))
    return conn.execute(unknown.values(price=price, price_currency=currency)).rowcount == 1


def call_ids(conn: Connection, sids: Collection[str]) -> dict[str, CallId]:
    """The calls of these recordings, by recording SID."""
    query = select(recordings.c.sid, recordings.c.call_id).where(recordings.c.sid.in_(sids))
    return {sid: CallId(call_id) for sid, call_id in conn.execute(query)}


def unsettled_calls(conn: Connection) -> list[CallRow]:
    """Ended calls whose recording the carrier has not reported as settled, oldest first."""
    settled = exists().where(recordings.c.call_id == calls.c.id, recordings.c.state.not_in(UNSETTLED))
    query = select(calls).where(calls.c.state == CallState.ENDED, calls.c.ended_at.is_not(None), ~settled)
    return fetch_all(conn, CallRow, query.order_by(calls.c.created_at, calls.c.id))


def unjudged(conn: Connection, ended_before: datetime) -> list[RecordingRow]:
    """Settled recordings of calls that ended before then, have no verdict and are not in the outbox, oldest first."""
    ordered = exists().where(outbox.c.call_id == calls.c.id, outbox.c.workflow != Workflow.DELIVER)
    query = (
        select(recordings)
        .join(calls, calls.c.id == recordings.c.call_id)
        .where(
            calls.c.state == CallState.ENDED,
            calls.c.ended_at < ended_before,
            recordings.c.state.not_in(UNSETTLED),
            ~ordered,
        )
        .order_by(calls.c.ended_at, recordings.c.sid)
    )
    return fetch_all(conn, RecordingRow, query)


def download_again(conn: Connection, sid: RecordingSid, at: datetime) -> bool:
    """Order a new download of a stored recording whose copy we lost; False if it is not stored."""
    reopened = (
        update(recordings)
        .where(recordings.c.sid == sid, recordings.c.state == CloudState.STORED)
        .values(state=CloudState.COMPLETED, updated_at=at)
        .returning(recordings.c.call_id)
    )
    call_id = conn.execute(reopened).scalar()
    if call_id is not None:
        outbox_rows.put(conn, CallId(call_id), Workflow.DOWNLOAD, sid, at)
    return call_id is not None


def order_work(conn: Connection, row: RecordingRow) -> None:
    """Add the workflow for a recording's state to the outbox: its download, or a verdict without it."""
    available = row.state in (CloudState.COMPLETED, CloudState.STORED, CloudState.PARKED)
    workflow = Workflow.DOWNLOAD if available else Workflow.NO_RECORDING
    outbox_rows.put(conn, row.call_id, workflow, row.sid, row.updated_at)


def park(conn: Connection, sid: RecordingSid, failure: str, at: datetime) -> bool:
    """Park a recording that cannot be downloaded for now; False if that changed nothing. A stored one stays stored."""
    set_state(conn, sid, CloudState.PARKED, at)
    parked = update(recordings).where(recordings.c.sid == sid, recordings.c.state == CloudState.PARKED)
    return conn.execute(parked.values(failure=failure)).rowcount == 1


def set_state(conn: Connection, sid: RecordingSid, state: CloudState, at: datetime) -> bool:
    """Move to a state that we found ourselves, under the rule of `upsert`; returns whether that changed anything."""
    earlier = [known for known in CloudState if advance(known, state) is not known]
    moved = update(recordings).where(recordings.c.sid == sid, recordings.c.state.in_(earlier))
    return conn.execute(moved.values(state=state, updated_at=at, failure=None)).rowcount == 1


def discard(conn: Connection, sid: RecordingSid, why: str, at: datetime) -> None:
    """The recording was deleted at the carrier without a download: from now on the call has none."""
    gone = update(recordings).where(recordings.c.sid == sid)
    conn.execute(gone.values(state=CloudState.MISSING, carrier_status=why, updated_at=at))


def _order(conn: Connection, row: RecordingRow) -> None:
    if row.state in DISPATCHABLE:
        order_work(conn, row)


def _merge(known: RecordingRow, report: RecordingRow) -> RecordingRow:
    state = advance(known.state, report.state)
    first, second = (report, known) if state is report.state else (known, report)
    values = {name: _either(getattr(first, name), getattr(second, name)) for name in _REPORTED}
    merged = replace(
        known,
        state=state,
        paused=known.paused or report.paused,
        encrypted=known.encrypted or report.encrypted,
        **values,
    )
    return merged if merged == known else replace(merged, updated_at=report.updated_at)


def _either(first: Any, second: Any) -> Any:
    return second if first is None else first


def error_number(code: str | None) -> int | None:
    """The carrier's error code as a number, None for other text. Its codes have five digits."""
    return int(code) if code is not None and code.isdecimal() and len(code) < 10 else None


def state_event(call_id: CallId, sid: str, state: CloudState, error_code: int | None) -> LiveEvent:
    """The live event for a recording's new state."""
    return LiveEvent(
        call_id, EventKind.RECORDING, {"recording_sid": sid, "state": state, "error_code": error_code}
    )
