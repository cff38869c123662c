"""Requesting a new media stream from the carrier when a socket died in the middle of a call.

The carrier does not reconnect: the call continues, and its audio would be in layer 3 alone. So a fresh stream is
started over REST, with a token of its own, and continues the call's lanes (reference/twilio.md, section 3.1).
"""

import logging
from collections.abc import Callable

from callreel.carrier_client.client import CarrierRecordings
from callreel.carrier_client.rest import CarrierAccess
from callreel.domain.call import CallState
from callreel.domain.errors import CarrierError
from callreel.domain.ids import CallId, LegSid
from callreel.ingest.voice_request import TOKEN_PARAMETER, AnswerOptions
from callreel.runtime.clock import Clock
from callreel.runtime.secret_tokens import token_hash
from callreel.store.calls import calls, consents, stream_tokens
from callreel.store.db.database import Database

log = logging.getLogger(__name__)

MAX_RESTARTS = 5
"""For one call: a socket that dies this often dies of something that another stream does not cure."""


class StreamRestarter:
    """One request to the carrier's REST API; blocking."""

    def __init__(
        self,
        database: Database,
        access: CarrierAccess,
        options: AnswerOptions,
        clock: Clock,
        new_token: Callable[[], str],
    ) -> None:
        self._database = database
        self._options = options
        self._clock = clock
        self._new_token = new_token
        self.carrier = CarrierRecordings(access)

    def close(self) -> None:
        self.carrier.close()

    def request(self, call_id: CallId, leg_sid: LegSid) -> bool:
        """Request a stream of `leg_sid`; whether the carrier accepted. A refusal is logged, not raised.

        Of a call that may not be recorded, or not yet, none is requested.
        """
        if not self.carrier.usable:
            log.warning("stream not restarted: no carrier credentials are set", extra={"call_id": call_id})
            return False
        token = self._new_token()
        with self._database.write() as conn:
            if not consents.permits_recording(conn, call_id):
                return False
            now = self._clock.now()
            stream_tokens.issue(conn, token_hash(token), leg_sid, call_id, now, self._options.token_ttl_s)
        try:
            self.carrier.start_stream(
                leg_sid, url=self._options.stream_url, track=self._options.stream_track,
                status_callback=self._options.callback("stream-status"), status_callback_method="POST",
                parameter1_name=TOKEN_PARAMETER, parameter1_value=token,
            )  # fmt: skip
        except CarrierError as error:
            log.warning("stream restart failed: %s", error, extra={"call_id": call_id})
            return False
        return True


def request_streams_of(process: str, database: Database, restarter: StreamRestarter) -> int:
    """A process with live calls died: request a stream for each, which another process takes. Returns how many come.

    Blocking. Recovery leaves a call alone for half a minute after that (`ingest/recovery`).
    """
    with database.read() as conn:
        rows = [calls.get(conn, call_id) for call_id in calls.owned(conn, process, CallState.LIVE)]
    requested = sum(restarter.request(row.id, LegSid(row.leg_sid)) for row in rows if row is not None)
    log.warning("streams of a dead process restarted calls=%d streams=%d", len(rows), requested)
    return requested
