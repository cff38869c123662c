"""The compare stage: compares the live layers with the recording and gives the call its verdict."""

import sys
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise, zip_longest

from callreel.audio.align import compare
from callreel.audio.parts import Joined, Part
from callreel.audio.samples import SAMPLES_PER_MS
from callreel.audio.source import Source, Stretch, last_sound
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.call import CallState, Role
from callreel.domain.consent import Stamp
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.pause import CarrierPause, PauseEnd
from callreel.domain.recording import CloudState, Layer
from callreel.domain.verdict import (
    RECORDING_OFF,
    ChannelFault,
    Comparison,
    Facts,
    Judgement,
    Limits,
    judge,
)
from callreel.postcall.call_audio import CallAudio, CallRows, channel_fault, open_call_audio, read_rows
from callreel.review.costs import main_recording
from callreel.review.live_score import text_score
from callreel.runtime.clock import Clock
from callreel.store.calls import calls, consents, pauses
from callreel.store.calls.calls import CallRow
from callreel.store.calls.pauses import PauseRow
from callreel.store.calls.recordings import RecordingRow
from callreel.store.calls.streams import EndedBy, StreamRow
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore
from callreel.store.transcripts import finals, live_scores

PAUSE_EDGE_MS = 500


@dataclass(frozen=True, slots=True)
class _Pair:
    """One role's layer 1 and its channel of layer 3, both 8 kHz."""

    live: Source
    cloud: Source


