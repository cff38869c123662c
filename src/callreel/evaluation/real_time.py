"""A recording heard as if it were live, in real time: blocks come when they would on a call, on the machine's own clock.

The transcription is the server's own, with its queue, its engine processes and a database in a folder for the time
being; what is left out is the network and the browser. It takes as long as the recording does, and its times are those of
this machine as busy as it is. `services/simulated_live` is the quick way.
"""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from callreel.asr.stability import Showing
from callreel.asr.workers.host import EngineHost
from callreel.audio.resample import Upsampler
from callreel.audio.samples import SAMPLES_PER_MS
from callreel.audio.segmenter import SegmenterOptions, SpeechDetector
from callreel.cluster.event_bus import EventBus
from callreel.cluster.event_publisher import EventPublisher
from callreel.cluster.group_commit import GroupCommit
from callreel.domain.call import Direction, Role
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId, LegSid
from callreel.domain.transcript import Final, Word
from callreel.evaluation.decoding import cpu_seconds
from callreel.evaluation.material import Recorded
from callreel.evaluation.simulated_live import BLOCK_MS, Given, LiveRun, Shown
from callreel.live.spill import Spill
from callreel.live.transcription import LiveTranscription
from callreel.runtime.clock import Clock
from callreel.runtime.counters import Counters
from callreel.store.calls import calls
from callreel.store.calls.calls import CallRow
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore
from callreel.store.transcripts import finals

_CALL = CallId("0e7a1a7ed000")


async def hear_in_real_time(
    recorded: Recorded,
    host: EngineHost,
    *,
    new_detector: "type[SpeechDetector]",
    segmenter: SegmenterOptions,
) -> LiveRun:
    """All lanes of `recorded` at once, from the first block to the last final. `host` has been started."""
    with TemporaryDirectory(prefix="callreel-") as folder:
        database = Database.open(f"sqlite:///{Path(folder, 'live.db')}")
        try:
            await asyncio.to_thread(_prepare, database)
            return await _hear(recorded, host, database, BlobStore(Path(folder)), new_detector, segmenter)
        finally:
            database.close()


def _prepare(database: Database) -> None:
    database.migrate()
    row = CallRow(
        id=_CALL, direction=Direction.OUTGOING, agent="evaluated", remote_number="+12025550100",
        leg_sid=LegSid("CA" + "0" * 32), inbound_role=Role.AGENT, created_at=datetime.now(UTC),
    )  # fmt: skip
    with database.write() as conn:
        calls.insert(conn, row)


async def _hear(
    recorded: Recorded,
    host: EngineHost,
    database: Database,
    blobs: BlobStore,
    new_detector: "type[SpeechDetector]",
    segmenter: SegmenterOptions,
) -> LiveRun:
    clock = Clock()
    listener = _Listener(database, EventBus(), clock)
    transcription = LiveTranscription(
        host, database, listener, GroupCommit(database, listener), clock, Counters(),
        workers=host.workers, new_detector=new_detector, segmenter=segmenter, spill=Spill(database, blobs),
    )  # fmt: skip
    transcription.start()
    cpu_before = cpu_seconds(host.pids)
    try:
        listener.began_s = time.monotonic()
        await _feed(recorded, transcription, listener.began_s)
        await transcription.finish_call(_CALL)
    finally:
        await transcription.close()
    cpu_after = cpu_seconds(host.pids)
    with database.read() as conn:
        kept = finals.of_call(conn, _CALL)
    return LiveRun(
        finals=[listener.given(final) for final in kept],
        partials=listener.partials,
        asked_finals=len(kept),
        partials_shed=transcription.partials_shed,
        finals_spilled=transcription.spilled_total,
        levels=[transcription.overload],
        cpu_s=0.0 if cpu_before is None or cpu_after is None else cpu_after - cpu_before,
    )


async def _feed(recorded: Recorded, transcription: LiveTranscription, began_s: float) -> None:
    """Each block when it has been spoken."""
    lanes = recorded.lanes()
    endpointers = {role: transcription.endpointer(_CALL, role) for role in lanes}
    upsamplers = {role: Upsampler(0) for role in lanes}
    length_ms = max(lane.size for lane in lanes.values()) // SAMPLES_PER_MS
    for now_ms in range(BLOCK_MS, length_ms + BLOCK_MS, BLOCK_MS):
        await asyncio.sleep(max(0.0, began_s + now_ms / 1000 - time.monotonic()))
        for role, lane in lanes.items():
            block = lane[(now_ms - BLOCK_MS) * SAMPLES_PER_MS : now_ms * SAMPLES_PER_MS]
            endpointers[role].push(block, upsamplers[role].push(block))
    for role, endpointer in endpointers.items():
        endpointer.push(np.zeros(0, np.int16), upsamplers[role].finish())
        endpointer.pause()


class _Listener(EventPublisher):
    """Who would be told, and when: what a browser gets, without the browser."""

    def __init__(self, database: Database, bus: EventBus, clock: Clock) -> None:
        super().__init__(database, bus, clock)
        self.began_s = 0.0
        self.partials: list[Shown] = []
        self.finals_ms: dict[tuple[Role, int], float] = {}

    def given(self, final: Final) -> Given:
        """The final with when it was told, and how many words of its segment had been shown as stable."""
        where = (final.segment.role, final.segment.number)
        stable = [len(shown.showing.stable) for shown in self.partials if (shown.role, shown.number) == where]
        return Given(final, self.finals_ms[where], max(stable, default=0))

    def has_listeners(self, call_id: CallId) -> bool:
        return True

    def publish(self, *events: LiveEvent) -> None:
        at_ms = 1000 * (time.monotonic() - self.began_s)
        for event in events:
            if event.kind not in (EventKind.PARTIAL, EventKind.FINAL):
                continue
            role, number = Role(str(event.data["role"])), int(str(event.data["number"]))
            if event.kind is EventKind.FINAL:
                self.finals_ms[role, number] = at_ms
            else:
                showing = Showing(_words(event.data["stable"]), _words(event.data["tentative"]))
                self.partials.append(Shown(role, number, at_ms, showing))


def _words(text: Json) -> tuple[Word, ...]:
    return tuple(Word(word, 0, 0) for word in str(text).split())
