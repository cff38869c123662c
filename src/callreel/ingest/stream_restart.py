"""Asking the carrier for a new stream when a socket died in the middle of a call.

The carrier does not come back by itself: the call goes on and its audio would be in layer 3 alone. So a fresh stream is
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

MOST_A_CALL = 5
"""A socket that dies this often on one call dies of something that another stream does not cure."""


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

    def ask(self, call_id: CallId, leg_sid: LegSid) -> bool:
        """Ask for a stream on `leg_sid`; whether the carrier will try. A refusal is logged, not raised."""
        if not self._access.usable:
            log.warning(
                "a stream was cut and no credentials are set to ask for another", extra={"call_id": call_id}
            )
            return False
        token = self._new_token()
        with self._database.write() as conn:
            now = self._clock.now()
            stream_tokens.issue(conn, token_hash(token), leg_sid, call_id, now, self._options.token_ttl_s)
        try:
            answer = self._client.post(self._url(leg_sid), data=self._form(token))
        except httpx2.HTTPError as error:
            log.warning(
                "asking for a new stream failed: %s", type(error).__name__, extra={"call_id": call_id}
            )
            return False
        if answer.status_code not in (200, 201):
            log.warning("the carrier gave no new stream (%d)", answer.status_code, extra={"call_id": call_id})
        return answer.status_code in (200, 201)

    def _url(self, leg_sid: LegSid) -> str:
        account = f"{self._access.api_url}/2010-04-01/Accounts/{self._access.account_sid}"
        return f"{account}/Calls/{leg_sid}/Streams.json"

    def _form(self, token: str) -> dict[str, str]:
        return {
            "Url": self._options.stream_url,
            "Track": self._options.stream_track,
            "StatusCallback": self._options.callback("stream-status"),
            "StatusCallbackMethod": "POST",
            "Parameter1.Name": TOKEN_PARAMETER,
            "Parameter1.Value": token,
        }


def ask_for_calls_of(process: str, database: Database, restreaming: StreamRestarter) -> int:
    """A process with live calls died: ask for a stream for each, which another process takes. Answers how many come.

    Blocking. Once asked, a call is left alone for half a minute (`services/recovery`).
    """
    with database.read() as conn:
        rows = [calls.get(conn, call_id) for call_id in calls.owned(conn, process, CallState.LIVE)]
    asked = sum(restreaming.ask(row.id, LegSid(row.leg_sid)) for row in rows if row is not None)
    log.warning("a process with %d calls died; %d are streamed to others", len(rows), asked)
    return asked