class LayerComparison:
    """One idempotent step; blocks, a second or two for an hour of call."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        publisher: EventPublisher,
        clock: Clock,
        limits: Limits,
        *,
        tracks: int,
        record: bool = True,
    ) -> None:
        """`tracks`: how many tracks the carrier was asked to stream and to record, whichever is fewer.

        `record`: whether it was asked to record at all.
        """
        self._database = database
        self._blobs = blobs
        self._publisher = publisher
        self._clock = clock
        self._limits = limits
        self._tracks = tracks
        self._record = record

    def compare(self, call_id: CallId) -> int:
        """Give the call its verdict and close it; returns the number of reasons."""
        rows = read_rows(self._database, self._blobs, call_id)
        with self._database.read() as conn:
            consent = consents.of_call(conn, call_id)
        if consent is not None and consent.stopped_at is not None:
            # What there still is of its captures is being erased.
            nothing = Facts(CloudState.MISSING, streams=0, not_recorded=consent.unrecorded)
            return self._judged(rows.call, judge((), nothing, self._limits), ())
        with open_call_audio(self._blobs, rows) as audio:
            comparisons, between_ms = _compare(audio, rows.streamed)
            facts = self._facts(rows, audio, channel_fault(audio, comparisons), between_ms, consent)
        return self._judged(rows.call, judge(comparisons, facts, self._limits), comparisons)

    def _judged(self, call: CallRow, judgement: Judgement, comparisons: tuple[Comparison, ...]) -> int:
        self._keep(call, judgement, comparisons)
        return len(judgement.reasons)

    def _facts(
        self,
        rows: CallRows,
        audio: CallAudio,
        fault: ChannelFault | None,
        between_ms: int,
        consent: Stamp | None,
    ) -> Facts:
        streamed, parts = rows.streamed, audio.parts
        recording = parts[0].row if parts else main_recording(rows.recorded)
        code = recording.error_code if recording else None
        reported_s = [part.row.duration_s for part in parts]
        with self._database.read() as conn:
            paused_by_us = pauses.of_call(conn, rows.call.id)
            live_speech_ms = sum(
                final.segment.end_ms - final.segment.start_ms
                for final in finals.of_call(conn, rows.call.id)
                if final.words
            )
        # Between two consecutive recordings nothing was recorded, as in a pause.
        paused = len(parts) > 1 or any(part.row.paused for part in parts)
        paused |= any(map(_never_resumed, paused_by_us))
        # The process died between making the files and saving the row of their stream.
        unsaved_stream = not streamed and any(f.layer is Layer.LIVE_8K for f in rows.files)
        return Facts(
            cloud_state=recording.state if recording else CloudState.MISSING,
            cloud_error_code=None if code is None else str(code),
            cloud_channels=parts[0].file.channels if parts else 2,
            callback_duration_s=reported_s[0] if len(reported_s) == 1 else None,
            streams=len(streamed) + unsaved_stream,
            stream_cut=unsaved_stream
            or any(s.ended_by in (EndedBy.SOCKET, EndedBy.SERVER) for s in streamed),
            stream_started_late_ms=_late_ms(recording, streamed),
            frames_lost_ms={role: _count(streamed, role, "gap_ms") for role in Role},
            frames_late=sum(_count(streamed, role, "late") for role in Role),
            between_streams_ms=between_ms,
            tracks=self._tracks,
            not_recorded=(consent.unrecorded if consent else None)
            or (None if self._record else RECORDING_OFF),
            notice_missing=consent.unannounced(rows.call.answered_at is not None) if consent else None,
            paused=paused,
            pauses=len(paused_by_us),
            pause_edges_ms=sum(map(_edges_ms, paused_by_us)),
            # A pause that was cut out of the file can leave too little to align.
            fault=None if (paused or paused_by_us) and fault is ChannelFault.UNRELATED else fault,
            live_speech_ms=live_speech_ms,
            imported=rows.call.imported,
        )

    def _keep(self, call: CallRow, judgement: Judgement, comparisons: tuple[Comparison, ...]) -> None:
        reasons: list[Json] = [
            {"code": reason.code, "role": reason.role, "detail": reason.detail}
            for reason in judgement.reasons
        ]
        with self._database.read() as conn:
            # Now it is known where the live text lies in the recording.
            score = text_score(conn, replace(call, comparisons=comparisons))
        with self._database.write() as conn:
            known = calls.get(conn, call.id)
            closed = calls.set_state(conn, call.id, CallState.CLOSED, self._clock.now())
            same = known is not None and (known.verdict, known.reasons) == (
                judgement.verdict,
                judgement.reasons,
            )
            calls.set_verdict(conn, call.id, judgement.verdict, judgement.reasons, comparisons)
            live_scores.put(conn, call.id, score)
            if same and not closed:
                return  # the step was interrupted after this transaction and runs again
            verdict = LiveEvent(
                call.id, EventKind.VERDICT, {"verdict": judgement.verdict, "reasons": reasons}
            )
            events = [
                self._publisher.record(conn, verdict),
                self._publisher.record(conn, LiveEvent(call.id, EventKind.CALL, {"state": CallState.CLOSED})),
            ]
        self._publisher.publish(*events)


_MAYBE_PAUSED = (CarrierPause.PAUSED, CarrierPause.AWAY)


def _never_resumed(pause: PauseRow) -> bool:
    """Whether the carrier's recording may be silent from a pause on to its end."""
    ended_before_the_call = pause.ended_at is not None and pause.ended_by is not PauseEnd.CALL
    return ended_before_the_call and not pause.carrier_resumed and pause.carrier in _MAYBE_PAUSED


def _edges_ms(pause: PauseRow) -> int:
    """How much sound around a pause one capture may lack: until the carrier resumed, and a moment at its start."""
    resumed_ms = 0
    if pause.ended_at is not None and pause.carrier_resumed and pause.carrier in _MAYBE_PAUSED:
        resumed_ms = round((pause.carrier_at - pause.ended_at).total_seconds() * 1000)
    return PAUSE_EDGE_MS + max(0, resumed_ms)


def _compare(audio: CallAudio, streamed: list[StreamRow]) -> tuple[tuple[Comparison, ...], int]:
    """One comparison a role, and how much time in ms lies between the streams."""
    pairs = {role: _Pair(audio.live[role], audio.cloud[role]) for role in audio.compared}
    if not pairs:
        return (), _between_ms({role: _parts(streamed, role, None) for role in Role})
    parts = {role: _parts(streamed, role, pair.live) for role, pair in pairs.items()}
    between_ms = _between_ms(parts)
    if len(streamed) > 1:
        starts = _starts(pairs, parts)
        pairs = {
            role: _Pair(_moved(pair.live, parts[role], starts), pair.cloud) for role, pair in pairs.items()
        }
        parts = {role: _shifted(parts[role], starts) for role in parts}
    comparisons = (
        compare(role, pair.live, pair.cloud, concealed_gaps_ms=_gaps_ms(parts[role]))
        for role, pair in pairs.items()
    )
    return tuple(comparisons), between_ms


