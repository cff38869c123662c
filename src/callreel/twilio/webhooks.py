"""Parses the form fields of the carrier's webhooks. `simulator/calls/webhook_forms` writes the same fields.

`signature` validates the signatures. Statuses and sources keep the carrier's values, since it sends some that its own
documentation lacks; `cloud_state` interprets the known ones. Field names: reference/twilio.md, sections 1.4
(recording), 3.3 (stream), 5.2 (voice request), 5.4 (call progress).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from callreel.domain.call import Direction
from callreel.domain.errors import CallreelError
from callreel.domain.ids import LegSid, RecordingSid, StreamSid
from callreel.domain.recording import CloudState
from callreel.twilio.timestamps import read_moment

CLIENT = "client:"
"""The prefix of `From` for a browser's leg, and of `To` for a leg to a browser."""

TERMINAL = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
"""Final statuses of a leg."""

SID = re.compile(r"[A-Z]{2}[0-9A-Za-z]{1,64}")
"""An id of the carrier. It has 32 hex digits, but only safety in file names and URLs matters here."""

_CLOUD_STATES = {
    "in-progress": CloudState.IN_PROGRESS,
    "paused": CloudState.IN_PROGRESS,
    "stopped": CloudState.IN_PROGRESS,
    "processing": CloudState.IN_PROGRESS,
    "completed": CloudState.COMPLETED,
    "absent": CloudState.ABSENT,
    "failed": CloudState.FAILED,
}

# All documented fields of a voice request; any other field is from the browser's `Device.connect`.
_VOICE_FIELDS = frozenset(
    "AccountSid ApiVersion ApplicationSid CallSid CallStatus CallToken CallerId CallerName ConfirmRejected Digits Direction "
    "FinishedOnKey ForwardedFrom ParentCallSid SipResponseCode StirPassportToken StirStatus StirVerstat "
    "Called CalledCity CalledCountry CalledState CalledVia CalledZip Caller CallerCity CallerCountry CallerState CallerZip "
    "From FromCity FromCountry FromState FromZip To ToCity ToCountry ToState ToZip".split()
)


class WebhookError(CallreelError):
    """A required field of a callback is missing or invalid."""


@dataclass(frozen=True, slots=True)
class VoiceRequest:
    """The carrier's request for TwiML. The leg is the parent leg.

    `from_` is set by the carrier and can be trusted; `to` and `parameters` are from the browser's page. `agent_identity` is
    the identity of a calling browser, None on an incoming call. `parameters` has all fields that are not the carrier's.
    """

    leg_sid: LegSid
    account_sid: str
    from_: str
    to: str
    direction: Direction
    agent_identity: str | None
    status: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallProgress:
    """Progress of a leg. `sequence_number` counts from 0 within a leg, but callbacks arrive in any order."""

    leg_sid: LegSid
    account_sid: str
    parent_sid: LegSid | None
    status: str
    sequence_number: int | None
    duration_s: int | None
    timestamp: datetime | None
    sip_code: int | None

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def key(self) -> str:
        """Equal for repeated callbacks only."""
        return f"{self.leg_sid}:{self.status}:{_shown(self.sequence_number)}"


@dataclass(frozen=True, slots=True)
class StreamProgress:
    """`event` is `stream-started`, `stream-stopped`, `stream-error`, or unknown. `error` is the text of an error."""

    stream_sid: StreamSid
    leg_sid: LegSid
    account_sid: str
    name: str | None
    event: str
    error: str | None
    timestamp: datetime | None

    @property
    def key(self) -> str:
        return f"{self.stream_sid}:{self.event}"


@dataclass(frozen=True, slots=True)
class RecordingProgress:
    """Progress of the cloud recording. The leg is always the parent leg.

    `cloud_state` is None for an unknown status. `duration_s` is in whole seconds and present with `completed` only.
    `error_code` is None if the carrier sends none or `0`; 16101 is too short, 16102 silent.
    """

    sid: RecordingSid
    leg_sid: LegSid
    account_sid: str
    status: str
    cloud_state: CloudState | None
    url: str | None
    duration_s: int | None
    channels: int | None
    start_time: datetime | None
    source: str | None
    track: str | None
    error_code: str | None
    encrypted: bool = False
    """Whether it is encrypted with a key of the account's owner (reference/twilio.md, section 6.6)."""

    @property
    def key(self) -> str:
        return f"{self.sid}:{self.status}"

    @property
    def log_fields(self) -> dict[str, object]:
        """What a person looks for in the log after a call, without numbers."""
        found = {
            "leg_sid": self.leg_sid,
            "recording_sid": self.sid,
            "status": self.status,
            "duration_s": self.duration_s,
            "channels": self.channels,
            "track": self.track,
            "url": self.url,
            "error_code": self.error_code,
        }
        return {name: value for name, value in found.items() if value is not None}


