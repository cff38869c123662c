"""The streams and recordings of one running call: begun and ended by its TwiML and over REST.

This is also all that REST can do to a running call (`ledger.LiveCall`). What a stream or recording is made of:
`media_stream`, `cloud_recording`.
"""

from callreel.simulator.calls.cloud_recording import CloudRecording
from callreel.simulator.calls.context import CallContext
from callreel.simulator.calls.media_stream import MediaStream
from callreel.simulator.calls.recording_callbacks import RecordingCallbacks
from callreel.simulator.calls.twiml_script import StartRecording, StartStream
from callreel.simulator.scenario import RecordingOutcome, StreamOutcome

_RETURN_AFTER_MS = 1000
_DOWNLOAD_FAULTS = ("media-404", "media-429", "media-500", "media-truncated")


class CallMedia:
    """Positions `at_ms` are call time; methods without one act now."""

    def __init__(self, call: CallContext) -> None:
        self._call = call
        self._streams: list[MediaStream] = []
        self._notices: dict[str, RecordingCallbacks] = {}

    @property
    def stream_outcomes(self) -> tuple[StreamOutcome, ...]:
        return tuple(stream.outcome for stream in self._streams)

    @property
    def recording_outcomes(self) -> tuple[RecordingOutcome, ...]:
        return tuple(
            RecordingOutcome(recording.sid, recording.status, recording.start_ms, recording.samples)
            for recording in self._recordings()
        )

    def hang_up(self) -> None:
        self._call.hang_up()

    def start_stream(self, order: StartStream) -> str:
        """Returns the new stream's sid."""
        return self.begin_stream(order, self._call.clock.next_ms())

    def stop_stream(self, sid_or_name: str) -> bool:
        """Whether there was such a stream."""
        return self.end_stream(sid_or_name, self._call.clock.next_ms())

    def start_recording(self, order: StartRecording, source: str) -> CloudRecording:
        return self.begin_recording(order, source, self._call.clock.next_ms())

    def pause_recording(self, recording: CloudRecording, *, skip: bool) -> None:
        recording.pause(round(self._call.clock.now_ms()), skip=skip)

    def resume_recording(self, recording: CloudRecording) -> None:
        recording.resume(round(self._call.clock.now_ms()))

    def stop_recording(self, recording: CloudRecording) -> None:
        self._end(recording, self._call.clock.next_ms())

    def begin_stream(self, order: StartStream, at_ms: int) -> str:
        """A stream whose timestamp 0 lies at `at_ms`, or later when the socket is not there by then; returns its sid."""
        late_ms = round(1000 * (self._call.fault("late-stream") or 0))
        stream = self._new_stream(order)
        self._call.spawn(self._run_stream(stream, at_ms + late_ms))
        return stream.sid

    def end_stream(self, sid_or_name: str, at_ms: int) -> bool:
        """Whether there was such a stream."""
        found = [stream for stream in self._streams if sid_or_name in (stream.sid, stream.order.name)]
        for stream in found:
            stream.stop(at_ms)
        return bool(found)

    def begin_recording(self, order: StartRecording, source: str, at_ms: int) -> CloudRecording:
        """Register it, and tell its callback that it runs."""
        call = self._call
        one_channel = order.channels == "mono" or order.track != "both" or call.fault("mono") is not None
        recording = CloudRecording(
            sid=call.exchange.sids.new("RE"),
            call_sid=call.leg.sid,
            began_at=call.clock.moment(at_ms),
            start_ms=at_ms,
            channels=1 if one_channel else 2,
            track=order.track,
            trim=order.trim == "trim-silence",
            source=source,
            name=order.name,
            bad_downloads={kind: round(call.fault(kind) or 0) for kind in _DOWNLOAD_FAULTS},
        )
        call.exchange.ledger.recordings[recording.sid] = recording
        notices = self._notices[recording.sid] = RecordingCallbacks(call, recording, order.callback)
        notices.report_started()
        return recording

    def end_recordings(self, at_ms: int, name: str | None = None) -> None:
        """End those that still run, or the one of that name."""
        for recording in self._recordings():
            if not recording.ended and name in (None, recording.name):
                self._end(recording, at_ms)

    def _end(self, recording: CloudRecording, at_ms: int) -> None:
        recording.end(at_ms)
        self._call.spawn(self._notices[recording.sid].ended())

    def _new_stream(self, order: StartStream) -> MediaStream:
        stream = MediaStream(self._call, order)
        self._streams.append(stream)
        return stream

    async def _run_stream(self, stream: MediaStream, start_ms: int) -> None:
        call = self._call
        returns_s = call.fault("socket-cut-and-return")
        # It strikes the call's first stream: what comes back is to show that a call goes on.
        cut_s = returns_s or call.fault("socket-cut") if stream is self._streams[0] else None
        await stream.run(start_ms, None if cut_s is None else cut_s * 1000)
        if returns_s is not None and stream.cut:
            again = self._new_stream(stream.order)
            await again.run(call.clock.next_ms() + _RETURN_AFTER_MS)

    def _recordings(self) -> list[CloudRecording]:
        return self._call.exchange.ledger.recordings_of(self._call.leg.sid)