def _moved(live: Source, parts: list[Part], starts: list[int]) -> Joined:
    return Joined([Stretch(live, part.start, part.end) for part in parts], starts)


def _count(streamed: list[StreamRow], role: Role, name: str) -> int:
    total = 0
    for stream in streamed:
        counts = stream.counts.get(role)
        value = counts.get(name, 0) if isinstance(counts, dict) else 0
        total += value if isinstance(value, int) else 0
    return total


def _parts(streamed: list[StreamRow], role: Role, live: Source | None) -> list[Part]:
    """Each stream's part of `role`'s layer 1, in samples. Without any stream the whole layer counts as one part.

    The end of a stream whose process was killed is unknown: the layer is silent from there to the next stream. Without the
    layer, the stream counts as reaching the next one.
    """
    size = live.size if live is not None else sys.maxsize
    if not streamed:
        return [Part(0, size)]
    parts = []
    for stream, after in zip_longest(streamed, streamed[1:]):
        start = stream.origin_ms * SAMPLES_PER_MS
        stop = size if after is None else min(after.origin_ms * SAMPLES_PER_MS, size)
        end = _count([stream], role, "end_ms") * SAMPLES_PER_MS
        if end:
            stop = min(end, stop)
        elif after is not None and live is not None:
            stop = last_sound(live, start, stop)
        parts.append(Part(start, stop))
    return parts


def _starts(pairs: dict[Role, _Pair], parts: dict[Role, list[Part]]) -> list[int]:
    """Where each stream's part starts in the live layer, by its position in the recording.

    A stream has one clock for both parties, so the party that correlates better places both. A part without speech stays
    where its arrival put it.
    """
    offsets: list[int | None] = []
    for number in range(len(next(iter(parts.values()), []))):
        found = [
            compare(role, Stretch(pair.live, parts[role][number].start, parts[role][number].end), pair.cloud)
            for role, pair in pairs.items()
        ]
        best = max(found, key=lambda comparison: comparison.correlation or 0.0)
        offsets.append(round(best.offset_ms * SAMPLES_PER_MS) if best.aligned else None)
    planned = [part.start for part in next(iter(parts.values()), [])]
    first = next((o - p for o, p in zip(offsets, planned, strict=True) if o is not None), 0)
    return [p if o is None else max(o - first, 0) for o, p in zip(offsets, planned, strict=True)]


def _shifted(parts: list[Part], starts: list[int]) -> list[Part]:
    return [Part(start, start + part.end - part.start) for part, start in zip(parts, starts, strict=True)]


def _gaps_ms(parts: list[Part]) -> list[tuple[int, int]]:
    """The time between streams, in which the live layer is silent."""
    return [
        (before.end // SAMPLES_PER_MS, -(-after.start // SAMPLES_PER_MS))
        for before, after in pairwise(parts)
        if after.start > before.end
    ]


def _between_ms(parts: dict[Role, list[Part]]) -> int:
    """The time between streams, by their arrival."""
    gaps = [[max(after.start - before.end, 0) for before, after in pairwise(of)] for of in parts.values()]
    shared: list[int] = [min(gap) for gap in zip(*gaps, strict=True)]
    return sum(shared) // SAMPLES_PER_MS


def _late_ms(recording: RecordingRow | None, streamed: list[StreamRow]) -> int | None:
    """By the wall clock, to the second: the carrier reports whole seconds."""
    began: datetime | None = recording.started_at if recording else None
    if began is None or not streamed:
        return None
    return round((streamed[0].started_at - began).total_seconds() * 1000)
