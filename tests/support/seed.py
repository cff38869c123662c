"""A small installation as rows and files: a verified call, a live one, and some with problems."""

import hashlib
import math
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from callreel.cluster.event_bus import EventBus
from callreel.domain.call import CallState, Direction, Role
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId, LegSid, RecordingSid, StreamSid
from callreel.domain.measures import CallSpeech, Span, measure
from callreel.domain.recording import CloudState, Layer, LayerFile, LayerState
from callreel.domain.transcript import Final, Segment, TranscriptKind, Turn, Word
from callreel.domain.verdict import Reason, Verdict
from callreel.store.calls import calls, layers, legs, live_events, measures, outbox, recordings, streams
from callreel.store.calls.calls import CallRow
from callreel.store.calls.legs import LegRow
from callreel.store.calls.streams import EndedBy, StreamRow
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore
from callreel.store.transcripts import finals, transcripts
from tests.support.installation import write_migrated

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DONE = CallId("0123456789ab")
LIVE = CallId("1123456789ab")
SUSPECT = CallId("2123456789ab")
ABSENT = CallId("3123456789ab")
NUMBER = "+12125550123"

SAID = (
    (Role.AGENT, 900, "good morning this is the service desk", 0.91),
    (Role.TECHNICIAN, 4200, "hello i am in front of the unit on the roof", 0.84),
    (Role.AGENT, 8300, "can you read me the pressure on the left gauge please", 0.88),
    (Role.TECHNICIAN, 12600, "it says forty two and it is falling slowly", 0.79),
    (Role.AGENT, 17000, "then close the valve and wait for two minutes", 0.93),
)


@dataclass(frozen=True, slots=True)
class Seed:
    """The installation that the web tests use."""

    database: Database
    blobs: BlobStore
    bus: EventBus


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@cache
def wav_bytes(duration_ms: int, rate_hz: int, channels: int, pitch_hz: float = 220.0) -> bytes:
    """A quiet tone as a 16-bit WAV."""
    frames = duration_ms * rate_hz // 1000
    tone = (round(3000 * math.sin(2 * math.pi * pitch_hz * n / rate_hz)) for n in range(frames))
    data = b"".join(struct.pack("<h", sample) * channels for sample in tone)
    head = struct.pack("<IHHIIHH", 16, 1, channels, rate_hz, rate_hz * channels * 2, channels * 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + len(data))
        + b"WAVEfmt "
        + head
        + b"data"
        + struct.pack("<I", len(data))
        + data
    )


def open_seed(folder: Path, url: str | None = None) -> Seed:
    """The installation in `folder`, on SQLite unless `url` names a database; the caller closes the database."""
    database = Database.open(url or f"sqlite:///{folder / 'callreel.db'}")
    return Seed(database, BlobStore(folder / "data"), EventBus())


def seed(folder: Path, url: str | None = None) -> Seed:
    """A new installation in `folder`; the caller closes the database."""
    if url is None:
        write_migrated(folder / "callreel.db")
    place = open_seed(folder, url)
    place.database.migrate()
    _done_call(place)
    _suspect_call(place)
    _absent_call(place)
    _live_call(place)
    with place.database.write() as conn:
        for order in outbox.all_orders(conn):  # as if all workflows had run
            outbox.remove(conn, order)
    return place


def record(place: Seed, call_id: CallId, kind: EventKind, **data: Json) -> LiveEvent:
    """Store a persistent event without publishing it."""
    with place.database.write() as conn:
        return live_events.append(conn, LiveEvent(call_id, kind, dict(data)), NOON)


def _a_call(
    place: Seed, call_id: CallId, began_s: float, *, agent: str, direction: Direction, long_s: float | None
) -> LegSid:
    leg_sid = LegSid("CA" + call_id * 2 + "00000000")
    inbound = Role.AGENT if direction is Direction.OUTGOING else Role.TECHNICIAN
    row = CallRow(
        id=call_id, direction=direction, agent=agent, remote_number=NUMBER, leg_sid=leg_sid,
        inbound_role=inbound, created_at=at(began_s), answered_at=at(began_s + 4),
    )  # fmt: skip
    with place.database.write() as conn:
        assert calls.insert(conn, row)
        legs.upsert(conn, LegRow(leg_sid, call_id, Role.AGENT, "in-progress", None, at(began_s)))
        streams.insert(conn, StreamRow(StreamSid("MZ" + call_id * 2), call_id, leg_sid, 0, at(began_s)))
        if long_s is not None:
            calls.set_state(conn, call_id, CallState.ENDED, at(began_s + long_s))
            streams.finish(conn, StreamSid("MZ" + call_id * 2), at(began_s + long_s), EndedBy.STOP, {})
    return leg_sid


def _a_layer(
    place: Seed,
    call_id: CallId,
    layer: Layer,
    role: Role | None,
    path: str,
    duration_ms: int,
    state: LayerState = LayerState.CLOSED,
) -> None:
    rate_hz = 16000 if layer is Layer.LIVE_16K else 8000
    channels = 2 if layer is Layer.CLOUD else 1
    data = wav_bytes(duration_ms, rate_hz, channels)
    place.blobs.put(path, [data])
    sha256 = None if state is LayerState.RECORDING else hashlib.sha256(data).hexdigest()
    file = LayerFile(layer, role, path, rate_hz, channels, duration_ms, len(data), sha256, state)
    with place.database.write() as conn:
        layers.upsert(conn, call_id, file)


