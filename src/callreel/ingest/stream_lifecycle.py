"""Opening and closing media streams: a stream joins a call by its one-time token, fills its lanes, and leaves again.

A stream that ends does not end its call: another may continue it, also in another process, which then takes the call
over (`ingest/call_ownership`, `ingest/handover`).
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from callreel.audio.levels import dbfs
from callreel.audio.samples import ASR_HZ, SAMPLES_PER_MS, TELEPHONE_HZ
from callreel.cluster.event_publisher import EventPublisher
from callreel.cluster.group_commit import GroupCommit, Written
from callreel.domain.call import Role, Topology, Track
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import LegSid
from callreel.domain.measures import live_measures
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.ingest.call_ownership import CallOwnership, Claim
from callreel.ingest.call_registry import CallRegistry, CaptureOptions, LiveCall, LiveStream, Transcription
from callreel.ingest.lane import LEVEL_EVERY_MS, Lane, LanePaths
from callreel.ingest.live_pauses import restore
from callreel.ingest.voice_request import TOKEN_PARAMETER
from callreel.runtime.clock import Clock
from callreel.runtime.counters import GAP_MS, Counters
from callreel.store.audio.live_layers import layer_event, layer_file
from callreel.store.calls import consents, layers, streams
from callreel.store.calls.calls import CallRow
from callreel.store.calls.streams import EndedBy, StreamRow
from callreel.store.db.write_retry import SHUT_DOWN_S, retry_in_thread, retry_until_stored
from callreel.twilio.stream import Started

log = logging.getLogger(__name__)

TRANSCRIBED_BLOCK_MS = 20
"""Audio that is transcribed live is written and passed on as it comes, so that no word waits for a block."""
FRAME_COUNTS = ("repeated", "late", "reordered", "refused")


class StreamLifecycle:
    """Runs on the event loop."""

    def __init__(
        self,
        registry: CallRegistry,
        ownership: CallOwnership,
        commits: GroupCommit,
        clock: Clock,
        counters: Counters,
        transcription: Transcription,
        publisher: EventPublisher,
        options: CaptureOptions,
    ) -> None:
        self.registry = registry
        self._ownership = ownership
        self._commits = commits
        self._clock = clock
        self._counters = counters
        self._transcription = transcription
        self._publisher = publisher
        self._options = options

    async def open(self, started: Started) -> LiveStream | None:
        """The stream that `started` announces, or None when its token does not admit it. Redeems the token."""
        arrived_s = self._clock.monotonic_s()
        with self.registry.opening():
            claim = await self._ownership.claim(started.parameters.get(TOKEN_PARAMETER, ""), started.leg_sid)
        if claim is None:
            return None
        row = claim.row
        call = self.registry.get(row.id) or self.registry.add(
            LiveCall(row.id, LegSid(row.leg_sid), Topology(inbound=row.inbound_role), row.language, arrived_s)
        )
        call.joined += 1
        call.stop_lingering()
        for old in list(call.streams.values()):
            # The carrier has one stream of ours on a leg: the old socket hangs, or its end has not arrived yet.
            old.request_end()
            await self._leave(old, EndedBy.SOCKET)
        async with call.lock:
            try:
                if not call.lanes or claim.taken_over:
                    await self._make_lanes(call, claim, arrived_s)
                return await self._join(call, row, started, arrived_s)
            except BaseException:
                if not call.streams:
                    self.registry.remove(row.id)
                raise

    async def close_all(self) -> None:
        """The server stops: close all streams, so that files are whole."""
        # Concurrently: one after the other would take as many disk syncs as there are streams.
        ended = await asyncio.gather(
            *(stream.close(EndedBy.SERVER) for stream in self.registry.streams), return_exceptions=True
        )
        for error in ended:
            if isinstance(error, Exception):
                log.error("stream not closed in order; recovery closes it at the next start: %s", error)

    async def _make_lanes(self, call: LiveCall, claim: Claim, arrived_s: float) -> None:
        start = await self._ownership.starting_point(claim, is_new=claim.is_new and not call.lanes)
        if start.zero_at is not None:
            into_s = (self._wall_time(arrived_s) - start.zero_at).total_seconds()
            call.first_started_s = arrived_s - max(0.0, into_s)
        call.length_ms = start.length_ms
        restore(call, claim.pauses, self._clock.monotonic_s())
        call.lanes = {
            role: self._new_lane(call, role, start.paths[role], start.first_number) for role in Role
        }

    def _wall_time(self, monotonic_s: float) -> datetime:
        """Independent of how long the database kept us waiting since."""
        return self._clock.now() - timedelta(seconds=self._clock.monotonic_s() - monotonic_s)

    async def _join(self, call: LiveCall, row: CallRow, started: Started, arrived_s: float) -> LiveStream:
        # A stream's timestamps start at 0, so only its arrival shows where in the call it lies.
        by_arrival_ms = round(1000 * (arrived_s - call.first_started_s))
        origin_ms = max(by_arrival_ms, call.length_ms, *(lane.length_ms for lane in call.lanes.values()))
        tracks = started.tracks or (Track.INBOUND, Track.OUTBOUND)
        lanes = {track: call.lanes[call.topology.role_of_track(track)] for track in tracks}
        for lane in lanes.values():
            lane.begin(origin_ms)
        stream = LiveStream(call, started.stream_sid, lanes, self._counters, self._close)
        call.streams[started.stream_sid] = stream
        stream_row = StreamRow(
            sid=started.stream_sid,
            call_id=row.id,
            leg_sid=started.leg_sid,
            origin_ms=origin_ms,
            started_at=self._wall_time(arrived_s),
            owner=self._options.process,
        )
        files = self._layer_files(list(lanes.values()), LayerState.RECORDING)

        def save(conn: Connection) -> Written:
            streams.insert(conn, stream_row)
            layers.upsert_all(conn, row.id, files, owner=stream_row.owner)
            if consents.is_stopped(conn, row.id):  # since its token was redeemed
                stop = (partial(self._ownership.recording_stopped, row.id),)
                return Written(tuple(layer_event(row.id, file) for file in files), stop)
            return Written(tuple(layer_event(row.id, file) for file in files))

        await retry_until_stored("stream start", lambda: self._commits.commit(save, row.leg_sid))
        log.info(
            "stream opened",
            extra={"call_id": row.id, "leg_sid": started.leg_sid, "stream_sid": started.stream_sid},
        )
        return stream

    def _new_lane(self, call: LiveCall, role: Role, paths: LanePaths, first_number: int) -> Lane:
        listener = self._transcription.endpointer(call.id, role, first_number, language=call.language)
        max_lag_ms = self._transcription.max_lag_ms
        block_ms = self._options.block_ms if max_lag_ms else min(TRANSCRIBED_BLOCK_MS, self._options.block_ms)
        return Lane(
            role, paths, listener, block_ms=block_ms, max_lag_ms=max_lag_ms, paused=call.paused,
            on_progress=lambda: self._publish_level(call), keys=self._options.keys,
        )  # fmt: skip

    async def _close(self, stream: LiveStream, ended_by: EndedBy) -> None:
        if await self._leave(stream, ended_by) and not stream.call.streams:
            self._ownership.last_stream_closed(stream.call, ended_by)

    async def _leave(self, stream: LiveStream, ended_by: EndedBy) -> bool:
        """Take the stream out of its call and close its files; False when that was done before."""
        call = stream.call
        if call.streams.pop(stream.sid, None) is None:
            return False
        async with call.lock:
            await self._save_end(stream, ended_by)
        log.info("stream closed reason=%s", ended_by, extra={"call_id": call.id})
        return True

    async def _save_end(self, stream: LiveStream, ended_by: EndedBy) -> None:
        call, lanes = stream.call, list(stream.lanes.values())
        counts: dict[str, Json] = {lane.role: self._end_lane(lane) for lane in lanes}
        stream.span.set_attribute("callreel.ended_by", ended_by)
        stream.span.end()

        def synced_files() -> list[LayerFile]:
            for lane in lanes:
                lane.sync()
            return self._layer_files(lanes, LayerState.CLOSED)

        give_up_s = SHUT_DOWN_S if ended_by is EndedBy.SERVER else None
        files = await retry_in_thread("stream end", synced_files, give_up_s=give_up_s)

        def save(conn: Connection) -> Written:
            streams.finish(conn, stream.sid, self._clock.now(), ended_by, counts)
            layers.upsert_all(conn, call.id, files)
            return Written(tuple(layer_event(call.id, file) for file in files))

        await retry_until_stored(
            "stream end", lambda: self._commits.commit(save, call.leg_sid), give_up_s=give_up_s
        )

    def _end_lane(self, lane: Lane) -> dict[str, Json]:
        """End a lane's stream; its frame counts, and how far layer 1 reaches."""
        counted = lane.end()
        for name in FRAME_COUNTS:
            self._counters.add(f"frames_{name}", getattr(counted, name))
        self._counters.add("frames_placed", counted.frames - counted.repeated - counted.refused)
        self._counters.add(GAP_MS, counted.gap_ms)
        return {**asdict(counted), "end_ms": lane.length_ms, "disk_lost_ms": lane.disk_lost_ms}

    def _layer_files(self, lanes: Sequence[Lane], state: LayerState) -> list[LayerFile]:
        return [
            layer_file(
                layer,
                lane.role,
                path,
                rate_hz,
                state,
                self._options.data_dir,
                self._options.spool,
                self._options.keys,
            )
            for lane in lanes
            for layer, path, rate_hz in (
                (Layer.LIVE_8K, lane.paths.live_8k, TELEPHONE_HZ),
                (Layer.LIVE_16K, lane.paths.live_16k, ASR_HZ),
            )
        ]

    def _publish_level(self, call: LiveCall) -> None:
        """Publish the levels of both parties, at most once each `LEVEL_EVERY_MS` of audio."""
        reached = max(lane.samples for lane in call.lanes.values())
        call.note_lead(reached, self._clock.monotonic_s())
        if reached < call.next_level_samples:
            return
        call.next_level_samples = reached + LEVEL_EVERY_MS * SAMPLES_PER_MS
        if not self._publisher.has_listeners(call.id):
            return
        levels = {f"{role}_dbfs": round(dbfs(lane.level_block), 1) for role, lane in call.lanes.items()}
        position_ms = reached // SAMPLES_PER_MS
        talk = live_measures({lane.role: lane.spoken for lane in call.lanes.values()}, position_ms)
        data = {**levels, **talk, "position_ms": position_ms, **self._transcription.load()}
        self._publisher.publish(LiveEvent(call.id, EventKind.LEVEL, {**data}))
