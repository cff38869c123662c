"""What the start does about calls that a dead process left behind.

Their live layers are closed with the right length and marked, layer 2 is made again from layer 1 where it fell short,
their streams end, and their calls end, so that the stages judge them as they judge any other.
"""

import logging
import re
from pathlib import Path

import numpy as np

from callreel.audio.resample import upsample_all
from callreel.domain.call import CallState, Role
from callreel.domain.errors import AudioFileError
from callreel.domain.ids import CallId
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.domain.transcript import TranscriptKind
from callreel.services.announce import Announcer
from callreel.services.call_end import end_call
from callreel.services.clock import Clock
from callreel.services.lane import RATE_8K, RATE_16K
from callreel.services.layer_files import layer_event, layer_file
from callreel.services.live import keep_live_transcript
from callreel.services.wav_files import read_wav
from callreel.store import calls, facts, layers, streams, transcripts
from callreel.store.database import Database
from callreel.store.growing_wav import GrowingWav, repair
from callreel.store.streams import EndedBy

log = logging.getLogger(__name__)

LIVE_FOLDER = "audio_recordings"
_NAME = re.compile(
    rf"(?P<role>{'|'.join(Role)})_(?P<call_id>[0-9a-f]+)_[0-9TZ]+_(?P<rate_hz>{RATE_8K}|{RATE_16K})Hz\.wav"
)
"""Of a live layer's file (`services/live_calls`)."""


def recover(database: Database, announcer: Announcer, clock: Clock, data_dir: Path, engine: str) -> int:
    """Close what no living process owns; answers the number of calls. Blocking; before the server takes calls.

    On one machine that is every call which is still live in the rows: its sockets died with their process.
    """
    with database.read() as conn:
        growing = layers.growing(conn)
        live = [call.id for call in calls.in_state(conn, CallState.LIVE)]
        ended = [call.id for call in calls.in_state(conn, CallState.ENDED)]
        unheard = [
            call_id for call_id in ended if transcripts.latest(conn, call_id, TranscriptKind.LIVE) is None
        ]
        open_streams = streams.open_streams(conn)
    growing += _without_rows(database, data_dir)
    for call_id, layer in sorted(growing, key=lambda entry: entry[1].layer is Layer.LIVE_16K):
        _close_layer(database, announcer, clock, data_dir, call_id, layer)
    with database.write() as conn:
        for stream in open_streams:
            streams.finish(conn, stream.sid, clock.now(), EndedBy.SERVER, {})
    for call_id in live:
        end_call(database, announcer, call_id, clock.now())
    for call_id in live + unheard:
        # Segments that were not decoded are in the layers; the stages wait for this, not for them.
        keep_live_transcript(database, announcer, clock, call_id, engine)
    if live or growing:
        log.warning("%d calls were cut by the death of their process; their layers are closed", len(live))
    return len(live)


def _without_rows(database: Database, data_dir: Path) -> list[tuple[CallId, LayerFile]]:
    """Live layers whose process died between making the file and its row; their names say whose they are."""
    with database.read() as conn:
        known = {file.path for file in layers.everything(conn)}
        found: list[tuple[CallId, LayerFile]] = []
        for path in sorted((data_dir / LIVE_FOLDER).glob("*Hz.wav")):
            named = _NAME.fullmatch(path.name)
            key = f"{LIVE_FOLDER}/{path.name}"
            if named is None or key in known or calls.get(conn, CallId(named["call_id"])) is None:
                continue
            rate_hz = int(named["rate_hz"])
            layer = Layer.LIVE_8K if rate_hz == RATE_8K else Layer.LIVE_16K
            role, state = Role(named["role"]), LayerState.RECORDING
            found.append(
                (CallId(named["call_id"]), LayerFile(layer, role, key, rate_hz, 1, 0, 0, None, state))
            )
    return found


def _close_layer(
    database: Database, announcer: Announcer, clock: Clock, data_dir: Path, call_id: CallId, layer: LayerFile
) -> None:
    path = data_dir / layer.path
    lost = _repaired(path, layer)
    if lost is not None:
        with database.write() as conn:
            layers.delete(conn, layer.path)
            facts.note(conn, lost, {"path": layer.path}, clock.now(), call_id)
        log.error("a live layer cannot be closed: %s", lost, extra={"call_id": call_id, "path": layer.path})
        return
    file = layer_file(layer.layer, layer.role, path, layer.rate_hz, LayerState.REPAIRED, data_dir)
    with database.write() as conn:
        layers.upsert(conn, call_id, file)
        event = announcer.record(conn, layer_event(call_id, file))
    announcer.tell(event)


def _repaired(path: Path, layer: LayerFile) -> str | None:
    """Give the file its right length; what fact stands in the way, if one does. A damaged file is left as it is."""
    if not path.exists():
        return "layer_missing"
    try:
        repair(path)
    except AudioFileError:
        return "layer_damaged"
    path_8k = path.with_name(path.name.replace(f"_{RATE_16K}Hz", f"_{RATE_8K}Hz"))
    if layer.layer is Layer.LIVE_16K and path_8k.exists():
        _complete_16k(path, path_8k)
    return None


def _complete_16k(path: Path, path_8k: Path) -> None:
    """Append what the resampler still held when its process died, from layer 1, which is ahead of layer 2."""
    try:
        samples8k, _ = read_wav(path_8k)
    except AudioFileError:
        return
    made = upsample_all(np.ascontiguousarray(samples8k[:, 0]))
    growing = GrowingWav.open(path, RATE_16K)
    try:
        growing.append(made[growing.samples :])
    finally:
        growing.close()
