"""A call of any length as the stages after it find it: rows, live layers and the carrier's recording, written as a stream.

Two parties who speak by turns of four seconds, in noise that only they make; the recording began 400 ms before the stream.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from callreel.audio import mulaw, wav
from callreel.audio.resample import upsampled
from callreel.audio.samples import Samples
from callreel.carrier_client.client import CarrierRecordings
from callreel.carrier_client.rest import CarrierAccess
from callreel.cluster.event_bus import EventBus
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.call import CallState, Direction, Role
from callreel.domain.events import Json
from callreel.domain.ids import CallId, LegSid, RecordingSid, StreamSid
from callreel.domain.recording import CloudState, Layer, LayerFile, LayerState
from callreel.domain.verdict import Limits
from callreel.postcall.comparison import LayerComparison
from callreel.postcall.download import RecordingDownloader
from callreel.runtime.clock import Clock
from callreel.store.calls import calls, layers, recordings, streams
from callreel.store.calls.calls import CallRow
from callreel.store.calls.streams import EndedBy, StreamRow
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobInfo, BlobStore

RATE_HZ = 8_000
TURN_S = 4
LATE_MS = 400
CALL = CallId("000000000001")
LEG = LegSid("CA" + "1" * 32)
SID = RecordingSid("RE" + "1" * 32)


@dataclass(frozen=True, slots=True)
class LongCall:
    """The call with the parts that work on it."""

    database: Database
    blobs: BlobStore
    publisher: EventPublisher
    clock: Clock
    downloading: RecordingDownloader
    comparing: LayerComparison


def turn(number: int) -> Samples:
    """Both parties [n, 2] in turn `number`: one speaks, the other is silent. Already rounded by mu-law."""
    samples = np.zeros((TURN_S * RATE_HZ, 2), np.int16)
    noise = np.random.default_rng(number).normal(0, 3_000, TURN_S * RATE_HZ)
    # In syllables, as speech is.
    noise *= 0.2 + 0.8 * (np.sin(np.arange(noise.size) * 2 * np.pi * 3 / RATE_HZ) > 0)
    samples[:, number % 2] = mulaw.decode(mulaw.encode(np.clip(noise, -30_000, 30_000).astype(np.int16)))
    return samples


def turns(minutes: int, said: Callable[[int], Samples]) -> Iterator[Samples]:
    return map(said, range(minutes * 60 // TURN_S))


@contextmanager
def long_call(folder: Path, minutes: int, said: Callable[[int], Samples] = turn) -> Iterator[LongCall]:
    """Made in `folder`, ended, its recording fetched and not yet split. `said` [n, 2] is what is said in each turn."""
    database = Database.open(str(folder / "app.db"))
    bus, clock = EventBus(), Clock()
    blobs, publisher = BlobStore(folder / "objects"), EventPublisher(database, bus, clock)
    carrier = CarrierRecordings(CarrierAccess("http://127.0.0.1:9", "", "", ""))
    try:
        database.migrate()
        _make_rows(database, minutes)
        _make_files(database, blobs, minutes, said)
        yield LongCall(
            database,
            blobs,
            publisher,
            clock,
            RecordingDownloader(database, blobs, publisher, carrier, clock),
            LayerComparison(database, blobs, publisher, clock, Limits(), tracks=2),
        )
    finally:
        carrier.close()
        bus.close()
        database.close()


def _make_rows(database: Database, minutes: int) -> None:
    at = datetime(2026, 11, 25, 9, tzinfo=UTC)
    with database.write() as conn:
        calls.insert(conn, CallRow(CALL, Direction.OUTGOING, "ada", "+12025550177", LEG, Role.AGENT, at))
        streams.insert(conn, StreamRow(StreamSid("MZ" + "1" * 32), CALL, LEG, 0, at))
        counts: dict[str, Json] = {role: {"end_ms": minutes * 60_000} for role in Role}
        streams.finish(conn, StreamSid("MZ" + "1" * 32), at, EndedBy.STOP, counts)
        calls.set_state(conn, CALL, CallState.ENDED, at)
        duration_s = minutes * 60 + 1
        recordings.upsert(
            conn,
            recordings.RecordingRow(
                SID, CALL, LEG, CloudState.COMPLETED, at, started_at=at, channels=2, duration_s=duration_s
            ),
        )
        recordings.set_state(conn, SID, CloudState.STORED, at)


def _make_files(database: Database, blobs: BlobStore, minutes: int, said: Callable[[int], Samples]) -> None:
    samples = minutes * 60 * RATE_HZ
    for index, role in enumerate(Role):
        lane = (np.ascontiguousarray(both[:, index]) for both in turns(minutes, said))
        info = blobs.put(f"audio_recordings/{role}_8000Hz.wav", _wav(lane, samples, RATE_HZ))
        _row(database, Layer.LIVE_8K, role, info, RATE_HZ, 1, minutes * 60_000)
        lane = (np.ascontiguousarray(both[:, index]) for both in turns(minutes, said))
        info = blobs.put(
            f"audio_recordings/{role}_16000Hz.wav", _wav(upsampled(lane), 2 * samples, 2 * RATE_HZ)
        )
        _row(database, Layer.LIVE_16K, role, info, 2 * RATE_HZ, 1, minutes * 60_000)
    quiet = np.zeros((LATE_MS * RATE_HZ // 1000, 2), np.int16)
    whole = _wav(_with(quiet, turns(minutes, said)), samples + len(quiet), RATE_HZ, 2)
    info = blobs.put(f"twilio_recordings/{LEG}_{SID}.wav", whole)
    _row(database, Layer.CLOUD, None, info, RATE_HZ, 2, minutes * 60_000 + LATE_MS)


def _row(
    database: Database, layer: Layer, role: Role | None, info: BlobInfo, rate_hz: int, channels: int, ms: int
) -> None:
    file = LayerFile(
        layer, role, info.key, rate_hz, channels, ms, info.size_bytes, info.sha256, LayerState.CLOSED
    )
    with database.write() as conn:
        layers.upsert(conn, CALL, file)


def _with(first: Samples, rest: Iterator[Samples]) -> Iterator[Samples]:
    yield first
    yield from rest


def _wav(blocks: Iterator[Samples], samples: int, rate_hz: int, channels: int = 1) -> Iterator[bytes]:
    yield wav.header(samples * 2 * channels, rate_hz, channels)
    for block in blocks:
        yield block.astype("<i2").tobytes()