def _live_layers(
    place: Seed, call_id: CallId, duration_ms: int, state: LayerState = LayerState.CLOSED
) -> None:
    for role in Role:
        for layer, rate_hz in ((Layer.LIVE_8K, 8000), (Layer.LIVE_16K, 16000)):
            path = f"audio_recordings/{role}_{call_id}_20261122T120000Z_{rate_hz}Hz.wav"
            _a_layer(place, call_id, layer, role, path, duration_ms, state)


def _turns() -> list[Turn]:
    return [
        Turn(
            role,
            start_ms,
            start_ms + 2800,
            text,
            sure,
            (Word(text.split()[0], start_ms, start_ms + 300, sure),),
        )
        for role, start_ms, text, sure in SAID
    ]


def _speech() -> CallSpeech:
    """Each turn is one stretch of speech."""
    speech = {role: [Span(t.start_ms, t.end_ms) for t in _turns() if t.role is role] for role in Role}
    words = {role: sum(len(t.text.split()) for t in _turns() if t.role is role) for role in Role}
    return CallSpeech(speech, 0, 20_000, words=words, ringing_ms=4_000)


def _finals(place: Seed, call_id: CallId, count: int) -> None:
    for number, (role, start_ms, text, sure) in enumerate(SAID[:count]):
        words = tuple(Word(word, start_ms, start_ms + 2800, sure) for word in text.split())
        final = Final(Segment(role, number, start_ms, start_ms + 2800), words)
        with place.database.write() as conn:
            finals.put(conn, call_id, final)
        record(
            place,
            call_id,
            EventKind.FINAL,
            role=role,
            number=number,
            start_ms=start_ms,
            end_ms=start_ms + 2800,
            text=text,
            confidence=sure,
        )


def _done_call(place: Seed) -> None:
    leg_sid = _a_call(place, DONE, 0, agent="maria", direction=Direction.OUTGOING, long_s=83.25)
    _live_layers(place, DONE, 2400)
    recording = RecordingSid("RE" + DONE * 2 + "00000000")
    for layer, role in (
        (Layer.CLOUD, None),
        (Layer.CLOUD_CHANNEL, Role.AGENT),
        (Layer.CLOUD_CHANNEL, Role.TECHNICIAN),
    ):
        name = f"{leg_sid}_{role or recording}"
        _a_layer(place, DONE, layer, role, f"twilio_recordings/{name}.wav", 2500)
    _finals(place, DONE, 5)
    with place.database.write() as conn:
        recordings.upsert(
            conn,
            recordings.RecordingRow(
                recording,
                DONE,
                leg_sid,
                CloudState.COMPLETED,
                at(90),
                channels=2,
                duration_s=83,
                error_code=0,
            ),
        )
        recordings.set_state(conn, recording, CloudState.STORED, at(92))
        transcripts.put(conn, DONE, TranscriptKind.FINAL, "faster-whisper", "tiny.en", _turns())
        measures.put(conn, DONE, NOON, measure(_speech(), silence_limit_ms=1_000))
        calls.set_verdict(conn, DONE, Verdict.VERIFIED, (), ())
        calls.set_state(conn, DONE, CallState.CLOSED, at(95))


def _suspect_call(place: Seed) -> None:
    _a_call(place, SUSPECT, 600, agent="jonas", direction=Direction.INCOMING, long_s=3723)
    reason = Reason("low_correlation", "the technician's layers correlate 0.41", Role.TECHNICIAN)
    with place.database.write() as conn:
        calls.set_verdict(conn, SUSPECT, Verdict.SUSPECT, (reason,), ())
        calls.set_state(conn, SUSPECT, CallState.CLOSED, at(5000))


def _absent_call(place: Seed) -> None:
    leg_sid = _a_call(place, ABSENT, 1200, agent="maria", direction=Direction.OUTGOING, long_s=6)
    _live_layers(place, ABSENT, 900, LayerState.REPAIRED)
    reason = Reason("cloud_absent", "the carrier has no recording: it was too short (16101)")
    with place.database.write() as conn:
        recordings.upsert(
            conn,
            recordings.RecordingRow(
                RecordingSid("RE" + ABSENT * 2 + "00000000"),
                ABSENT,
                leg_sid,
                CloudState.ABSENT,
                at(1210),
                error_code=16101,
            ),
        )
        calls.set_verdict(conn, ABSENT, Verdict.EXPLAINED, (reason,), ())
        calls.set_state(conn, ABSENT, CallState.CLOSED, at(1220))


def _live_call(place: Seed) -> None:
    leg_sid = _a_call(place, LIVE, 1800, agent="maria", direction=Direction.OUTGOING, long_s=None)
    _live_layers(place, LIVE, 1200, LayerState.RECORDING)
    _finals(place, LIVE, 3)
    with place.database.write() as conn:
        recordings.upsert(
            conn,
            recordings.RecordingRow(
                RecordingSid("RE" + LIVE * 2 + "00000000"), LIVE, leg_sid, CloudState.IN_PROGRESS, at(1801)
            ),
        )
