"""The final transcript: each channel of the stored recording cut by voice activity, decoded, merged into turns."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from callreel.audio.resample import rate_blocks, to_rate
from callreel.audio.segmenter import Closed, Segmenter, SegmenterOptions, SpeechDetector, Split
from callreel.audio.source import in_blocks
from callreel.domain.call import Role
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.transcript import Final, Segment, TranscriptKind
from callreel.services.announce import Announcer
from callreel.services.layer_audio import channel_file, open_layer
from callreel.services.wav_files import SoundFile
from callreel.speech.engine import HeardWord
from callreel.speech.turns import merge_turns, words_from
from callreel.store import finals, layers, transcripts
from callreel.store.blobs import BlobStore
from callreel.store.database import Database

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


class Transcribing:
    """The transcribe stage. `decode` blocks until an engine process has answered; `engine_name` is its name and model."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        announcer: Announcer,
        *,
        decode: Callable[[Samples], Sequence[HeardWord]],
        engine_name: Callable[[], tuple[str, str]],
        new_detector: Callable[[], SpeechDetector],
        segmenter: SegmenterOptions,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._announcer = announcer
        self._decode = decode
        self._engine_name = engine_name
        self._new_detector = new_detector
        self._segmenter = segmenter

    def from_recording(self, call_id: CallId) -> int:
        """Transcribe both channels; answers the number of turns. Raises EngineError.

        Positions count from the recording's first sample, which is the start of the call.
        """
        with self._database.read() as conn:
            files = layers.of_call(conn, call_id)
        made: list[Final] = []
        for role in Role:
            file = channel_file(files, role)
            if file is not None:
                with open_layer(self._blobs, file) as sound:
                    made += self._channel(role, sound)
        return self._keep(call_id, made)

    def _channel(self, role: Role, sound: SoundFile) -> Iterator[Final]:
        samples, rate_hz = sound.channel(), sound.rate_hz
        narrow = rate_blocks(in_blocks(samples, DETECT_BLOCK), rate_hz, DETECT_HZ)
        spans = segments(narrow, self._new_detector(), self._segmenter)
        for number, (start_ms, end_ms) in enumerate(spans):
            piece = samples[start_ms * rate_hz // 1000 : end_ms * rate_hz // 1000]
            heard = self._decode(to_rate(piece, rate_hz, ENGINE_HZ))
            yield Final(Segment(role, number, start_ms, end_ms), words_from(heard, start_ms))

    def from_live(self, call_id: CallId) -> int:
        """Without a usable recording the live text is the final one."""
        with self._database.read() as conn:
            made = finals.of_call(conn, call_id)
        return self._keep(call_id, made)

    def _keep(self, call_id: CallId, made: list[Final]) -> int:
        turns = merge_turns(made)
        name, model = self._engine_name()
        with self._database.write() as conn:
            transcripts.put(conn, call_id, TranscriptKind.FINAL, name, model, turns)
            told = LiveEvent(
                call_id, EventKind.TRANSCRIPT, {"kind": TranscriptKind.FINAL, "turns": len(turns)}
            )
            event = self._announcer.record(conn, told)
        self._announcer.tell(event)
        return len(turns)
