"""Media streams of one call for tests of capture, and the rows and files that they produce."""

from pathlib import Path

import numpy as np

from callreel.audio.samples import Samples
from callreel.domain.call import Role, Track
from callreel.domain.ids import CallId, LegSid, StreamSid
from callreel.domain.recording import Layer, LayerFile
from callreel.domain.transcript import TranscriptKind
from callreel.ingest.call_registry import LiveStream
from callreel.ingest.recovery import Recovery
from callreel.live.transcript import save_live_transcript
from callreel.simulator.calls.stream_sender import StreamSender
from callreel.store.calls import layers, streams
from callreel.store.calls.streams import StreamRow
from callreel.store.files.sound_files import read_wav
from callreel.store.transcripts import transcripts
from callreel.twilio.stream import Frame, Started, StreamReceiver
from tests.support.installation import (
    ACCOUNT,
    Installation,
    LiveSide,
    answering,
    frames,
    leg,
    token_in,
    voice_request,
)

CALL = CallId("000000000001")
AGENT, TECHNICIAN = Track.INBOUND, Track.OUTBOUND
BOTH = (Track.INBOUND, Track.OUTBOUND)


def sid(number: int) -> StreamSid:
    return StreamSid(f"MZ{number:032x}")


def started(
    token: str, *, number: int = 1, of: LegSid | None = None, tracks: tuple[Track, ...] = BOTH
) -> Started:
    """The receiver's event for the carrier's `start`."""
    receiver, sender = StreamReceiver(), StreamSender(sid(number), of or leg(1), ACCOUNT)
    receiver.receive(sender.connected())
    event = receiver.receive(sender.start(tracks, {"token": token} if token else {}))
    assert isinstance(event, Started)
    return event


async def joined(
    live: LiveSide, token: str, *, number: int = 1, tracks: tuple[Track, ...] = BOTH
) -> LiveStream:
    stream = await live.streams.open(started(token, number=number, tracks=tracks))
    assert stream is not None
    return stream


def play(stream: LiveStream, track: Track, samples: Samples, *, first_ms: int = 0) -> None:
    for timestamp_ms, payload in frames(samples, first_ms=first_ms):
        stream.place([Frame(track, timestamp_ms, payload)])


def tokens(installation: Installation, count: int = 1, *, from_: str = "client:ada") -> list[str]:
    """Tokens of call 000000000001 on leg 1."""
    service = answering(installation)
    return [token_in(service.answer(voice_request(from_=from_))) for _ in range(count)]


def files(installation: Installation) -> dict[tuple[Layer, Role | None], LayerFile]:
    with installation.database.read() as conn:
        return {(file.layer, file.role): file for file in layers.of_call(conn, CALL)}


def rows(installation: Installation) -> list[StreamRow]:
    with installation.database.read() as conn:
        return streams.of_call(conn, CALL)


def layer_1(installation: Installation, role: Role) -> Samples:
    return layer(installation.blobs.root / files(installation)[Layer.LIVE_8K, role].path, 8_000)


def has_transcript(installation: Installation) -> bool:
    with installation.database.read() as conn:
        return transcripts.latest(conn, CALL, TranscriptKind.LIVE) is not None


def layer(path: Path, rate_hz: int) -> Samples:
    samples, found_hz = read_wav(path)
    assert found_hz == rate_hz
    return np.ascontiguousarray(samples[:, 0])


def recovery(
    installation: Installation, *, single_machine: bool = True, alive: frozenset[str] = frozenset()
) -> Recovery:
    """By a process that knows which other processes are alive."""
    return Recovery(
        installation.database, installation.commits, installation.clock, installation.blobs,
        lambda call_id: save_live_transcript(installation.database, installation.publisher, call_id, "quick"),
        lambda names: names - alive,
        single_machine=single_machine,
    )  # fmt: skip
