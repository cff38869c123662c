"""The media streams and recordings of one running call, started and stopped by its TwiML and over REST.

Together with `hang_up` and `redirect` this is everything that REST can do to a running call (`state.LiveCall`).
"""

from callreel.simulator.calls.cloud_recording import CloudRecording
from callreel.simulator.calls.context import CallContext
from callreel.simulator.calls.media_stream import MediaStream
from callreel.simulator.calls.recording_callbacks import RecordingCallbacks
from callreel.simulator.calls.twiml_script import Callback, StartRecording, StartStream, StreamRefusedError
from callreel.simulator.faults import LIST_FAULTS, RECORDING_REST_FAULTS
from callreel.simulator.scenario import RecordingOutcome, StreamOutcome
from callreel.simulator.state import Redirection, StreamState

BAD_STREAM = 31941
_RETURN_AFTER_MS = 1000


class CallMedia:
    """Positions `at_ms` are call time; methods without one act now."""

    def __init__(self, call: CallContext) -> None:
        self._call = call
        self._streams: list[MediaStream] = []
        self._callbacks: dict[str, RecordingCallbacks] = {}

    @property
    def stream_outcomes(self) -> tuple[StreamOutcome, ...]:
        return tuple(stream.outcome for stream in self._streams)

    @property
    def recording_outcomes(self) -> tuple[RecordingOutcome, ...]:
        return tuple(
            RecordingOutcome(
                recording.sid, recording.status, recording.start_ms, recording.began_at, recording.samples
            )
            for recording in self._recordings()
        )

    def hang_up(self) -> None:
        self._call.hang_up()

    def redirect(self, redirection: Redirection) -> None:
        self._call.redirect(redirection)

    def amend(self, time_limit_s: int | None, callback: Callback | None) -> None:
        self._call.callback = callback or self._call.callback
        if time_limit_s is not None:
            self._call.limit(time_limit_s)

    def start_stream(self, order: StartStream) -> StreamState:
        """Raises StreamRefusedError."""
        return self._state(self._begin_stream(order, self._call.clock.next_ms()), "in-progress")

    def stop_stream(self, sid_or_name: str) -> StreamState | None:
        """None if there is no such stream."""
        stopped = self.end_stream(sid_or_name, self._call.clock.next_ms())
        return self._state(stopped[-1], "stopped") if stopped else None

    def start_recording(self, order: StartRecording, source: str) -> CloudRecording:
        return self.begin_recording(order, source, self._call.clock.next_ms())

    def pause_recording(self, recording: CloudRecording, *, skip: bool) -> None:
        recording.pause(round(self._call.clock.now_ms()), skip=skip)

    def resume_recording(self, recording: CloudRecording) -> None:
        recording.resume(round(self._call.clock.now_ms()))

    def stop_recording(self, recording: CloudRecording, at_ms: int | None = None) -> None:
        """Stop a recording unless it has ended already."""
        if recording.ended:
            return
        recording.end(self._call.clock.next_ms() if at_ms is None else at_ms)
        self._call.spawn(self._callbacks[recording.sid].finish())

    def begin_stream(self, order: StartStream, at_ms: int) -> MediaStream | None:
        """Start a stream for TwiML; a refused one is a warning."""
        try:
            return self._begin_stream(order, at_ms)
        except StreamRefusedError as refused:
            self._call.warnings.append(f"{BAD_STREAM} {refused}")
            return None

    def end_stream(self, sid_or_name: str, at_ms: int) -> list[MediaStream]:
        """Stop the stream of that sid or name; returns it."""
        found = [stream for stream in self._streams if sid_or_name in (stream.sid, stream.order.name)]
        for stream in found:
            stream.stop(at_ms)
        return found

    def begin_recording(self, order: StartRecording, source: str, at_ms: int) -> CloudRecording:
        """Register a recording and report that it has started."""
        call = self._call
        one_channel = order.channels == "mono" or order.track != "both" or call.fault("mono") is not None
        recording = CloudRecording(
            sid=call.services.sids.new("RE"),
            call_sid=call.leg.sid,
            began_at=call.clock.moment(at_ms),
            start_ms=at_ms,
            channels=1 if one_channel else 2,
            track=order.track,
            trim=order.trim == "trim-silence",
            source=source,
            name=order.name,
        )
        recording.faults.add(call.script.faults, RECORDING_REST_FAULTS)
        call.services.state.list_faults.add(call.script.faults, LIST_FAULTS)
        call.services.state.recordings[recording.sid] = recording
        callbacks = self._callbacks[recording.sid] = RecordingCallbacks(call, recording, order.callback)
        callbacks.report_started()
        return recording

    def end_recordings(self, at_ms: int, name: str | None = None) -> None:
        """Stop all running recordings, or the one of that name."""
        for recording in self._recordings():
            if name in (None, recording.name):
                self.stop_recording(recording, at_ms)

    def _begin_stream(self, order: StartStream, at_ms: int) -> MediaStream:
        """A stream whose timestamp 0 is at `at_ms`, or later if its socket connects later."""
        order.check_beside(stream.order for stream in self._streams if not stream.over.is_set())
        late_ms = round(1000 * (self._call.fault("late-stream") or 0))
        stream = self._new_stream(order)
        self._call.spawn(self._run_stream(stream, at_ms + late_ms))
        return stream

    def _new_stream(self, order: StartStream) -> MediaStream:
        stream = MediaStream(self._call, order)
        self._streams.append(stream)
        return stream

    async def _run_stream(self, stream: MediaStream, start_ms: int) -> None:
        call = self._call
        returns_s = call.fault("socket-cut-and-return")
        # Only the first stream is cut, so that its replacement shows that the call continues.
        cut_s = returns_s or call.fault("socket-cut") if stream is self._streams[0] else None
        await stream.run(start_ms, None if cut_s is None else cut_s * 1000)
        if returns_s is not None and stream.cut:
            replacement = self._new_stream(stream.order)
            await replacement.run(call.clock.next_ms() + _RETURN_AFTER_MS)

    def _state(self, stream: MediaStream, status: str) -> StreamState:
        clock = self._call.clock
        return StreamState(stream.sid, stream.order.name, status, clock.moment(clock.now_ms()))

    def _recordings(self) -> list[CloudRecording]:
        return self._call.services.state.recordings_of(self._call.leg.sid)
