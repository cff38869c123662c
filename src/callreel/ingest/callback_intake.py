"""Taking in the carrier's status callbacks: each in one transaction, repeats without effect, in any order.

A callback says only what the carrier knows. The work after it (download, comparison) is started from the rows by
`postcall/workflows`, so that the response never waits for it and a crash in between loses nothing.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial

from sqlalchemy import Connection

from callreel.cluster.group_commit import Written
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.pause import CarrierPause
from callreel.domain.recording import CloudState
from callreel.ingest.call_ownership import STREAM_STOPPED
from callreel.runtime.clock import Clock
from callreel.store.calls import callbacks, calls, consents, facts, legs, pauses, recordings
from callreel.store.calls.legs import LegRow
from callreel.twilio.webhooks import CallProgress, RecordingProgress, StreamProgress

log = logging.getLogger(__name__)

Form = Mapping[str, str]


class CallbackIntake:
    """Handles the three status routes. Each method writes within the caller's transaction (`cluster/group_commit`)."""

    def __init__(
        self,
        clock: Clock,
        *,
        recording_changed: Callable[[], None],
        leg_ended: Callable[[CallId], None],
        stream_ended: Callable[[str], None],
    ) -> None:
        """`recording_changed` wakes the dispatcher; the other two report to the capture side of all processes."""
        self._clock = clock
        self._recording_changed = recording_changed
        self._leg_ended = leg_ended
        self._stream_ended = stream_ended

    def recording(self, conn: Connection, progress: RecordingProgress, form: Form) -> Written:
        """`in-progress`, `completed`, `absent`, `failed`, and any other status."""
        now, leg_sid = self._clock.now(), progress.leg_sid
        if not callbacks.insert(conn, "recording", progress.key, form, now):
            return Written()
        call = calls.by_leg(conn, leg_sid)
        if call is None:
            facts.note(conn, "recording_of_unknown_call", dict(form), now, leg_sid=leg_sid)
            warn = partial(log.warning, "recording callback of an unknown call", extra={"leg_sid": leg_sid})
            return Written(after_commit=(warn,))
        if progress.cloud_state is None:
            facts.note(conn, "unknown_recording_status", dict(form), now, call.id, leg_sid)
            return Written()
        consents.reopen_erasure(conn, call.id)
        row, changed = recordings.upsert(conn, recordings.reported(progress, call, now))
        if not changed:
            return Written()
        events = [recordings.state_event(call.id, row.sid, row.state, row.error_code)]
        if row.state is CloudState.IN_PROGRESS and (pause := pauses.open_one(conn, call.id)) is not None:
            away = {"carrier": CarrierPause.AWAY, "carrier_error": "a recording began during the pause"}
            if (unpaused := pauses.change(conn, pause.id, carrier_at=now, **away)) is not None:
                events.append(unpaused.event)  # `PauseControl.sweep` requests the pause of the new recording
        return Written(tuple(events), (self._recording_changed,))

    def stream(self, conn: Connection, progress: StreamProgress, form: Form) -> Written:
        """`stream-started`, `stream-stopped`, `stream-error`. A stop also ends a socket that stays open."""
        now = self._clock.now()
        if not callbacks.insert(conn, "stream", f"{progress.stream_sid}:{progress.event}", form, now):
            return Written()
        follow_ups: list[Callable[[], None]] = []
        if progress.error:
            call = calls.by_leg(conn, progress.leg_sid)
            call_id = call.id if call else None
            facts.note(conn, "stream_error", {"error": progress.error}, now, call_id, progress.leg_sid)
            fields = {"call_id": call_id, "leg_sid": progress.leg_sid}
            follow_ups.append(partial(log.warning, "carrier reported a stream error", extra=fields))
        if progress.event == STREAM_STOPPED:
            follow_ups.append(partial(self._stream_ended, progress.stream_sid))
        return Written(after_commit=tuple(follow_ups))

    def call(self, conn: Connection, progress: CallProgress, form: Form) -> Written:
        """Progress of a leg: the parent, or the dialled child, whose call is found by its parent."""
        now = self._clock.now()
        if not callbacks.insert(conn, "call", progress.key, form, now):
            return Written()
        known = calls.by_leg(conn, progress.parent_sid or progress.leg_sid)
        if known is None:
            facts.note(conn, "status_of_unknown_call", dict(form), now, leg_sid=progress.leg_sid)
            return Written()
        is_child = progress.leg_sid != known.leg_sid
        role = known.inbound_role.other if is_child else known.inbound_role
        in_progress = progress.status == "in-progress"
        legs.upsert(
            conn,
            LegRow(
                sid=progress.leg_sid,
                call_id=known.id,
                parent_sid=known.leg_sid if is_child else None,
                role=role,
                status=progress.status,
                started_at=now if in_progress else None,
                ended_at=now if progress.terminal else None,
                duration_s=progress.duration_s,
            ),
        )
        follow_ups: list[Callable[[], None]] = []
        answered = is_child and in_progress and calls.set_answered(conn, known.id, now)
        if answered:
            fields = {"call_id": known.id, "leg_sid": progress.leg_sid}
            follow_ups.append(partial(log.info, "call answered", extra=fields))
        if progress.terminal and not is_child:
            follow_ups.append(partial(self._leg_ended, known.id))
        event = LiveEvent(
            known.id, EventKind.CALL, {"leg": role, "status": progress.status, "answered": answered}
        )
        return Written((event,), tuple(follow_ups))
