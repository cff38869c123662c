"""The measure stage: when each party spoke, by voice activity on its own channel, and what follows from that.

The rules are in `domain/measures.py`. It measures the recording that the transcript is made from.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from callreel.audio.samples import SAMPLES_PER_MS
from callreel.audio.segmenter import SpeechDetector, SpeechSpan
from callreel.audio.source import Source, in_blocks
from callreel.audio.voice_activity import voice_activity
from callreel.domain.call import Role
from callreel.domain.ids import CallId
from callreel.domain.measures import CallSpeech, Span, measure
from callreel.domain.transcript import Segment
from callreel.postcall.call_audio import CallAudio, CallRows, channel_fault, open_call_audio, read_rows
from callreel.postcall.paused_audio import live_stretch_ms
from callreel.postcall.transcription import DETECT_BLOCK, own_speech
from callreel.review.costs import between_ms
from callreel.review.summary import live_offset_ms
from callreel.store.calls import calls, measures, originals, pauses
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore
from callreel.store.transcripts import revisions

FROM_ANSWER_MS = 1_500
"""A capture that began within this time of the answer began with it: the carrier reports whole seconds."""


class Measuring:
    """One idempotent step; blocks, about 20 s of processor time for an hour of call."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        new_detector: Callable[[], SpeechDetector],
        silence_limit_ms: int,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._new_detector = new_detector
        self._silence_limit_ms = silence_limit_ms

    def measure(self, call_id: CallId) -> int:
        """Measure a call that ended and save the result; returns the number of turns. Without audio nothing is saved.

        Nor once silenced copies replaced originals: the missing speech would falsify the earlier measures, which stay.
        """
        rows = read_rows(self._database, self._blobs, call_id)
        with self._database.read() as conn:
            # After the rows: with none replaced by now, the rows are those of originals.
            if originals.of_call(conn, call_id):
                return 0
        with open_call_audio(self._blobs, rows) as audio:
            use_live = not audio.cloud or bool(channel_fault(audio) and audio.live)
            sources = audio.live if use_live else audio.cloud
            if not sources:
                return 0
            speech = self._speech(sources)
            end_ms = max(source.size for source in sources.values()) // SAMPLES_PER_MS
            start_ms = _answer_ms(rows, audio, use_live=use_live)
        call = rows.call
        began_ms = 0 if use_live else live_offset_ms(call)
        with self._database.read() as conn:
            shown = revisions.shown(conn, call_id)
            stretches = [live_stretch_ms(pause) for pause in pauses.of_call(conn, call_id)]
        words: Counter[Role] | None = None
        if shown is not None:
            words = Counter()
            for turn in shown.turns:
                words[turn.role] += len(turn.text.split())
        answered_or_over = call.answered_at or call.ended_at
        captured = CallSpeech(
            speech,
            min(start_ms, end_ms),
            end_ms,
            [Span(began_ms + first, began_ms + last) for first, last in filter(None, stretches)],
            words,
            between_ms(call.created_at, answered_or_over) if answered_or_over else None,
        )
        measured = measure(captured, self._silence_limit_ms)
        with self._database.write() as conn:
            # The lock keeps the roles from being swapped between.
            calls.lock(conn, call_id)
            now = calls.get(conn, call_id)
            if now is not None:
                displayed = measured.swapped if now.roles_swapped else measured
                measures.put(conn, call_id, now.created_at, displayed)
        return measured.agent.turns + measured.technician.turns

    def _speech(self, sources: Mapping[Role, Source]) -> dict[Role, Sequence[Span]]:
        """When each party spoke, without the voice of the other one that leaks into its channel."""
        found: dict[Role, Sequence[Span]] = {}
        for role, source in sources.items():
            spoken = voice_activity(in_blocks(source, DETECT_BLOCK), self._new_detector())
            leaks: list[Segment] = []
            own = own_speech(
                role, source, sources.get(role.other),
                (SpeechSpan(start_ms, end_ms, end_ms) for start_ms, end_ms in spoken), leaks,
            )  # fmt: skip
            found[role] = [Span(span.start_ms, span.end_ms) for _, span in own]
        return found


def _answer_ms(rows: CallRows, audio: CallAudio, *, use_live: bool) -> int:
    """Where the answer lies in the measured capture; 0 without one, or if the capture began with it."""
    began: datetime | None = None
    if not use_live and audio.parts:
        began = audio.parts[0].row.started_at
    elif rows.streamed:
        began = rows.streamed[0].started_at
    if began is None or rows.call.answered_at is None:
        return 0
    before_ms = between_ms(began, rows.call.answered_at)
    return before_ms if before_ms >= FROM_ANSWER_MS else 0
