"""A conference: which calls take part, what each of them receives, and the callbacks that report it.

It starts once two participants are present and one of them has `startConferenceOnEnter`, and ends with its last
participant, with one that has `endConferenceOnExit`, or over REST. Waiting and hold music is silence. Events and fields
are those of Twilio's documentation of `<Conference>`, without `ReasonParticipantLeft`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from callreel.audio.samples import FRAME_MS, TELEPHONE_HZ, Samples
from callreel.domain.call import Track
from callreel.simulator.calls.twiml_script import Callback, DialConference
from callreel.simulator.sound.live_sound import LEAD_MS
from callreel.twilio.timestamps import rfc2822

if TYPE_CHECKING:  # imports `state`, which imports this module
    from callreel.simulator.calls.context import CallContext

INIT = "init"
IN_PROGRESS = "in-progress"
COMPLETED = "completed"

_LEAST_PARTICIPANTS = 2
_FRAME = FRAME_MS * TELEPHONE_HZ // 1000
_SUBSCRIPTIONS = {
    "conference-start": "start",
    "conference-end": "end",
    "participant-join": "join",
    "participant-leave": "leave",
    "participant-mute": "mute",
    "participant-unmute": "mute",
    "participant-hold": "hold",
    "participant-unhold": "hold",
}


@dataclass(slots=True, eq=False)
class Participant:
    """A call in a conference. `offset_ms` is its call time minus the conference's, `joined_ms` conference time."""

    call: "CallContext"
    offset_ms: int
    joined_ms: int
    joined_at: datetime
    updated_at: datetime
    starts_on_enter: bool
    ends_on_exit: bool
    muted: bool
    hold: bool = False
    left: bool = False

    @property
    def sid(self) -> str:
        """That of its call."""
        return self.call.leg.sid

    @property
    def audible(self) -> bool:
        return not (self.muted or self.hold)


