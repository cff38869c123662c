"""Audits a run of `chaos`: compares rows and files of every call with what the carrier sent and recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, func, select

from callreel.audio import mulaw
from callreel.domain.call import CallState, Role, Track
from callreel.domain.errors import AudioFileError, StoreError
from callreel.domain.events import EventKind
from callreel.domain.ids import LegSid
from callreel.domain.pause import PauseEnd
from callreel.domain.recording import CloudState, Layer, LayerFile, LayerState
from callreel.domain.transcript import TranscriptKind
from callreel.simulator.scenario import CallOutcome, RecordingOutcome
from callreel.store.calls import calls, layers, outbox, pauses, recordings
from callreel.store.calls.calls import CallRow
from callreel.store.calls.pauses import PauseRow
from callreel.store.db.database import Database
from callreel.store.db.tables import live_events, transcripts
from callreel.store.encryption.keyring import Keyring
from callreel.store.encryption.master_keys import MasterKeys
from callreel.store.encryption.sealed_file import FileKeys
from callreel.store.files.blobs import BlobStore
from callreel.store.files.sound_files import SoundFile
from callreel.store.files.stored_file import open_stored

TRACKS = {Role.AGENT: Track.INBOUND, Role.TECHNICIAN: Track.OUTBOUND}
"""Of an outgoing call (reference/twilio.md)."""


@dataclass(slots=True)
class Findings:
    """One line each. `audio_lost_ms`: for each lane of a live stream, what layer 1 lacks of what was received."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unplayable: list[str] = field(default_factory=list)
    audio_lost_ms: list[int] = field(default_factory=list)


def playable(path: Path, keys: FileKeys | None = None) -> bool:
    """Whether a player would play it now."""
    try:
        read_samples(path, keys)
    except (AudioFileError, StoreError):
        return False
    return True


def read_samples(path: Path, keys: FileKeys | None) -> npt.NDArray[np.int16]:
    """All samples of a file, [n] if it has one channel, else [n, channels]."""
    with SoundFile(open_stored(path, keys, complete=False), path.name) as sound:
        samples = sound.read(0, sound.samples)
    return samples[:, 0] if samples.shape[1] == 1 else samples


def keyring_of(database: Database, master: str | None) -> Keyring | None:
    """The keys of an installation that was encrypted with this master key, which also decrypt its rows from now on."""
    if master is None:
        return None
    keyring = Keyring(database, MasterKeys(lambda: master))
    keyring.load()
    database.use_cipher(keyring.text_cipher())
    return keyring


def audit(
    data_dir: Path,
    database_url: str,
    outcomes: Sequence[CallOutcome],
    received_ms: Mapping[str, int],
    master: str | None = None,
) -> Findings:
    """Hold what is kept against `outcomes`, the calls that the carrier connected. The server is down.

    `received_ms`: what servers that were killed had received of their streams, by the stream's SID.
    """
    found = Findings()
    database = Database.open(database_url)
    try:
        blobs = BlobStore(data_dir, keys=keyring_of(database, master))
        with database.read() as conn:
            for outcome in outcomes:
                _call(conn, blobs, outcome, received_ms, found)
            known = {file.path for _, file in _all_files(conn)}
    finally:
        database.close()
    for path in sorted(data_dir.glob("*_recordings/*")):
        key = str(path.relative_to(data_dir))
        if path.suffix == ".part":
            found.doubled.append(f"{key}: left over")
        elif key not in known:
            found.doubled.append(f"{key}: no row knows it")
    return found


def _all_files(conn: Connection) -> list[tuple[str, LayerFile]]:
    return [
        (row.id, file)
        for row in calls.since(conn, datetime.min.replace(tzinfo=UTC))
        for file in layers.of_call(conn, row.id)
    ]


def _call(
    conn: Connection, blobs: BlobStore, outcome: CallOutcome, received_ms: Mapping[str, int], found: Findings
) -> None:
    row = calls.by_leg(conn, LegSid(outcome.call_sid))
    if row is None:
        found.lost.append(f"{outcome.call_sid}: unknown here")
        return
    files = layers.of_call(conn, row.id)
    if row.state is not CallState.CLOSED or row.verdict is None:
        found.lost.append(f"{outcome.call_sid}: {row.state}, verdict {row.verdict}: {_stages(conn, row)}")
    for file in files:
        _file(blobs, file, found)
    for recording in outcome.recordings:
        start_ms = outcome.streams[0].start_ms if outcome.streams else None
        _recording(conn, blobs, row, recording, files, start_ms, found)
    _transcripts(conn, row, found)
    for role in Role:
        _live(blobs, role, outcome, files, pauses.of_call(conn, row.id), received_ms, found)


def _file(blobs: BlobStore, file: LayerFile, found: Findings) -> None:
    path = blobs.path(file.path)
    if not path.exists():
        found.lost.append(f"{file.path}: a row without its file")
    elif not playable(path, blobs.keys):
        found.unplayable.append(f"{file.path}: not playable")
    elif file.state is LayerState.RECORDING or file.sha256 != blobs.digest(file.path):
        found.unplayable.append(f"{file.path}: {file.state}, and its digest is not the row's")


