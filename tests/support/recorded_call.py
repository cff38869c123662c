"""An ended call with live layers and a completed recording: the start of the post-call stages."""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from callreel.asr.engine import Capabilities, RecognizedWord, Transcription
from callreel.audio import wav
from callreel.audio.samples import Samples
from callreel.audio.segmenter import SegmenterOptions
from callreel.carrier_client.client import CarrierRecordings
from callreel.carrier_client.rest import CarrierAccess
from callreel.domain.call import Role, Topology, Track
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.recording import CloudState, Layer, LayerFile
from callreel.domain.transcript import TranscriptKind
from callreel.domain.verdict import Limits
from callreel.domain.work import Workflow
from callreel.postcall.comparison import LayerComparison
from callreel.postcall.download import RecordingDownloader
from callreel.postcall.durable import Body
from callreel.postcall.measuring import Measuring
from callreel.postcall.missing_phrases import MissingPhrases
from callreel.postcall.transcription import FinalEngine, FinalTranscriber
from callreel.postcall.workflows import PostCallWorkflows
from callreel.store.calls import layers, recordings
from callreel.store.calls.calls import CallRow
from callreel.store.calls.recordings import RecordingRow
from callreel.store.calls.streams import EndedBy
from callreel.store.transcripts import transcripts
from callreel.store.transcripts.transcripts import TranscriptRow
from callreel.twilio.stream import Frame
from tests.support.fake_engine import FakeEngine, retry_policy
from tests.support.installation import (
    ACCOUNT,
    NOON,
    Installation,
    LoudnessDetector,
    answering,
    eventually,
    frames,
    leg,
    live_side,
    one_word,
    silence,
    speech,
    token_in,
    voice_request,
)
from tests.support.rest_server import Answer, RestServer, rest_server
from tests.support.streams import started

SID = RecordingSid("RE" + "1" * 32)
MEDIA = f"/2010-04-01/Accounts/{ACCOUNT}/Recordings/{SID}.wav"
LATE_MS = 300
"""The start of the stream, after that of the recording."""

AGENT_SAYS = np.concatenate([silence(400), speech(1_500), silence(2_600)])
TECHNICIAN_SAYS = np.concatenate([silence(2_400), speech(1_300, seed=2), silence(800)])


def two_channel_wav(
    first: Samples, second: Samples, *, before_ms: int = LATE_MS, after_ms: int = 200
) -> bytes:
    """The carrier's recording, which starts before and ends after the stream."""
    lanes = [np.concatenate([silence(before_ms), lane, silence(after_ms)]) for lane in (first, second)]
    return wav.header(lanes[0].size * 4, 8_000, 2) + np.stack(lanes, axis=1).tobytes()


def mono_wav(samples: Samples) -> bytes:
    return wav.header(samples.size * 2, 8_000, 1) + samples.tobytes()


