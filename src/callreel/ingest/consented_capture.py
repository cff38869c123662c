"""Starts recording and streaming over REST on calls whose other party agreed, and never before that is committed.

The carrier refuses both until the parent leg is in progress, which an outgoing call's is from the bridge on (error 21220),
so they are requested repeatedly for a while. The recording comes first: the live layers are expected to start after it. A
call whose process died before it was done is found in the rows by any other one; a claim keeps two from doing it at once.
"""

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import Connection

from callreel.cluster.group_commit import GroupCommit, Written
from callreel.domain.call import CallState
from callreel.domain.errors import CarrierError, StoreError
from callreel.domain.ids import CallId
from callreel.ingest.consent_documents import consent_event
from callreel.ingest.stream_restart import StreamRestarter
from callreel.ingest.voice_request import AnswerOptions
from callreel.runtime.clock import Clock
from callreel.runtime.periodic import PeriodicJob
from callreel.store.calls import calls, consents
from callreel.store.calls.calls import CallRow
from callreel.store.db.database import Database

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 5.0
CLAIM = timedelta(seconds=30)
TRY_FOR_S = 25.0
"""Less than a claim lasts."""
EVERY_S = 0.1
THREADS = 16
NOT_YET = frozenset({400, 404, 409})
"""What the carrier answers while the leg is not in progress yet."""


class ConsentedCapture:
    """Requests run in threads of their own, since each may wait for the carrier. All methods are safe from any thread."""

    def __init__(
        self,
        database: Database,
        commits: GroupCommit,
        restarter: StreamRestarter,
        options: AnswerOptions,
        clock: Clock,
    ) -> None:
        self._database = database
        self._commits = commits
        self._restarter = restarter
        self._options = options
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, "consented calls")
        self._closing = threading.Event()
        self.sweeping = PeriodicJob(name="consented calls", job=self.sweep, interval_s=SWEEP_EVERY_S)

    def granted(self, call_id: CallId) -> None:
        """Consent to this call was committed: start its recording."""
        self.start(call_id)

    def start(self, call_id: CallId) -> "Future[None]":
        """The same; done when the recording was requested, or another process requests it."""
        return self._threads.submit(self._logged_start, call_id)

    def sweep(self) -> None:
        """Start what a process that died has left. Blocking."""
        with self._database.read() as conn:
            waiting = consents.waiting_for_capture(conn, self._clock.now())
        for call_id in waiting:
            self.start(call_id)

    def close(self) -> None:
        """Leave what is not started to another process, or to the next start. Blocking."""
        self._closing.set()
        self._threads.shutdown(cancel_futures=True)

    def _logged_start(self, call_id: CallId) -> None:
        try:
            self._start(call_id)
        except StoreError as error:
            log.error("recording of a call with consent not started: %s", error, extra={"call_id": call_id})

    def _start(self, call_id: CallId) -> None:
        if not self._claim(call_id):
            return
        until_s, recorded = self._clock.monotonic_s() + TRY_FOR_S, not self._options.record
        while (call := self._live(call_id)) and self._clock.monotonic_s() < until_s:
            try:
                recorded = recorded or self._record(call)
            except CarrierError as error:
                self._save(call_id, str(error))
                return
            if recorded and self._restarter.request(call.id, call.leg_sid):
                self._save(call_id)
                return
            if self._closing.wait(EVERY_S):
                return

    def _claim(self, call_id: CallId) -> bool:
        now = self._clock.now()
        with self._database.write() as conn:
            return consents.claim_capture(conn, call_id, now, now + CLAIM)

    def _live(self, call_id: CallId) -> CallRow | None:
        with self._database.read() as conn:
            call = calls.get(conn, call_id)
            stopped = consents.is_stopped(conn, call_id)
        return call if call is not None and call.state is CallState.LIVE and not stopped else None

    def _record(self, call: CallRow) -> bool:
        """Whether the carrier records the call now. Raises CarrierError if it never will."""
        options = self._options
        try:
            self._restarter.carrier.start_recording(
                call.leg_sid, recording_channels=options.recording_channels,
                recording_track=options.recording_track, trim=options.recording_trim,
                recording_status_callback=options.callback("recording-status"),
                recording_status_callback_method="POST",
                recording_status_callback_event=list(options.recording_events),
            )  # fmt: skip
        except CarrierError as error:
            if error.retryable or error.status in NOT_YET:
                return False
            raise
        return True

    def _save(self, call_id: CallId, failure: str = "") -> None:
        def write(conn: Connection) -> Written:
            consents.set_captured(conn, call_id, self._clock.now(), failure)
            stamp = consents.of_call(conn, call_id)
            return Written((consent_event(stamp),) if stamp else ())

        if failure:
            log.error("recording not started despite consent: %s", failure, extra={"call_id": call_id})
        self._commits.commit_blocking(write)
