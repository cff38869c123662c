"""The final transcript: each channel of the stored recording cut by voice activity, decoded, merged into turns."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from callreel.audio.resample import rate_blocks, to_rate
from callreel.audio.segmenter import Closed, Segmenter, SegmenterOptions, SpeechDetector, Split
from callreel.audio.source import in_blocks
from callreel.domain.call import Role
from callreel.domain.errors import CallreelError
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.recording import Layer, LayerFile
from callreel.domain.transcript import Final, Segment, TranscriptKind
from callreel.services.announce import Announcer
from callreel.services.layer_audio import channel_file, open_layer
from callreel.services.live_scoring import keep_text_score
from callreel.services.wav_files import SoundFile
from callreel.speech.engine import Capabilities, HeardWord, heard_by
from callreel.speech.turns import heard_ms, merge_turns, words_from
from callreel.store import finals, layers, transcripts
from callreel.store.blobs import BlobStore
from callreel.store.database import Database
from callreel.store.transcripts import Made

Samples = npt.NDArray[np.int16]
DETECT_HZ = 8_000
ENGINE_HZ = 16_000
DETECT_BLOCK = 80_000
"""Samples that are read at once: 10 s as a rule."""


def segments(
    blocks8k: Iterable[Samples], detector: SpeechDetector, options: SegmenterOptions
) -> Iterator[tuple[int, int]]:
    """Stretches of speech as (start_ms, end_ms), each as soon as it is certain. Blocks [n] may have any length."""
    segmenter = Segmenter(options)
    step, rest, total = detector.step_samples, np.zeros(0, np.int16), 0
    for block in blocks8k:
        total += block.size
        samples = np.concatenate([rest, block])
        whole = samples.size // step * step
        for at in range(0, whole, step):
            event = segmenter.push(detector.probability(samples[at : at + step]))
            if isinstance(event, Closed | Split):
                yield event.start_ms, event.end_ms
        rest = samples[whole:]
    last = segmenter.finish(total * 1000 // DETECT_HZ)
    if isinstance(last, Closed | Split):
        yield last.start_ms, last.end_ms


class NothingToHearError(CallreelError):
    """The call has no audio that could be heard again."""


class Transcribing:
    """The transcribe stage. `decode` blocks until an engine process has answered."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        announcer: Announcer,
        *,
        decode: Callable[[Samples], Sequence[HeardWord]],
        engine: Capabilities,
        new_detector: Callable[[], SpeechDetector],
        segmenter: SegmenterOptions,
        why: str = "",
    ) -> None:
        """`engine` is the one that is meant to hear, `why` says why it was taken."""
        self._database = database
        self._blobs = blobs
        self._announcer = announcer
        self._decode = decode
        self._engine = engine
        self._why = why
        self._new_detector = new_detector
        self._segmenter = segmenter

    def from_recording(self, call_id: CallId) -> int:
        """Transcribe both channels; answers the number of turns. Raises EngineError.

        Positions count from the recording's first sample, which is the start of the call.
        """
        return self._keep(call_id, self._heard(self._channels(call_id)), run="")

    def from_audio(self, call_id: CallId, run: str) -> int:
        """As `from_recording`, as a revision of its own for `run`; a call without channels is heard from its live layers."""
        found = self._channels(call_id) or self._live_layers(call_id)
        if not found:
            raise NothingToHearError(f"call {call_id} has neither channels nor live layers to be heard again")
        return self._keep(call_id, self._heard(found), run)

    def _channels(self, call_id: CallId) -> dict[Role, LayerFile]:
        with self._database.read() as conn:
            files = layers.of_call(conn, call_id)
        found = {role: channel_file(files, role) for role in Role}
        return {role: file for role, file in found.items() if file is not None}

    def _live_layers(self, call_id: CallId) -> dict[Role, LayerFile]:
        with self._database.read() as conn:
            files = layers.of_call(conn, call_id)
        return {file.role: file for file in files if file.layer is Layer.LIVE_8K and file.role is not None}

    def _heard(self, files: Mapping[Role, LayerFile]) -> list[Final]:
        made: list[Final] = []
        for role, file in files.items():
            with open_layer(self._blobs, file) as sound:
                made += self._channel(role, sound)
        return made

    def _channel(self, role: Role, sound: SoundFile) -> Iterator[Final]:
        samples, rate_hz = sound.channel(), sound.rate_hz
        narrow = rate_blocks(in_blocks(samples, DETECT_BLOCK), rate_hz, DETECT_HZ)
        spans = segments(narrow, self._new_detector(), self._segmenter)
        for number, (start_ms, end_ms) in enumerate(spans):
            piece = samples[start_ms * rate_hz // 1000 : end_ms * rate_hz // 1000]
            heard = self._decode(to_rate(piece, rate_hz, ENGINE_HZ))
            segment = Segment(role, number, start_ms, end_ms)
            yield Final(segment, words_from(heard, start_ms), heard_by=heard_by(heard))

    def from_live(self, call_id: CallId) -> int:
        """Without a usable recording the live text is the final one, and the live engine the one that made it."""
        with self._database.read() as conn:
            made = finals.of_call(conn, call_id)
            live = transcripts.latest(conn, call_id, TranscriptKind.LIVE)
        if live is None:
            return self._keep(call_id, made, "")
        with self._database.write() as conn:
            turns = merge_turns(made)
            kept = Made(why="there is no recording of two channels: this is the live text")
            transcripts.put(conn, call_id, TranscriptKind.FINAL, live.engine, live.model, turns, kept)
            event = self._announcer.record(conn, _told(call_id, len(turns)))
        self._announcer.tell(event)
        return len(turns)

    def _keep(self, call_id: CallId, made: list[Final], run: str) -> int:
        turns = merge_turns(made)
        engine = self._engine
        kept = Made(run, self._why, heard_ms(made), engine.cost_per_minute)
        with self._database.write() as conn:
            transcripts.put(conn, call_id, TranscriptKind.FINAL, engine.name, engine.model, turns, kept)
            if (
                run
            ):  # else the judge stage does it, when it is known where the live text lies in the recording
                keep_text_score(conn, call_id)
            event = self._announcer.record(conn, _told(call_id, len(turns)))
        self._announcer.tell(event)
        return len(turns)


def _told(call_id: CallId, turns: int) -> LiveEvent:
    return LiveEvent(call_id, EventKind.TRANSCRIPT, {"kind": TranscriptKind.FINAL, "turns": turns})
