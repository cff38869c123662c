"""Recordings as the REST API shows, filters and changes them. No HTTP here: `rest_recordings` asks."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from callreel.domain.ids import LegSid, RecordingSid
from callreel.simulator.calls.cloud_recording import CloudRecording
from callreel.simulator.rest.resources import recording_json
from callreel.simulator.state import LiveCall
from callreel.twilio.rest_resources import RecordingResource

CURRENT = "Twilio.CURRENT"
PRICE_A_MINUTE = 0.0025

_UNFINISHED = frozenset({"in-progress", "paused", "stopped", "processing"})


def shown(recording: CloudRecording, account_sid: str, api_url: str, *, fine: bool = False) -> dict[str, Any]:
    """The account-level JSON. Unless `fine`, all states of an unfinished recording read `processing` (section 6.2)."""
    finished = recording.status not in _UNFINISHED
    completed = recording.status == "completed"
    media_url = f"{api_url}/2010-04-01/Accounts/{account_sid}/Recordings/{recording.sid}"
    resource = RecordingResource(
        sid=RecordingSid(recording.sid),
        leg_sid=LegSid(recording.call_sid),
        status=recording.status if finished or fine else "processing",
        duration_s=round(recording.duration_ms / 1000) if completed else None,
        channels=recording.channels,
        source=recording.source,
        error_code=None if recording.error_code is None else str(recording.error_code),
        price=-PRICE_A_MINUTE * math.ceil(recording.duration_ms / 60000) if completed else None,
        price_unit="USD" if completed else None,
        start_time=recording.began_at,
        media_url=media_url,
    )
    updated = recording.updated_at or recording.began_at
    return recording_json(resource, account_sid, created=recording.began_at, updated=updated)


def call_level(
    recording: CloudRecording, account_sid: str, api_url: str, *, fine: bool = False
) -> dict[str, Any]:
    """The JSON of the same recording below its call."""
    body = shown(recording, account_sid, api_url, fine=fine)
    del body["subresource_uris"], body["media_url"]
    call = f"/2010-04-01/Accounts/{account_sid}/Calls/{recording.call_sid}"
    return body | {"track": recording.track, "uri": f"{call}/Recordings/{recording.sid}.json"}


def filtered(recordings: Iterable[CloudRecording], query: Mapping[str, str]) -> list[CloudRecording]:
    """Those that the list's filters leave. Dates are days in GMT; unknown filters are ignored, as the carrier does."""
    soft = query.get("IncludeSoftDeleted", "").lower() == "true"
    call_sid = query.get("CallSid")
    day, until, since = (_day(query.get(f"DateCreated{sign}")) for sign in ("", "<", ">"))
    return [
        recording
        for recording in recordings
        if (soft or recording.status != "deleted")
        and call_sid in (None, recording.call_sid)
        and (day is None or recording.began_at.date() == day)
        and (until is None or recording.began_at.date() <= until)
        and (since is None or recording.began_at.date() >= since)
    ]


def single(recordings: Sequence[CloudRecording]) -> CloudRecording | None:
    """The one that runs: what `Twilio.CURRENT` means. None when there is none, or more than one."""
    running = [recording for recording in recordings if not recording.ended]
    return running[0] if len(running) == 1 else None


def update(call: LiveCall, recording: CloudRecording, status: str, behaviour: str) -> bool:
    """Pause, resume or stop it; False for another status."""
    match status:
        case "paused":
            call.pause_recording(recording, skip=behaviour == "skip")
        case "in-progress":
            call.resume_recording(recording)
        case "stopped":
            call.stop_recording(recording)
        case _:
            return False
    return True


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:
        return None
