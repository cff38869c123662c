"""The final transcript: each channel of the stored recording cut by voice activity, decoded, merged into turns."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from callreel.asr.engine import Capabilities, Transcription
from callreel.asr.turns import merge_turns, transcribed_ms, words_from
from callreel.audio.resample import rate_blocks, to_rate
from callreel.audio.samples import ASR_HZ, TELEPHONE_HZ, Samples
from callreel.audio.segmenter import SegmenterOptions, SpeechDetector, speech_spans
from callreel.audio.source import in_blocks
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.call import Role
from callreel.domain.errors import CallreelError
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.recording import Layer, LayerFile
from callreel.domain.transcript import Final, Segment, TranscriptKind
from callreel.review.live_scoring import keep_text_score
from callreel.store.audio.layer_audio import channel_file, open_layer
from callreel.store.calls import calls, layers
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore
from callreel.store.files.sound_files import SoundFile
from callreel.store.transcripts import finals, transcripts
from callreel.store.transcripts.transcripts import Provenance

Decode = Callable[[Sequence[Samples], str], Sequence[Transcription]]
"""Words in each 16 kHz segment, in a language by its code; an empty one leaves that to the engine."""

DETECT_BLOCK = 80_000
"""Samples that are read at once: 10 s as a rule."""


class FoundOut:
    """Which language an engine found in segments, by how long they are together."""

    def __init__(self) -> None:
        self._heard_ms: Counter[str] = Counter()

    def add(self, language: str, length_ms: int) -> None:
        """Empty where the engine did not say."""
        if language:
            self._heard_ms[language] += length_ms

    @property
    def language(self) -> str:
        """The one of most of the audio; empty where none was found."""
        return max(self._heard_ms, key=lambda code: self._heard_ms[code], default="")


class NothingToHearError(CallreelError):
    """The call has no audio that could be heard again."""


class FinalTranscriber:
    """The transcribe stage. `decode` blocks until an engine process has answered for each of the segments it is given."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        publisher: EventPublisher,
        *,
        decode: Decode,
        engine: Capabilities,
        new_detector: Callable[[], SpeechDetector],
        segmenter: SegmenterOptions,
        why: str = "",
        language: str = "",
    ) -> None:
        """`engine` is the one that is meant to hear, `why` says why it was taken.

        `language` is the code of the one that all calls are to be heard in, by default each call's own.
        """
        self._database = database
        self._blobs = blobs
        self._publisher = publisher
        self._decode = decode
        self._engine = engine
        self._why = why
        self._language = language
        self._new_detector = new_detector
        self._segmenter = segmenter

    def from_recording(self, call_id: CallId) -> int:
        """Transcribe both channels; answers the number of turns. Raises EngineError.

        Positions count from the recording's first sample, which is the start of the call.
        """
        return self._hear(call_id, self._channels(call_id), run="")

    def from_audio(self, call_id: CallId, run: str) -> int:
        """As `from_recording`, as a revision of its own for `run`; a call without channels is heard from its live layers."""
        found = self._channels(call_id) or self._live_layers(call_id)
        if not found:
            raise NothingToHearError(f"call {call_id} has neither channels nor live layers to be heard again")
        return self._hear(call_id, found, run)

    def _hear(self, call_id: CallId, files: Mapping[Role, LayerFile], run: str) -> int:
        asked = self._language or self._language_of(call_id)
        found_out = FoundOut()
        made = self._heard(files, asked, found_out)
        language = asked or found_out.language or (self._engine.languages or ("",))[0]
        return self._keep(call_id, made, run, language, bool(found_out.language) and not asked)

    def _language_of(self, call_id: CallId) -> str:
        with self._database.read() as conn:
            row = calls.get(conn, call_id)
        return "" if row is None else row.language

    def _channels(self, call_id: CallId) -> dict[Role, LayerFile]:
        with self._database.read() as conn:
            files = layers.of_call(conn, call_id)
        found = {role: channel_file(files, role) for role in Role}
        return {role: file for role, file in found.items() if file is not None}

    def _live_layers(self, call_id: CallId) -> dict[Role, LayerFile]:
        with self._database.read() as conn:
            files = layers.of_call(conn, call_id)
        return {file.role: file for file in files if file.layer is Layer.LIVE_8K and file.role is not None}

    def _heard(self, files: Mapping[Role, LayerFile], language: str, found_out: "FoundOut") -> list[Final]:
        made: list[Final] = []
        for role, file in files.items():
            with open_layer(self._blobs, file) as sound:
                made += self._channel(role, sound, language, found_out)
        return made

    def _channel(self, role: Role, sound: SoundFile, language: str, found_out: "FoundOut") -> Iterator[Final]:
        samples, rate_hz = sound.channel(), sound.rate_hz
        narrow = rate_blocks(in_blocks(samples, DETECT_BLOCK), rate_hz, TELEPHONE_HZ)
        spans = enumerate(speech_spans(narrow, self._new_detector(), self._segmenter))
        while batch := list(islice(spans, self._engine.batch)):
            pieces = [
                to_rate(
                    samples[span.start_ms * rate_hz // 1000 : span.end_ms * rate_hz // 1000], rate_hz, ASR_HZ
                )
                for _, span in batch
            ]
            for (number, span), heard in zip(batch, self._decode(pieces, language), strict=True):
                segment = Segment(role, number, span.start_ms, span.end_ms)
                found_out.add(heard.language, span.end_ms - span.start_ms)
                yield Final(segment, words_from(heard, span.start_ms), fallback_engine=heard.fallback_engine)

    def from_live(self, call_id: CallId) -> int:
        """Without a usable recording the live text is the final one, and the live engine the one that made it."""
        with self._database.read() as conn:
            made = finals.of_call(conn, call_id)
            live = transcripts.latest(conn, call_id, TranscriptKind.LIVE)
        if live is None:
            return self._keep(call_id, made, "", "", detected=False)
        with self._database.write() as conn:
            turns = merge_turns(made)
            kept = Provenance(
                why="there is no recording of two channels: this is the live text", language=live.language
            )
            transcripts.put(conn, call_id, TranscriptKind.FINAL, live.engine, live.model, turns, kept)
            event = self._publisher.record(conn, _told(call_id, len(turns)))
        self._publisher.publish(event)
        return len(turns)

    def _keep(self, call_id: CallId, made: list[Final], run: str, language: str, detected: bool) -> int:
        turns = merge_turns(made)
        engine = self._engine
        kept = Provenance(run, self._why, transcribed_ms(made), engine.cost_per_minute, language, detected)
        with self._database.write() as conn:
            transcripts.put(conn, call_id, TranscriptKind.FINAL, engine.name, engine.model, turns, kept)
            if (
                run
            ):  # else the judge stage does it, when it is known where the live text lies in the recording
                keep_text_score(conn, call_id)
            event = self._publisher.record(conn, _told(call_id, len(turns)))
        self._publisher.publish(event)
        return len(turns)


def _told(call_id: CallId, turns: int) -> LiveEvent:
    return LiveEvent(call_id, EventKind.TRANSCRIPT, {"kind": TranscriptKind.FINAL, "turns": turns})