def _recording(
    conn: Connection,
    blobs: BlobStore,
    row: CallRow,
    outcome: RecordingOutcome,
    files: list[LayerFile],
    stream_start_ms: int | None,
    found: Findings,
) -> None:
    stored = [r for r in recordings.of_call(conn, row.id) if r.state is CloudState.STORED]
    whole = [file for file in files if file.layer is Layer.CLOUD]
    if outcome.samples is None:
        return
    if [r.sid for r in stored] != [outcome.sid] or not whole:
        found.lost.append(
            f"{row.leg_sid}: recording {outcome.sid} ({outcome.status}) is not kept: {_stages(conn, row)}"
        )
        return
    if len(whole) > 1 or sum(file.layer is Layer.CLOUD_CHANNEL for file in files) != 2:
        found.doubled.append(f"{row.leg_sid}: {[file.path for file in files]}")
    kept = read_samples(blobs.path(whole[0].path), blobs.keys)
    started_ms = stream_start_ms - outcome.start_ms if stream_start_ms is not None else None
    if (why := _beyond_pauses(kept, outcome.samples, pauses.of_call(conn, row.id), started_ms)) is not None:
        found.lost.append(f"{row.leg_sid}: the kept recording {why}")


def _beyond_pauses(
    kept: np.ndarray, sent: np.ndarray, paused: Sequence[PauseRow], start_ms: int | None
) -> str | None:
    """What is wrong with `kept` [n] or [n, channels]: it must be `sent`, and silence in pauses, `start_ms` later than in the
    live layers (None: unknown). Outside of pauses there is silence only around one, or if one was never placed.
    """
    if kept.shape != sent.shape:
        return f"has {kept.shape} samples, not {sent.shape}"
    if not len(kept):
        return None
    other = np.any((kept != sent).reshape(len(kept), -1), axis=1)
    silent = np.all(kept.reshape(len(kept), -1) == 0, axis=1)
    if (other & ~silent).any() or (other.any() and not paused):
        return "is not what was sent"
    for pause in paused:
        if pause.start_ms is None or start_ms is None:
            continue
        ends_ms = pause.end_ms if pause.end_ms is not None else len(kept) // 8
        unknown = pause.end_ms is None and pause.ended_by is not PauseEnd.CALL
        first, last = ((ms + start_ms) * 8 for ms in (pause.start_ms, ends_ms))
        if not unknown and not silent[max(first, 0) : max(last, 0)].all():
            return "has sound in a pause"
    return None


def _stages(conn: Connection, row: CallRow) -> list[tuple[str, str, str | None, bool]]:
    """Why: of each recording of the call its state, what failed, and whether work on it is still ordered."""
    ordered = outbox.has_order(conn, row.id)
    return [(r.sid, r.state.value, r.failure, ordered) for r in recordings.of_call(conn, row.id)]


def _transcripts(conn: Connection, row: CallRow, found: Findings) -> None:
    of_call = select(transcripts.c.kind, func.count(), func.max(transcripts.c.revision))
    counted = conn.execute(of_call.where(transcripts.c.call_id == row.id).group_by(transcripts.c.kind))
    kinds = {kind: (number, revision) for kind, number, revision in counted}
    if TranscriptKind.FINAL not in kinds:
        found.lost.append(f"{row.leg_sid}: no final transcript")
    found.doubled += [f"{row.leg_sid}: {kind} transcripts {n}" for kind, n in kinds.items() if n != (1, 1)]
    verdicts = select(func.count()).where(
        live_events.c.call_id == row.id, live_events.c.kind == EventKind.VERDICT
    )
    announced = conn.execute(verdicts).scalar_one()
    if announced > 1:
        found.doubled.append(f"{row.leg_sid}: its verdict was announced {announced} times")


def _live(
    blobs: BlobStore,
    role: Role,
    outcome: CallOutcome,
    files: list[LayerFile],
    paused: Sequence[PauseRow],
    received_ms: Mapping[str, int],
    found: Findings,
) -> None:
    sent = mulaw.decode(outcome.sent.get(TRACKS[role], b""))
    paths = [blobs.path(f.path) for f in files if f.layer is Layer.LIVE_8K and f.role is role]
    if not sent.size:
        return  # there was no server for the stream to come to
    kept = read_samples(paths[0], blobs.keys) if paths else np.zeros(0, np.int16)
    if (why := _beyond_pauses(kept, sent[: kept.size], paused, 0)) is not None:
        found.unplayable.append(f"{outcome.call_sid}: layer 1 of {role} {why}")
    whole_ms = sent.size // 8
    found.audio_lost_ms.append(max(0, received_ms.get(outcome.streams[0].sid, whole_ms) - kept.size // 8))
