"""The final transcript: each channel of the stored recording cut by voice activity, decoded, merged into turns."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice

from sqlalchemy import Connection

from callreel.asr.engine import Capabilities, Transcription
from callreel.asr.turns import merge_turns, transcribed_ms, words_from
from callreel.audio.anchors import stretch
from callreel.audio.crosstalk import LOOKBACK, is_crosstalk
from callreel.audio.resample import to_rate
from callreel.audio.samples import ASR_HZ, SAMPLES_PER_MS, TELEPHONE_HZ, Samples
from callreel.audio.segmenter import SegmenterOptions, SpeechDetector, SpeechSpan, speech_spans
from callreel.audio.source import Source, in_blocks
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.call import Role
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.transcript import Final, Segment, TranscriptKind, Turn
from callreel.domain.verdict import FAULTS
from callreel.postcall.call_audio import NoAudioError, channel_fault, chosen_parts, open_call_audio, read_rows
from callreel.postcall.missing_phrases import CheckedRules, MissingPhrases
from callreel.review.live_score import text_score
from callreel.store.calls import calls, expired
from callreel.store.calls.calls import CallRow
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore
from callreel.store.transcripts import finals, live_scores, search, transcripts
from callreel.store.transcripts.transcripts import Provenance

Decode = Callable[[Sequence[Samples], str], Sequence[Transcription]]
"""Decodes 16 kHz segments in a language, given by its code; with an empty one the engine detects it."""

DETECT_BLOCK = 80_000
"""Samples read at once: 10 s."""
DECODES_AT_ONCE = 2
"""Segments of one call that are decoded at once, each in an engine process of its own, while the next ones are cut."""


class DetectedLanguage:
    """The language that an engine detected in most of the audio."""

    def __init__(self) -> None:
        self._duration_ms: Counter[str] = Counter()

    def add(self, language: str, length_ms: int) -> None:
        """Count a segment; `language` is empty where the engine reported none."""
        if language:
            self._duration_ms[language] += length_ms

    @property
    def language(self) -> str:
        """Empty where none was detected."""
        return max(self._duration_ms, key=lambda code: self._duration_ms[code], default="")


@dataclass(frozen=True, slots=True)
class FinalEngine:
    """The engine of the final transcript. `decode` blocks until all given segments are decoded.

    `reason` says why the engine was chosen; `language`, a code, replaces the calls' own languages.
    """

    capabilities: Capabilities
    decode: Decode
    reason: str = ""
    language: str = ""


class FinalTranscriber:
    """The transcribe stage. Blocking; each method may run twice."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        publisher: EventPublisher,
        engine: FinalEngine,
        missing: MissingPhrases,
        *,
        new_detector: Callable[[], SpeechDetector],
        segmenter: SegmenterOptions,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._publisher = publisher
        self._engine = engine
        self._missing = missing
        self._new_detector = new_detector
        self._segmenter = segmenter

    def from_recording(self, call_id: CallId) -> int:
        """Transcribe both channels of the call's recording; returns the number of turns. Raises EngineError.

        Positions count from the recording's first sample, which is the start of the call. Where the channels cannot be
        attributed to the parties, good live text is not replaced.
        """
        rows = read_rows(self._database, self._blobs, call_id)
        with open_call_audio(self._blobs, rows) as audio:
            if not audio.cloud:
                return self.from_live(call_id)
            # Without live text nothing depends on the fault here: the comparison of the layers finds it once.
            fault = channel_fault(audio) if self._has_live_text(call_id) else None
            if fault is not None:
                return self.from_live(call_id, f"the live text is kept: {FAULTS[fault]}")
            return self._transcribe(rows.call, audio.cloud, run="")

    def without_recording(self, call_id: CallId) -> int:
        """One recording gives no text: as `from_live`, unless the call has another one that does."""
        try:
            parts = chosen_parts(read_rows(self._database, self._blobs, call_id))
        except NoAudioError:
            parts = ()
        if parts and all(part.file.channels == 2 for part in parts):
            return 0
        return self.from_live(call_id)

    def from_audio(self, call_id: CallId, run: str) -> int:
        """As `from_recording`, as a new revision for `run`; without usable channels the live layers are transcribed.

        Raises NoAudioError, and TextDeletedError for a call whose text a retention policy deleted, also meanwhile.
        """
        with self._database.write() as conn:
            expired.refuse_text(conn, call_id)
        rows = read_rows(self._database, self._blobs, call_id)
        with open_call_audio(self._blobs, rows) as audio:
            sources = audio.live if channel_fault(audio) and audio.live else audio.cloud or audio.live
            if not sources:
                raise NoAudioError(call_id)
            return self._transcribe(rows.call, sources, run)

    def _transcribe(self, call: CallRow, sources: Mapping[Role, Source], run: str) -> int:
        requested = self._engine.language or call.language
        detected = DetectedLanguage()
        crosstalk: list[Segment] = []
        batches = (
            batch
            for role, source in sources.items()
            for batch in self._batches(role, source, sources.get(role.other), crosstalk)
        )
        made = [final for batch in self._decoded(batches, requested) for final in batch.finals(detected)]
        language = requested or detected.language or (self._engine.capabilities.languages or ("",))[0]
        found = bool(detected.language) and not requested
        return self._keep(call.id, made, run, language, found, len(crosstalk))

    def _has_live_text(self, call_id: CallId) -> bool:
        with self._database.read() as conn:
            return any(final.words for final in finals.of_call(conn, call_id))

    def _batches(
        self, role: Role, samples: Source, other: Source | None, crosstalk: list[Segment]
    ) -> Iterator["_Batch"]:
        """The segments of one channel; those that are the voice of `other` go to `crosstalk` and are not decoded."""
        found = speech_spans(in_blocks(samples, DETECT_BLOCK), self._new_detector(), self._segmenter)
        spans = own_speech(role, samples, other, found, crosstalk)
        while some := list(islice(spans, self._engine.capabilities.batch)):
            pieces = [
                to_rate(
                    samples[span.start_ms * SAMPLES_PER_MS : span.end_ms * SAMPLES_PER_MS],
                    TELEPHONE_HZ,
                    ASR_HZ,
                )
                for _, span in some
            ]
            segments = [Segment(role, number, span.start_ms, span.end_ms) for number, span in some]
            yield _Batch(segments, pieces)

    def _decoded(self, batches: Iterable["_Batch"], language: str) -> Iterator["_Batch"]:
        """The batches in their order, `DECODES_AT_ONCE` of them in work while the next ones are cut."""
        waiting: deque[tuple[_Batch, Future[Sequence[Transcription]]]] = deque()

        def oldest() -> _Batch:
            batch, answer = waiting.popleft()
            return replace(batch, pieces=(), transcriptions=answer.result())

        with ThreadPoolExecutor(DECODES_AT_ONCE) as pool:
            for batch in batches:
                waiting.append((batch, pool.submit(self._engine.decode, batch.pieces, language)))
                if len(waiting) > DECODES_AT_ONCE:
                    yield oldest()
            while waiting:
                yield oldest()

    def from_live(
        self, call_id: CallId, reason: str = "there is no recording of two channels: this is the live text"
    ) -> int:
        """Without a usable recording the live text is the final one, and the live engine the one that made it."""
        with self._database.read() as conn:
            made = finals.of_call(conn, call_id)
            live = transcripts.latest(conn, call_id, TranscriptKind.LIVE)
        if live is None:
            return self._keep(call_id, made, "", "", detected=False, transcribed=False)
        turns = merge_turns(made)
        kept = Provenance(reason=reason, language=live.language)
        with self._database.read() as conn:
            known = search.tokenized(conn, turns)
        checked = self._checked(call_id, turns, transcribed=False)
        with self._database.write() as conn:
            transcripts.put(conn, call_id, TranscriptKind.FINAL, live.engine, live.model, turns, kept, known)
            events = self._record(conn, call_id, turns, checked)
        self._publisher.publish(*events)
        return len(turns)

    def _keep(
        self,
        call_id: CallId,
        made: list[Final],
        run: str,
        language: str,
        detected: bool,
        crosstalk: int = 0,
        transcribed: bool = True,
    ) -> int:
        turns = merge_turns(made)
        engine = self._engine.capabilities
        kept = Provenance(
            run,
            self._engine.reason,
            transcribed_ms(made),
            engine.cost_per_minute,
            language,
            detected,
            crosstalk,
        )
        with self._database.read() as conn:
            known = search.tokenized(conn, turns)
            row = calls.get(conn, call_id)
            # At the first run the compare stage counts, when the live text's place in the recording is known.
            score = text_score(conn, row, final=turns) if run and row is not None else {}
        checked = self._checked(call_id, turns, transcribed)
        with self._database.write() as conn:
            if run:
                expired.refuse_text(conn, call_id)
            transcripts.put(
                conn, call_id, TranscriptKind.FINAL, engine.name, engine.model, turns, kept, known
            )
            live_scores.put(conn, call_id, score)
            events = self._record(conn, call_id, turns, checked)
        self._publisher.publish(*events)
        return len(turns)

    def _checked(self, call_id: CallId, turns: Sequence[Turn], transcribed: bool) -> CheckedRules:
        """The rules of missing phrases, checked. Live text without a word may be that of a call that was not transcribed live."""
        return self._missing.check(call_id, turns) if transcribed or turns else CheckedRules()

    def _record(
        self, conn: Connection, call_id: CallId, turns: Sequence[Turn], checked: CheckedRules
    ) -> list[LiveEvent]:
        """Record that the transcript was stored, and save the alerts of missing phrases."""
        alerts = self._missing.put(conn, call_id, checked)
        return self._publisher.record_all(conn, [_transcript_event(call_id, len(turns)), *alerts])