@dataclass(slots=True)
class Recorded:
    """The call, the carrier with its recording, and the services that process it."""

    installation: Installation
    server: RestServer
    carrier: CarrierRecordings
    call_id: CallId

    @property
    def call(self) -> CallRow:
        return self.installation.call(self.call_id)

    def report(
        self,
        state: CloudState,
        sid: RecordingSid = SID,
        *,
        status: str = "",
        start_s: int = 0,
        **values: int | None,
    ) -> None:
        """A report of the carrier about a recording that started `start_s` after the call."""
        with self.installation.database.write() as conn:
            recordings.upsert(
                conn, RecordingRow( sid, self.call_id, leg(1), state, self.installation.clock.now(),
                started_at=NOON + timedelta(seconds=start_s), channels=2, duration_s=values.get("duration_s"),
                error_code=values.get("error_code"), paused=status == "paused",
            ))  # fmt: skip

    def recording(self, sid: RecordingSid = SID) -> RecordingRow:
        with self.installation.database.read() as conn:
            row = recordings.get(conn, sid)
        assert row is not None
        return row

    def files(self, layer: Layer) -> list[LayerFile]:
        with self.installation.database.read() as conn:
            return [file for file in layers.of_call(conn, self.call_id) if file.layer is layer]

    def transcript(self, kind: TranscriptKind) -> TranscriptRow | None:
        with self.installation.database.read() as conn:
            return transcripts.latest(conn, self.call_id, kind)

    def downloading(self, *, carrier: CarrierRecordings | None = None) -> RecordingDownloader:
        installation = self.installation
        return RecordingDownloader(
            installation.database, installation.blobs, installation.publisher, carrier or self.carrier,
            installation.clock,
        )  # fmt: skip

    def engine(self, decode: "Decoder | None" = None, *, park_after: int = 12) -> FakeEngine:
        """An engine in memory with the workflows after the call."""
        installation = self.installation
        made = PostCallWorkflows(
            installation.database,
            installation.publisher,
            self.downloading(),
            self.transcribing(decode),
            self.comparing(),
            self.measuring(),
        )
        bodies: dict[Workflow, Body] = {
            Workflow.DOWNLOAD: made.download, Workflow.TRANSCRIBE: made.transcribe, Workflow.COMPARE: made.compare,
            Workflow.NO_RECORDING: made.no_recording,
        }  # fmt: skip
        return FakeEngine(bodies, retry_policy(park_after), installation.clock)

    def transcribing(self, decode: "Decoder | None" = None) -> FinalTranscriber:
        """`decode` handles one segment; the stage decodes `batch` at once."""
        installation, one = self.installation, decode or Decoder()
        return FinalTranscriber(
            installation.database, installation.blobs, installation.publisher,
            FinalEngine(Capabilities("final", "model-1", False, True, True, True), lambda segments, language: [_transcription(one(samples)) for samples in segments]),
            MissingPhrases(installation.database, installation.clock),
            new_detector=LoudnessDetector, segmenter=SegmenterOptions(min_silence_ms=800),
        )  # fmt: skip

    def measuring(self) -> Measuring:
        installation = self.installation
        return Measuring(installation.database, installation.blobs, LoudnessDetector, 1_000)

    def comparing(self, *, tracks: int = 2) -> LayerComparison:
        installation = self.installation
        return LayerComparison(
            installation.database,
            installation.blobs,
            installation.publisher,
            installation.clock,
            Limits(),
            tracks=tracks,
        )


@dataclass(slots=True)
class Decoder:
    """The final engine: one word for each segment. Counts its requests."""

    asked: int = 0

    def __call__(self, samples: Samples) -> Sequence[RecognizedWord]:
        self.asked += 1
        return one_word(samples, False)


def _transcription(words: Sequence[RecognizedWord]) -> Transcription:
    return words if isinstance(words, Transcription) else Transcription(words)


_spoken = itertools.count(1)


async def _stream(installation: Installation, from_: str) -> CallId:
    token = token_in(answering(installation).answer(voice_request(from_=from_)))
    topology = Topology(Role.AGENT if from_.startswith("client:") else Role.TECHNICIAN)
    async with live_side(installation, stop_linger_s=0.0) as live:
        stream = await live.streams.open(started(token, number=next(_spoken)))
        assert stream is not None
        for role, samples in ((Role.AGENT, AGENT_SAYS), (Role.TECHNICIAN, TECHNICIAN_SAYS)):
            track: Track = next(track for track in Track if topology.role_of_track(track) is role)
            for timestamp_ms, payload in frames(samples):
                stream.place([Frame(track, timestamp_ms, payload)])
        installation.clock.step(4.5)
        await stream.close(EndedBy.STOP)
        call_id = CallId("000000000001")

        def whole() -> bool:
            with installation.database.read() as conn:
                return transcripts.latest(conn, call_id, TranscriptKind.LIVE) is not None

        await eventually(whole)
    return call_id


@contextmanager
def recorded_call(
    installation: Installation, *, from_: str = "client:ada", state: CloudState = CloudState.COMPLETED
) -> Iterator[Recorded]:
    call_id = asyncio.run(_stream(installation, from_))
    lanes = (AGENT_SAYS, TECHNICIAN_SAYS) if from_.startswith("client:") else (TECHNICIAN_SAYS, AGENT_SAYS)
    with rest_server() as server:
        server.put(MEDIA, Answer(body=two_channel_wav(*lanes), ranges=True))
        carrier = CarrierRecordings(CarrierAccess(server.url, ACCOUNT, "SK1", "secret", timeout_s=5))
        made = Recorded(installation, server, carrier, call_id)
        made.report(state, duration_s=5)
        try:
            yield made
        finally:
            carrier.close()
