"""Requesting a new media stream from the carrier when a socket died in the middle of a call.

The carrier does not reconnect: the call continues, and its audio would be in layer 3 alone. So a fresh stream is
started over REST, with a token of its own, and continues the call's lanes (reference/twilio.md, section 3.1).
"""

import logging
from collections.abc import Callable

import httpx2

from callreel.carrier_client.client import CarrierAccess
from callreel.domain.call import CallState
from callreel.domain.ids import CallId, LegSid
from callreel.ingest.voice_request import TOKEN_PARAMETER, AnswerOptions
from callreel.runtime.clock import Clock
from callreel.runtime.secret_tokens import token_hash
from callreel.store.calls import calls, stream_tokens
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
        self._access = access
        self._options = options
        self._clock = clock
        self._new_token = new_token
        self._client = httpx2.Client(auth=(access.username, access.password), timeout=access.timeout_s)

    def close(self) -> None:
        self._client.close()

    def request(self, call_id: CallId, leg_sid: LegSid) -> bool:
        """Request a stream of `leg_sid`; whether the carrier accepted. A refusal is logged, not raised."""
        if not self._access.usable:
            log.warning("stream not restarted: no carrier credentials are set", extra={"call_id": call_id})
            return False
        token = self._new_token()
        with self._database.write() as conn:
            now = self._clock.now()
            stream_tokens.issue(conn, token_hash(token), leg_sid, call_id, now, self._options.token_ttl_s)
        account = f"{self._access.api_url}/2010-04-01/Accounts/{self._access.account_sid}"
        form = {
            "Url": self._options.stream_url,
            "Track": self._options.stream_track,
            "StatusCallback": self._options.callback("stream-status"),
            "StatusCallbackMethod": "POST",
            "Parameter1.Name": TOKEN_PARAMETER,
            "Parameter1.Value": token,
        }
        try:
            status = self._client.post(f"{account}/Calls/{leg_sid}/Streams.json", data=form).status_code
        except httpx2.HTTPError as error:
            log.warning("stream restart failed: %s", type(error).__name__, extra={"call_id": call_id})
            return False
        if status not in (200, 201):
            log.warning("stream restart refused by the carrier status=%d", status, extra={"call_id": call_id})
        return status in (200, 201)


def request_streams_of(process: str, database: Database, restarter: StreamRestarter) -> int:
    """A process with live calls died: request a stream for each, which another process takes. Returns how many come.

    Blocking. Recovery leaves a call alone for half a minute after that (`ingest/recovery`).
    """
    with database.read() as conn:
        rows = [calls.get(conn, call_id) for call_id in calls.owned(conn, process, CallState.LIVE)]
    requested = sum(restarter.request(row.id, LegSid(row.leg_sid)) for row in rows if row is not None)
    log.warning("streams of a dead process restarted calls=%d streams=%d", len(rows), requested)
    return requested
