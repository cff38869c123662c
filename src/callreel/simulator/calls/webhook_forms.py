"""Form fields of the carrier's webhooks, as the carrier sends them. `twilio/webhooks` parses them.

Which field comes with which status: reference/twilio.md, sections 1.4 (recording), 3.3 (stream), 5.2 (voice request),
5.3 (`<Dial action>`), 5.4 (call progress).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from callreel.domain.ids import LegSid, RecordingSid, StreamSid
from callreel.twilio.timestamps import iso8601, rfc2822
from callreel.twilio.webhooks import CLIENT, TERMINAL

API_VERSION = "2010-04-01"

_PLACES = {
    "+1": {"City": "SAN FRANCISCO", "Country": "US", "State": "CA", "Zip": "94103"},
    "+49": {"City": "", "Country": "DE", "State": "", "Zip": ""},
    "+": {"City": "", "Country": "GB", "State": "", "Zip": ""},
}
"""The carrier derives these fields from a number's prefix. A client or a withheld number has none."""


def voice_form(
    *,
    leg_sid: LegSid,
    account_sid: str,
    from_: str,
    to: str,
    status: str = "ringing",
    application_sid: str | None = None,
    parameters: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The request for TwiML. `from_` is `client:<identity>` for a browser's call, which adds its `parameters`.

    `Direction` is `inbound` in both cases: the carrier receives the leg. The carrier's fields override parameters. A call
    from a phone has a call token and the result of the caller ID check (STIR/SHAKEN), and each number its place.
    """
    form = {
        "AccountSid": account_sid,
        "ApiVersion": API_VERSION,
        "CallSid": leg_sid,
        "CallStatus": status,
        "Called": to,
        "Caller": from_,
        "Direction": "inbound",
        "From": from_,
        "To": to,
    }
    form |= _place_fields("From", from_) | _place_fields("Caller", from_)
    form |= _place_fields("To", to) | _place_fields("Called", to)
    if application_sid is not None:
        form["ApplicationSid"] = application_sid
    if not from_.startswith(CLIENT):
        form["CallToken"] = json.dumps(
            {"parentCallInfoToken": f"token-of-{leg_sid}", "identityHeaderTokens": []}
        )
        if from_.startswith("+1"):
            form["StirVerstat"] = "TN-Validation-Passed-A"
    return {**(parameters or {}), **form}


def _place_fields(party: str, number: str) -> dict[str, str]:
    place = next((fields for prefix, fields in _PLACES.items() if number.startswith(prefix)), {})
    return {f"{party}{name}": value for name, value in place.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class LegEvent:
    """Progress of a leg. `parent_sid` is set for a dialled leg."""

    leg_sid: LegSid
    account_sid: str
    status: str
    sequence_number: int
    timestamp: datetime
    from_: str
    to: str
    parent_sid: LegSid | None = None
    duration_s: int = 0
    sip_code: int | None = None


def call_status_form(leg: LegEvent) -> dict[str, str]:
    """The call status callback. Durations are sent with a terminal status only."""
    form = {
        "AccountSid": leg.account_sid,
        "ApiVersion": API_VERSION,
        "CallSid": leg.leg_sid,
        "CallStatus": leg.status,
        "CallbackSource": "call-progress-events",
        "Called": leg.to,
        "Caller": leg.from_,
        "Direction": "inbound" if leg.parent_sid is None else "outbound-dial",
        "From": leg.from_,
        "SequenceNumber": str(leg.sequence_number),
        "Timestamp": rfc2822(leg.timestamp),
        "To": leg.to,
    }
    if leg.parent_sid is not None:
        form["ParentCallSid"] = leg.parent_sid
    if leg.status in TERMINAL:
        form["CallDuration"] = str(leg.duration_s)
        if leg.sip_code is not None:
            form["SipResponseCode"] = str(leg.sip_code)
    if leg.status == "completed":
        form["Duration"] = str(-(-leg.duration_s // 60))  # started minutes
    return form


def stream_status_form(
    *,
    stream_sid: StreamSid,
    leg_sid: LegSid,
    account_sid: str,
    event: str,
    timestamp: datetime,
    name: str | None = None,
    error: str | None = None,
) -> dict[str, str]:
    """The stream status callback; `error` is for `stream-error`. Without a name the carrier sends the stream's sid."""
    form = {
        "AccountSid": account_sid,
        "CallSid": leg_sid,
        "StreamSid": stream_sid,
        "StreamName": name or stream_sid,
        "StreamEvent": event,
        "Timestamp": iso8601(timestamp),
    }
    if error is not None:
        form["StreamError"] = error
    return form


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingEvent:
    """Progress of a recording. `url` has no extension."""

    recording_sid: RecordingSid
    leg_sid: LegSid
    account_sid: str
    status: str
    url: str
    start_time: datetime
    channels: int = 2
    track: str = "both"
    source: str = "StartCallRecordingTwiML"
    duration_s: int = 0
    error_code: int = 0


def recording_status_form(recording: RecordingEvent) -> dict[str, str]:
    """The recording status callback.

    `RecordingDuration` is sent with `completed` only, `ErrorCode` with every status except `in-progress`.
    """
    form = {
        "AccountSid": recording.account_sid,
        "CallSid": recording.leg_sid,
        "RecordingSid": recording.recording_sid,
        "RecordingUrl": recording.url,
        "RecordingStatus": recording.status,
        "RecordingChannels": str(recording.channels),
        "RecordingStartTime": rfc2822(recording.start_time),
        "RecordingSource": recording.source,
        "RecordingTrack": recording.track,
    }
    if recording.status == "completed":
        form["RecordingDuration"] = str(recording.duration_s)
    if recording.status != "in-progress":
        form["ErrorCode"] = str(recording.error_code)
    return form


def dial_action_fields(
    *, child_sid: LegSid | None, status: str, duration_s: int, bridged: bool, recording_url: str | None = None
) -> dict[str, str]:
    """The fields that the `<Dial action>` request has in addition to those of a voice request."""
    fields = {"DialCallStatus": status, "DialBridged": str(bridged).lower()}
    if child_sid is not None:
        fields |= {"DialCallSid": child_sid, "DialCallDuration": str(duration_s)}
    if recording_url is not None:
        fields["RecordingUrl"] = recording_url
    return fields