class Conference:
    """Its time is the call time of the call that opened it; all its calls run at the same speed."""

    def __init__(self, call: "CallContext", name: str) -> None:
        self.sid = call.services.sids.new("CF")
        self.name = name
        self.status = INIT
        self.participants: dict[str, Participant] = {}
        self.end_reason: str | None = None
        self.ending_call_sid: str | None = None
        self._account_sid = call.services.account.sid
        self._clock = call.clock
        self._callback: Callback | None = None
        self._reported = 0
        self.began_at = self.updated_at = self._now()

    async def run(self, call: "CallContext", order: DialConference) -> None:
        """Join the call, and return once it has left: removed, redirected, ended, or with the conference."""
        position_ms = call.clock.next_ms()
        participant = self._join(call, order, position_ms)
        try:
            while await call.wait_until(position_ms + FRAME_MS) and not participant.left:
                mixed = self._mix(participant, position_ms - participant.offset_ms)
                call.audio.write(Track.OUTBOUND, position_ms + LEAD_MS, mixed)
                position_ms += FRAME_MS
        finally:
            self.remove(participant)
        if not call.ended.is_set():
            call.audio.cut(Track.OUTBOUND, call.clock.next_ms())

    def update(self, participant: Participant, *, hold: bool, muted: bool, ends_on_exit: bool) -> None:
        """Change a participant, and report what has changed."""
        changes = []
        if hold != participant.hold:
            changes.append("participant-hold" if hold else "participant-unhold")
        if muted != participant.muted:
            changes.append("participant-mute" if muted else "participant-unmute")
        participant.hold, participant.muted, participant.ends_on_exit = hold, muted, ends_on_exit
        participant.updated_at = self._now()
        for event in changes:
            self._report(event, participant, _fields(participant))

    def remove(self, participant: Participant, *, kicked: bool = False) -> None:
        """The participant leaves; nothing if it has left already."""
        if participant.left:
            return
        participant.left = True
        del self.participants[participant.sid]
        self._report("participant-leave", participant, _fields(participant))
        how = "kicked" if kicked else "left"
        if participant.ends_on_exit:
            self._end(f"participant-with-end-conference-on-exit-{how}", participant)
        elif not self.participants:
            self._end(f"last-participant-{how}", participant)

    def end(self) -> None:
        """End the conference over REST; nothing if it has ended already."""
        if self.participants:
            self._end("conference-ended-via-api", next(iter(self.participants.values())), by_call=False)

    def _join(self, call: "CallContext", order: DialConference, position_ms: int) -> Participant:
        now, joined_ms = self._now(), self._clock.next_ms()
        participant = Participant(
            call=call,
            offset_ms=position_ms - joined_ms,
            joined_ms=joined_ms,
            joined_at=now,
            updated_at=now,
            starts_on_enter=order.starts_on_enter,
            ends_on_exit=order.ends_on_exit,
            muted=order.muted,
        )
        self.participants[participant.sid] = participant
        self._callback = self._callback or order.callback  # that of the first participant that has one
        self._report("participant-join", participant, _fields(participant))
        present = self.participants.values()
        if (
            self.status == INIT
            and len(present) >= _LEAST_PARTICIPANTS
            and any(each.starts_on_enter for each in present)
        ):
            self.status, self.updated_at = IN_PROGRESS, now
            self._report("conference-start", participant)
        return participant

    def _mix(self, listener: Participant, at_ms: int) -> Samples:
        """The sum of what the others say in the frame at `at_ms`, clipped; silence before the start and on hold."""
        total = np.zeros(_FRAME, np.int32)
        if self.status == IN_PROGRESS and not listener.hold:
            for other in self.participants.values():
                if other is not listener and other.audible and other.joined_ms <= at_ms:
                    from_ms = at_ms + other.offset_ms
                    total += other.call.audio.samples(Track.INBOUND, from_ms, from_ms + FRAME_MS)
        mixed: Samples = np.clip(total, -32768, 32767).astype(np.int16)
        return mixed

    def _end(self, reason: str, participant: Participant, *, by_call: bool = True) -> None:
        """End the conference, and remove who is left. The callback is delivered by the call of `participant`."""
        if self.status == COMPLETED:
            return
        self.status, self.updated_at, self.end_reason = COMPLETED, self._now(), reason
        self.ending_call_sid = participant.sid if by_call else None
        for other in list(self.participants.values()):
            self.remove(other)
        fields = {"ReasonConferenceEnded": reason}
        if self.ending_call_sid is not None:
            fields["CallSidEndingConference"] = self.ending_call_sid
        self._report("conference-end", participant, fields)

    def _report(self, event: str, participant: Participant, fields: dict[str, str] | None = None) -> None:
        """Callbacks are ordered within one call; `SequenceNumber` orders those of different calls."""
        callback = self._callback
        if callback is None or _SUBSCRIPTIONS[event] not in callback.events:
            return
        self._reported += 1
        form = {
            "AccountSid": self._account_sid,
            "ConferenceSid": self.sid,
            "FriendlyName": self.name,
            "SequenceNumber": str(self._reported),
            "StatusCallbackEvent": event,
            "Timestamp": rfc2822(self._now()),
        }
        participant.call.post("conference", callback, form | (fields or {}))

    def _now(self) -> datetime:
        return self._clock.moment(self._clock.now_ms())


def open_conference(call: "CallContext", name: str) -> Conference:
    """The conference of that name that has not ended, or a new one."""
    conferences = call.services.state.conferences
    for conference in conferences.values():
        if conference.name == name and conference.status != COMPLETED:
            return conference
    conference = Conference(call, name)
    conferences[conference.sid] = conference
    return conference


def _fields(participant: Participant) -> dict[str, str]:
    """What the events of a participant add."""
    flags = {
        "Coaching": False,
        "EndConferenceOnExit": participant.ends_on_exit,
        "Hold": participant.hold,
        "Muted": participant.muted,
        "StartConferenceOnEnter": participant.starts_on_enter,
    }
    return {"CallSid": participant.sid} | {name: str(value).lower() for name, value in flags.items()}
