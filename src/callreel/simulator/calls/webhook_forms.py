"""The form fields of the carrier's requests, as it writes them: what `webhooks` reads, from the other end.

For the stand-in carrier and for `doctor`. Which field comes with which status: reference/twilio.md, sections 1.4
(recording), 3.3 (stream), 5.2 (voice request), 5.3 (`<Dial action>`), 5.4 (call progress).
"""

from collections.abc import Mapping
from datetime import datetime

from callreel.domain.ids import LegSid, RecordingSid, StreamSid
from callreel.twilio.timestamps import iso8601, rfc2822
from callreel.twilio.webhooks import TERMINAL

API_VERSION = "2010-04-01"


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
    """The request for TwiML. `from_` is `client:<identity>` for a browser's call, which brings its `parameters`.

    `Direction` is `inbound` for both: the carrier sees a leg come in. A parameter cannot hide a field of the carrier's.
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
    if application_sid is not None:
        form["ApplicationSid"] = application_sid
    return {**(parameters or {}), **form}


def call_status_form(
    *,
    leg_sid: LegSid,
    account_sid: str,
    status: str,
    sequence_number: int,
    timestamp: datetime,
    from_: str,
    to: str,
    parent_sid: LegSid | None = None,
    duration_s: int = 0,
    sip_code: int | None = None,
) -> dict[str, str]:
    """A leg's progress. `parent_sid` is given for a dialled leg. Durations come with a terminal status only."""
    form = {
        "AccountSid": account_sid,
        "ApiVersion": API_VERSION,
        "CallSid": leg_sid,
        "CallStatus": status,
        "CallbackSource": "call-progress-events",
        "Called": to,
        "Caller": from_,
        "Direction": "inbound" if parent_sid is None else "outbound-dial",
        "From": from_,
        "SequenceNumber": str(sequence_number),
        "Timestamp": rfc2822(timestamp),
        "To": to,
    }
    if parent_sid is not None:
        form["ParentCallSid"] = parent_sid
    if status in TERMINAL:
        form["CallDuration"] = str(duration_s)
        if sip_code is not None:
            form["SipResponseCode"] = str(sip_code)
    if status == "completed":
        form["Duration"] = str(-(-duration_s // 60))  # minutes begun
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
    """A stream's progress; `error` is for `stream-error`. A stream without a name goes by its id."""
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


def recording_status_form(
    *,
    recording_sid: RecordingSid,
    leg_sid: LegSid,
    account_sid: str,
    status: str,
    url: str,
    start_time: datetime,
    channels: int = 2,
    track: str = "both",
    source: str = "StartCallRecordingTwiML",
    duration_s: int = 0,
    error_code: int = 0,
) -> dict[str, str]:
    """A recording's progress. `url` is without an ending.

    `RecordingDuration` comes with `completed` only, `ErrorCode` with every status but `in-progress`.
    """
    form = {
        "AccountSid": account_sid,
        "CallSid": leg_sid,
        "RecordingSid": recording_sid,
        "RecordingUrl": url,
        "RecordingStatus": status,
        "RecordingChannels": str(channels),
        "RecordingStartTime": rfc2822(start_time),
        "RecordingSource": source,
        "RecordingTrack": track,
    }
    if status == "completed":
        form["RecordingDuration"] = str(duration_s)
    if status != "in-progress":
        form["ErrorCode"] = str(error_code)
    return form


def dial_action_fields(
    *, child_sid: LegSid | None, status: str, duration_s: int, bridged: bool
) -> dict[str, str]:
    """What `<Dial action>` gets beyond the fields of a voice request."""
    fields = {"DialCallStatus": status, "DialBridged": str(bridged).lower()}
    if child_sid is not None:
        fields |= {"DialCallSid": child_sid, "DialCallDuration": str(duration_s)}
    return fields
