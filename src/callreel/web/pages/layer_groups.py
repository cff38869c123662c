"""The three recording layers of a call as its page shows them: a status light, a note and the files of each. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from callreel.domain.events import Json
from callreel.domain.recording import from_file
from callreel.review.summary import Summary
from callreel.web.pages.wording import CARRIER_ERRORS, CLOUD_STATES

_CLOUD_LIGHTS = {
    "expected": "waiting",
    "in_progress": "recording",
    "completed": "downloading",
    "stored": "done",
    "absent": "none",
    "failed": "failed",
    "parked": "failed",
    "missing": "failed",
}


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """One layer. `short` is its name where space is limited, `light` a key of `wording.LIGHTS`, `files` come from the call's summary."""

    key: str
    name: str
    short: str
    light: str
    note: str
    files: tuple[dict[str, Json], ...]


def layer_groups(call: Summary, *, with_errors: bool) -> tuple[LayerGroup, LayerGroup, LayerGroup]:
    """The three layers, from a call's summary. `with_errors`: why a download failed, for those who can do something about it."""
    files = [file for file in _list(call["layers"]) if isinstance(file, dict)]
    live = call["state"] == "live"
    of_8k = tuple(file for file in files if file["layer"] == "live_8k")
    of_16k = tuple(file for file in files if file["layer"] == "live_16k")
    of_cloud = tuple(file for file in files if file["layer"] in ("cloud", "cloud_channel"))
    recording = call["recording"] if isinstance(call["recording"], dict) else None
    lost_ms = call["disk_lost_ms"] if isinstance(call["disk_lost_ms"], int) else 0
    unrecorded = _unrecorded(call)
    absent = "An imported call has no live layers." if call["imported"] else ""
    lost = f" {lost_ms / 1000:.1f} s could not be written to disk and are silent." if lost_ms else ""
    return (
        LayerGroup(
            "live_8k",
            "Live, 8 kHz",
            "8 kHz",
            _live_light(of_8k, live, lost_ms),
            absent or f"As streamed by the carrier.{lost}",
            of_8k,
        ),
        LayerGroup(
            "live_16k",
            "Live, 16 kHz",
            "16 kHz",
            _live_light(of_16k, live, lost_ms),
            absent or f"The input for speech recognition.{lost}",
            of_16k,
        ),
        LayerGroup(
            "cloud",
            "Cloud",
            "Cloud",
            "none" if unrecorded else _cloud_light(recording, live),
            unrecorded
            or cloud_note(recording, live, imported=bool(call["imported"]), with_errors=with_errors),
            of_cloud,
        ),
    )


def _unrecorded(call: Summary) -> str:
    """Why there is no recording by the recording policy; empty if there is one, or should be."""
    consent = call["consent"]
    if call["layers"] or not isinstance(consent, dict) or consent["recording_expected"]:
        return ""
    return str(consent["text"])


def cloud_note(
    recording: dict[str, Json] | None, live: bool, *, imported: bool = False, with_errors: bool = True
) -> str:
    """The state of the carrier's recording, with the carrier's or our own reason if it is not stored here."""
    if imported and recording is not None and recording["state"] == "stored":
        source = "a file" if from_file(str(recording["sid"])) else "the carrier's account"
        return f"Imported from {source} and stored here."
    if recording is None:
        return CLOUD_STATES["expected"] if live else "The carrier has not reported a recording of this call."
    state, code = str(recording["state"]), recording["error_code"]
    note = CLOUD_STATES.get(state, f"State reported by the carrier: {state}.")
    if code not in (None, 0):
        known = CARRIER_ERRORS.get(str(code))
        note += f" Reason: {known} ({code})." if known else f" Error code: {code}."
    if with_errors and recording["last_error"] and state != "stored":
        note += f" The last attempt failed: {str(recording['last_error']).rstrip('.')}."
    return note


def main_audio(call: Summary) -> str | None:
    """The URL of the carrier's recording of both parties, if it is stored here."""
    candidates = (
        file for file in _list(call["layers"]) if isinstance(file, dict) and file["layer"] == "cloud"
    )
    return next((str(file["url"]) for file in candidates), None)


def player_audio(call: Summary) -> str | None:
    """What the plain player plays: the carrier's recording, or else the live recording of one party."""
    files = (file for file in _list(call["layers"]) if isinstance(file, dict))
    return main_audio(call) or next((str(file["url"]) for file in files), None)


def _live_light(files: Sequence[dict[str, Json]], live: bool, lost_ms: int) -> str:
    states = {file["state"] for file in files}
    if not states:
        return "waiting" if live else "none"
    if "recording" in states:
        return "recording"
    if live:
        return "paused"  # its stream was lost; a new one may continue the layer
    if lost_ms:
        return "failed"
    return "repaired" if "repaired" in states else "done"


def _cloud_light(recording: dict[str, Json] | None, live: bool) -> str:
    if recording is None:
        return "waiting" if live else "none"
    return _CLOUD_LIGHTS.get(str(recording["state"]), "waiting")


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
