"""Explains a call's recording from its rows: one finding per line, with advice.

Reads rows only. The commands check the machine, the network and the settings (`cli/diagnose/checks.py`, `cli/diagnose/probes.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from callreel.domain.call import CallState
from callreel.domain.ids import CallId, LegSid
from callreel.domain.recording import CloudState, Layer, LayerFile, LayerState
from callreel.store.calls import calls, layers, recordings, streams
from callreel.store.calls.calls import CallRow
from callreel.store.calls.recordings import RecordingRow
from callreel.store.calls.streams import StreamRow


class Mark(StrEnum):
    """`BAD` needs action, `WARN` attention."""

    OK = "✓"
    WARN = "!"
    BAD = "✗"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was checked, the result, and advice (empty if none is needed)."""

    mark: Mark
    what: str
    found: str
    advice: str = ""

    @property
    def line(self) -> str:
        return f"{self.mark} {self.what}: {self.found}" + (f" → {self.advice}" if self.advice else "")


# reference/twilio.md, section 1.4: the carrier's codes with `absent`.
ABSENT = {
    16101: ("too short to keep", "nothing is wrong; calls of a second or two have no recording"),
    16102: (
        "silent, and the account deletes silent recordings",
        "check the agent's microphone, or turn the deletion off in the carrier's console",
    ),
}


def explain_call(conn: Connection, name: str) -> list[Finding]:
    """Findings about a call, by our id or by a leg's CallSid; empty if there is no such call."""
    row = calls.by_leg(conn, LegSid(name)) if name.startswith("CA") else calls.get(conn, CallId(name))
    if row is None:
        return []
    rows = recordings.of_call(conn, row.id)
    return [
        _call(row),
        *_live(row, streams.of_call(conn, row.id), layers.of_call(conn, row.id)),
        *(
            [finding for recording in rows for finding in explain_recording(recording)]
            or [_no_recording(row)]
        ),
    ]


def explain_recording(row: RecordingRow) -> list[Finding]:
    """The recording's state, and a warning about its channels."""
    return [_state(row), *_channels(row)]


def _call(row: CallRow) -> Finding:
    verdict = f", {row.verdict}" if row.verdict else ""
    reasons = "; ".join(reason.detail for reason in row.reasons)
    mark = Mark.WARN if reasons and row.verdict != "verified" else Mark.OK
    return Finding(
        mark,
        f"call {row.id}",
        f"{row.direction}, {row.state}{verdict}" + (f" ({reasons})" if reasons else ""),
    )


def _live(row: CallRow, rows: Sequence[StreamRow], files: Sequence[LayerFile]) -> list[Finding]:
    if not rows:
        return [
            Finding(
                Mark.BAD,
                "media stream",
                "none ever connected for this call",
                "the carrier must reach the media socket over wss: run callreel doctor, and see the carrier's debugger for error 31920",
            )
        ]
    found = [
        Finding(
            Mark.OK,
            "media stream",
            f"{len(rows)} connected, the last ended by {rows[-1].ended_by or 'nothing yet'}",
        )
    ]
    repaired = [
        file.path for file in files if file.state is LayerState.REPAIRED and file.layer is Layer.LIVE_8K
    ]
    if repaired:
        found.append(
            Finding(
                Mark.WARN,
                "live layers",
                f"{len(repaired)} were repaired after their process died",
                "they are playable up to that moment; the server's log says why it died",
            )
        )
    return found


def _state(row: RecordingRow) -> Finding:
    what = f"recording {row.sid}"
    match row.state:
        case CloudState.STORED:
            return Finding(Mark.OK, what, f"stored, {row.duration_s or 0} s")
        case CloudState.ABSENT:
            cause, advice = ABSENT.get(
                row.error_code or 0,
                ("missing", "look the error code up in the carrier's debugger; the live layers are kept"),
            )
            return Finding(
                Mark.BAD, what, f"absent: the carrier reports that it is {cause}{_code(row)}", advice
            )
        case CloudState.FAILED:
            advice = "if the account encrypts recordings, its public key must be set at the carrier; the live layers are kept"
            return Finding(Mark.BAD, what, f"the carrier failed to record{_code(row)}", advice)
        case CloudState.MISSING:
            advice = "check that CALLREEL_RECORD is on and the carrier's debugger for errors 13621 and 13622; the live layers are kept"
            return Finding(Mark.BAD, what, "no callback from the carrier, and it lists no recording", advice)
        case CloudState.PARKED:
            return Finding(
                Mark.BAD,
                what,
                f"it cannot be downloaded: {row.failure or 'no reason saved'}",
                _fetch_advice(row),
            )
        case CloudState.COMPLETED:
            last = f"; last: {row.failure}" if row.failure else ""
            advice = _fetch_advice(row) if row.failure else "wait; the operations page shows the attempts"
            return Finding(Mark.WARN, what, f"finished at the carrier, in processing{last}", advice)
        case CloudState.IN_PROGRESS:
            return Finding(
                Mark.WARN, what, "the carrier is recording, or its callback is outstanding", _NO_CALLBACK
            )
        case CloudState.EXPECTED:
            return Finding(Mark.WARN, what, "no callback from the carrier yet", _NO_CALLBACK)


_NO_CALLBACK = (
    "after the call the carrier requests /twilio/recording-status at CALLREEL_PUBLIC_URL; if that fails, Callreel lists"
    " the carrier's recordings after CALLREEL_RECORDING_GRACE_S"
)


def _no_recording(row: CallRow) -> Finding:
    if row.state is CallState.LIVE:
        return Finding(Mark.WARN, "recording", "no callback yet, the call is live", "wait for its end")
    return Finding(
        Mark.BAD,
        "recording",
        "no callback ever came",
        _NO_CALLBACK + "; with CALLREEL_RECORD=false there is none",
    )


def _fetch_advice(row: RecordingRow) -> str:
    error = row.failure or ""
    if "401" in error or "403" in error:
        return "check TWILIO_API_KEY_SID and TWILIO_API_KEY_SECRET (or TWILIO_AUTH_TOKEN): the carrier rejects them"
    if "404" in error:
        return "the carrier has no such file: it was deleted, or the account stores recordings externally"
    if "429" in error:
        return "the account's rate limit was exceeded; the download is retried later"
    return "see the reason; retry it on the operations page"


def _channels(row: RecordingRow) -> list[Finding]:
    if row.channels != 1:
        return []
    advice = (
        "set CALLREEL_RECORDING_CHANNELS=dual and CALLREEL_RECORDING_TRACK=both; some accounts' own settings"
        " (encryption, external storage) make recordings mono too"
    )
    return [Finding(Mark.WARN, "channels", "one, so it does not separate the parties", advice)]


def _code(row: RecordingRow) -> str:
    return f" (error {row.error_code})" if row.error_code else ""