def cloud_state(status: str) -> CloudState | None:
    """The state for a recording's status, in callbacks and in REST; None if unknown."""
    return _CLOUD_STATES.get(status)


def parse_voice(form: Mapping[str, str]) -> VoiceRequest:
    """Parse a TwiML request. Raises WebhookError without a valid CallSid and AccountSid.

    `From` may be empty: the caller withheld the number.
    """
    from_ = form.get("From", "")
    outgoing = from_.startswith(CLIENT)
    return VoiceRequest(
        leg_sid=LegSid(_sid(form, "CallSid")),
        account_sid=_sid(form, "AccountSid"),
        from_=from_,
        to=form.get("To", ""),
        direction=Direction.OUTGOING if outgoing else Direction.INCOMING,
        agent_identity=from_.removeprefix(CLIENT) if outgoing else None,
        status=form.get("CallStatus", ""),
        parameters={name: value for name, value in form.items() if name not in _VOICE_FIELDS},
    )


def leg_of(form: Mapping[str, str]) -> LegSid:
    """The leg that a request for TwiML comes from. Raises WebhookError without a valid CallSid."""
    return LegSid(_sid(form, "CallSid"))


def parse_call_status(form: Mapping[str, str]) -> CallProgress:
    """Parse a progress callback of a leg. Raises WebhookError without CallSid, AccountSid or CallStatus."""
    return CallProgress(
        leg_sid=LegSid(_sid(form, "CallSid")),
        account_sid=_sid(form, "AccountSid"),
        parent_sid=LegSid(_sid(form, "ParentCallSid")) if form.get("ParentCallSid") else None,
        status=_needed(form, "CallStatus"),
        sequence_number=_number(form, "SequenceNumber"),
        duration_s=_number(form, "CallDuration"),  # `Duration` is in minutes (section 5.4)
        timestamp=read_moment(form.get("Timestamp")),
        sip_code=_number(form, "SipResponseCode"),
    )


def parse_stream_status(form: Mapping[str, str]) -> StreamProgress:
    """Parse a stream's callback. Raises WebhookError without StreamSid, CallSid, AccountSid or StreamEvent."""
    return StreamProgress(
        stream_sid=StreamSid(_sid(form, "StreamSid")),
        leg_sid=LegSid(_sid(form, "CallSid")),
        account_sid=_sid(form, "AccountSid"),
        name=form.get("StreamName") or None,
        event=_needed(form, "StreamEvent"),
        error=form.get("StreamError") or None,
        timestamp=read_moment(form.get("Timestamp")),
    )


def parse_recording_status(form: Mapping[str, str]) -> RecordingProgress:
    """Parse a recording's callback. Raises WebhookError without RecordingSid, CallSid, AccountSid or RecordingStatus."""
    status = _needed(form, "RecordingStatus")
    error_code = form.get("ErrorCode")
    return RecordingProgress(
        sid=RecordingSid(_sid(form, "RecordingSid")),
        leg_sid=LegSid(_sid(form, "CallSid")),
        account_sid=_sid(form, "AccountSid"),
        status=status,
        cloud_state=cloud_state(status),
        url=form.get("RecordingUrl") or None,
        duration_s=_number(form, "RecordingDuration"),
        channels=_number(form, "RecordingChannels"),
        start_time=read_moment(form.get("RecordingStartTime")),
        source=form.get("RecordingSource") or None,
        track=form.get("RecordingTrack") or None,
        error_code=None if error_code in (None, "", "0") else error_code,
        encrypted=bool(form.get("EncryptionDetails")),
    )


def _needed(form: Mapping[str, str], name: str) -> str:
    value = form.get(name)
    if not value:
        raise WebhookError(f"the carrier's request has no {name}")
    return value


def _sid(form: Mapping[str, str], name: str) -> str:
    value = _needed(form, name)
    if not SID.fullmatch(value):
        raise WebhookError(f"expected an id of the carrier in {name} (two capitals, then letters and digits)")
    return value


def _number(form: Mapping[str, str], name: str) -> int | None:
    """A number, or None if missing or invalid, since that is not a reason to reject a callback."""
    value = form.get(name, "")
    return int(value) if value.isdecimal() and len(value) <= 9 else None


def _shown(number: int | None) -> str:
    return "" if number is None else str(number)
