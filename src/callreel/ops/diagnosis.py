"""Why a call's recording is not what it should be: from its rows to one line each, with what to do.

It changes nothing and asks nobody. What can be found out about the machine, the network and the settings is the
command's business (`cli/checks`, `cli/probes`).
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
    """`BAD` is something to mend, `WARN` something to know."""

    OK = "✓"
    WARN = "!"
    BAD = "✗"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, what was found, and what to do (empty when nothing)."""

    mark: Mark
    what: str
    found: str
    advice: str = ""

    @property
    def line(self) -> str:
        return f"{self.mark} {self.what}: {self.found}" + (f" → {self.advice}" if self.advice else "")


# reference/twilio.md, section 1.4: the carrier's codes with `absent`.
_ABSENT = {
    16101: ("too short to be kept", "nothing is wrong; calls of a second or two have no recording"),
    16102: (
        "silent, and the account deletes silent recordings",
        "check the agent's microphone, or turn the deletion off in the carrier's console",
    ),
}


def explain_call(conn: Connection, name: str) -> list[Finding]:
    """What is to be said of the call `name`, our id or the parent leg's CallSid; empty when there is no such call."""
    row = calls.by_leg(conn, LegSid(name)) if name.startswith("CA") else calls.get(conn, CallId(name))
    if row is None:
        return []
    heard = recordings.of_call(conn, row.id)
    return [
        _call(row),
        *_live(row, streams.of_call(conn, row.id), layers.of_call(conn, row.id)),
        *([finding for recording in heard for finding in explain_recording(recording)] or [_unheard(row)]),
    ]


def explain_recording(row: RecordingRow) -> list[Finding]:
    """Its state, and beside it what is odd about its channels."""
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


def _live(row: CallRow, heard: Sequence[StreamRow], files: Sequence[LayerFile]) -> list[Finding]:
    if not heard:
        return [
            Finding(
                Mark.BAD,
                "media stream",
                "none ever joined this call",
                "the carrier must reach the media socket over wss: run callreel doctor, and see the carrier's debugger for error 31920",
            )
        ]
    found = [
        Finding(
            Mark.OK,
            "media stream",
            f"{len(heard)} joined, the last ended by {heard[-1].ended_by or 'nothing yet'}",
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
                f"{len(repaired)} were closed after their process died",
                "they are playable up to that moment; see the server's log for why it died",
            )
        )
    return found


def _state(row: RecordingRow) -> Finding:
    what = f"recording {row.sid}"
    match row.state:
        case CloudState.STORED:
            return Finding(Mark.OK, what, f"stored, {row.duration_s or 0} s")
        case CloudState.ABSENT:
            why, advice = _ABSENT.get(
                row.error_code or 0,
                ("not there", "look the error code up in the carrier's debugger; the live layers are kept"),
            )
            return Finding(Mark.BAD, what, f"absent: the carrier says it was {why}{_code(row)}", advice)
        case CloudState.FAILED:
            advice = "if the account encrypts recordings, its public key must be set at the carrier; the live layers are kept"
            return Finding(Mark.BAD, what, f"the carrier failed to record{_code(row)}", advice)
        case CloudState.MISSING:
            advice = "check that CALLREEL_RECORD is on and the carrier's debugger for errors 13621 and 13622; the live layers are kept"
            return Finding(Mark.BAD, what, "no word from the carrier, and none on its list", advice)
        case CloudState.PARKED:
            return Finding(
                Mark.BAD,
                what,
                f"it cannot be fetched: {row.stage_error or 'no reason kept'}",
                _fetch_advice(row),
            )
        case CloudState.COMPLETED:
            now = (
                f"finished at the carrier, being fetched ({row.stage or 'not begun'}, attempt {row.attempts})"
            )
            last = f"; last: {row.stage_error}" if row.stage_error else ""
            return Finding(Mark.WARN, what, now + last, _fetch_advice(row) if row.stage_error else "wait")
        case CloudState.IN_PROGRESS:
            return Finding(
                Mark.WARN, what, "the carrier records, or has not yet told that it is done", _NO_CALLBACK
            )
        case CloudState.EXPECTED:
            return Finding(Mark.WARN, what, "no callback from the carrier yet", _NO_CALLBACK)


_NO_CALLBACK = (
    "after the call's end the carrier calls /twilio/recording-status at CALLREEL_PUBLIC_URL; if it cannot, Callreel asks"
    " the carrier itself after CALLREEL_RECORDING_GRACE_S"
)


def _unheard(row: CallRow) -> Finding:
    if row.state is CallState.LIVE:
        return Finding(Mark.WARN, "recording", "no callback yet, the call goes on", "wait for its end")
    return Finding(
        Mark.BAD, "recording", "no callback ever came", _NO_CALLBACK + "; CALLREEL_RECORD=false asks for none"
    )


def _fetch_advice(row: RecordingRow) -> str:
    error = row.stage_error or ""
    if "401" in error or "403" in error:
        return "check TWILIO_API_KEY_SID and TWILIO_API_KEY_SECRET (or TWILIO_AUTH_TOKEN): the carrier refuses them"
    if "404" in error:
        return "the carrier has no such file: deleted there, or kept in the account's own storage"
    if "429" in error:
        return "too many requests at once on this account; it is tried again later"
    return "see the reason; it is tried again when you ask for it on the call's page"


def _channels(row: RecordingRow) -> list[Finding]:
    if row.channels != 1:
        return []
    advice = (
        "set CALLREEL_RECORDING_CHANNELS=dual and CALLREEL_RECORDING_TRACK=both; some accounts' own settings"
        " (encryption, external storage) make recordings mono too"
    )
    return [Finding(Mark.WARN, "channels", "one, so parties cannot be told apart in it", advice)]


def _code(row: RecordingRow) -> str:
    return f" (error {row.error_code})" if row.error_code else ""
