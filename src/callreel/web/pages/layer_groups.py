"""The three layers as the call page groups them: a light, a note and the files of each. Pure.

Rows say what files there are and what the carrier told; people see three layers, each waiting, recording, kept or gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from callreel.domain.events import Json
from callreel.review.summary import Summary
from callreel.web.pages.wording import CARRIER_ERRORS, CLOUD_STATES

_CLOUD_LIGHTS = {
    "expected": "waiting",
    "in_progress": "recording",
    "completed": "fetching",
    "stored": "done",
    "absent": "none",
    "failed": "failed",
    "parked": "failed",
    "missing": "failed",
}


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """One layer as shown, `short` where there is little room. `light` is a key of `wording.LIGHTS`; `files` are layers of the call's summary."""

    key: str
    name: str
    short: str
    light: str
    note: str
    files: tuple[dict[str, Json], ...]


def layer_groups(call: Summary) -> tuple[LayerGroup, LayerGroup, LayerGroup]:
    """The three layers of a call's summary."""
    files = [file for file in _list(call["layers"]) if isinstance(file, dict)]
    live = call["state"] == "live"
    of_8k = tuple(file for file in files if file["layer"] == "live_8k")
    of_16k = tuple(file for file in files if file["layer"] == "live_16k")
    of_cloud = tuple(file for file in files if file["layer"] in ("cloud", "cloud_channel"))
    recording = call["recording"] if isinstance(call["recording"], dict) else None
    lost_ms = call["disk_lost_ms"] if isinstance(call["disk_lost_ms"], int) else 0
    lost = f" The disk did not take all of it: {lost_ms / 1000:.1f} s are silence instead." if lost_ms else ""
    return (
        LayerGroup(
            "live_8k",
            "Live, 8 kHz",
            "8 kHz",
            _live_light(of_8k, live, lost_ms),
            f"As the carrier sent it.{lost}",
            of_8k,
        ),
        LayerGroup(
            "live_16k",
            "Live, 16 kHz",
            "16 kHz",
            _live_light(of_16k, live, lost_ms),
            f"What the engine hears.{lost}",
            of_16k,
        ),
        LayerGroup(
            "cloud", "Cloud", "Cloud", _cloud_light(recording, live), cloud_note(recording, live), of_cloud
        ),
    )


def cloud_note(recording: dict[str, Json] | None, live: bool) -> str:
    """What became of the carrier's recording, with the carrier's or our own reason where it is not here."""
    if recording is None:
        return CLOUD_STATES["expected"] if live else "The carrier has not reported a recording of this call."
    state, code = str(recording["state"]), recording["error_code"]
    note = CLOUD_STATES.get(state, f"The carrier says: {state}.")
    if code not in (None, 0):
        known = CARRIER_ERRORS.get(str(code))
        note += f" Its reason: {known} ({code})." if known else f" Its reason has the code {code}."
    if recording["stage_error"] and state != "stored":
        note += f" The last attempt failed: {recording['stage_error']}"
    return note


def main_audio(call: Summary) -> str | None:
    """What the times in the transcript play: the carrier's file of both parties, if it is here."""
    both = (file for file in _list(call["layers"]) if isinstance(file, dict) and file["layer"] == "cloud")
    return next((str(file["url"]) for file in both), None)


def player_audio(call: Summary) -> str | None:
    """What a player without script plays: the carrier's file, or one party's live one where there is none."""
    files = (file for file in _list(call["layers"]) if isinstance(file, dict))
    return main_audio(call) or next((str(file["url"]) for file in files), None)


def _live_light(files: Sequence[dict[str, Json]], live: bool, lost_ms: int) -> str:
    states = {file["state"] for file in files}
    if not states:
        return "waiting" if live else "none"
    if "recording" in states:
        return "recording"
    if live:
        return "paused"  # its stream was cut; another may continue it
    if lost_ms:
        return "failed"
    return "repaired" if "repaired" in states else "done"


def _cloud_light(recording: dict[str, Json] | None, live: bool) -> str:
    if recording is None:
        return "waiting" if live else "none"
    return _CLOUD_LIGHTS.get(str(recording["state"]), "waiting")


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
