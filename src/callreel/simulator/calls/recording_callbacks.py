"""The callbacks of a recording, with the faults that affect them.

Parameters and order: reference/twilio.md, section 1.4. `completed` is sent only when the file can be downloaded.
"""

from callreel.domain.ids import RecordingSid
from callreel.simulator.calls.cloud_recording import CloudRecording
from callreel.simulator.calls.context import CallContext
from callreel.simulator.calls.twiml_script import Callback
from callreel.simulator.calls.webhook_forms import RecordingEvent, recording_status_form
from callreel.simulator.scenario import Stage

TOO_SHORT = 16101
_ALWAYS_SENT = "failed"  # no subscription to it is documented


class RecordingCallbacks:
    """The callbacks of one recording."""

    def __init__(self, call: CallContext, recording: CloudRecording, callback: Callback | None) -> None:
        self._call = call
        self._recording = recording
        self._callback = callback

    def report_started(self) -> None:
        """Report that the recording runs, unless a fault reorders the callbacks."""
        if self._call.fault("callback-reordered") is None:
            self._send("in-progress")

    async def finish(self) -> None:
        """Wait for the processing delay, make the file, and report the final status."""
        recording, call = self._recording, self._call
        recording.status = "processing"
        await call.clock.reach((recording.end_ms or 0) + call.services.recording_delay_s * 1000)
        self._settle()
        recording.updated_at = call.clock.moment(call.clock.now_ms())
        call.report_progress(Stage.RECORDED, call.clock.now_ms())
        if delay_s := call.fault("callback-delayed"):
            await call.clock.reach(call.clock.now_ms() + delay_s * 1000)
        if call.fault("callback-lost") is None:
            self._send(recording.status)
        if call.fault("callback-reordered") is not None:
            self._send("in-progress")

    def _settle(self) -> None:
        """Set the final status, and make the file if there is one."""
        recording, call = self._recording, self._call
        absent = call.fault("absent")
        if absent is not None:
            recording.status, recording.error_code = "absent", round(absent)
            return
        if call.fault("failed") is not None:
            recording.status = "failed"
            return
        recording.process(call.audio)
        if recording.duration_ms:
            recording.status = "completed"
        else:
            recording.samples, recording.status, recording.error_code = None, "absent", TOO_SHORT

    def _send(self, status: str) -> None:
        callback = self._callback
        if callback is None or (status not in callback.events and status != _ALWAYS_SENT):
            return
        form = self._form(status)
        token = self._call.services.sids.uuid()
        for time in range(round(self._call.fault("callback-repeated") or 1)):
            self._call.post(f"recording {self._recording.sid}", callback, form, token if time else None)

    def _form(self, status: str) -> dict[str, str]:
        recording, account_sid = self._recording, self._call.services.account.sid
        claimed_ms = recording.duration_ms + 1000 * (self._call.fault("wrong-duration") or 0)
        return recording_status_form(
            RecordingEvent(
                recording_sid=RecordingSid(recording.sid),
                leg_sid=self._call.leg_sid,
                account_sid=account_sid,
                status=status,
                url=self._call.services.recording_url(recording.sid),
                start_time=recording.began_at,
                channels=recording.channels,
                track=recording.track,
                source=recording.source,
                duration_s=round(claimed_ms / 1000),
                error_code=recording.error_code or 0,
            )
        )