@dataclass(frozen=True, slots=True)
class _Batch:
    """Segments that are decoded together: first with their 16 kHz samples, then with their words."""

    segments: Sequence[Segment]
    pieces: Sequence[Samples]
    transcriptions: Sequence[Transcription] = ()

    def finals(self, detected: DetectedLanguage) -> Iterator[Final]:
        for segment, words in zip(self.segments, self.transcriptions, strict=True):
            detected.add(words.language, segment.end_ms - segment.start_ms)
            yield Final(segment, words_from(words, segment.start_ms), fallback_engine=words.fallback_engine)


def own_speech(
    role: Role,
    samples: Source,
    other: Source | None,
    spans: Iterable[SpeechSpan],
    crosstalk: list[Segment],
) -> Iterator[tuple[int, SpeechSpan]]:
    """Numbered spans without those in which the voice of `other` leaks into `samples`."""
    for number, span in enumerate(spans):
        first, stop = span.start_ms * SAMPLES_PER_MS, span.end_ms * SAMPLES_PER_MS
        if other is not None and is_crosstalk(
            samples[first:stop], stretch(other, first - LOOKBACK, stop - first + LOOKBACK)
        ):
            crosstalk.append(Segment(role, number, span.start_ms, span.end_ms))
        else:
            yield number, span


def _transcript_event(call_id: CallId, turns: int) -> LiveEvent:
    return LiveEvent(call_id, EventKind.TRANSCRIPT, {"kind": TranscriptKind.FINAL, "turns": turns})
