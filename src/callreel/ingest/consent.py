"""Consent to recording during a call: what the carrier requests and reports about the notice and its answer.

An outgoing call's notice runs on the dialled leg before the bridge, an incoming one's on the caller's leg before the dial.
With `ask`, nothing may start before the answer is stored; then `ingest/consented_capture` requests it. If the answer cannot
be stored, the call continues or ends as if it had been declined.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from callreel.cluster.group_commit import GroupCommit, Written
from callreel.domain.call import CallState, Direction
from callreel.domain.consent import Answer, Mode, OnDecline, Stamp, Wording, answer_to
from callreel.domain.errors import StoreError
from callreel.domain.ids import CallId, LegSid
from callreel.ingest.consent_documents import ConsentStep, consent_event, notice_document, wording_of
from callreel.ingest.voice_request import AnswerOptions, incoming_document
from callreel.runtime.clock import Clock
from callreel.runtime.secret_tokens import token_hash
from callreel.store.calls import calls, consents, stream_tokens
from callreel.store.db.database import Database
from callreel.twilio import consent_twiml

log = logging.getLogger(__name__)

ATTEMPTS = 2
"""How many times the question is played before silence counts as no consent."""


class ConsentHandler:
    """Handles the routes under `/twilio/consent/`. Every method returns TwiML."""

    def __init__(
        self,
        database: Database,
        commits: GroupCommit,
        options: AnswerOptions,
        clock: Clock,
        new_token: Callable[[], str],
        granted: Callable[[CallId], None],
    ) -> None:
        """`granted` starts the recording of a call, after its consent is committed. Safe from any thread."""
        self._database = database
        self._commits = commits
        self._options = options
        self._clock = clock
        self._new_token = new_token
        self._granted = granted

    async def notice(self, step: ConsentStep) -> str:
        """The document for the dialled leg."""
        try:
            found = await asyncio.to_thread(self._read, step.call_id)
        except StoreError as error:
            return self._without_consent(step, error)
        if found is None:
            return consent_twiml.proceed()
        return self._document(*found, step)

    async def played(self, step: ConsentStep, leg_sid: LegSid) -> str:
        """The notice was played to its end on `leg_sid`: connect the call. An incoming call is recorded from here."""
        incoming, now, token = step.direction is Direction.INCOMING, self._clock.now(), self._new_token()

        def write(conn: Connection) -> tuple[bool, Written]:
            stamp = consents.of_call(conn, step.call_id)
            if stamp is None or stamp.mode is not Mode.ANNOUNCE:
                return False, Written()
            consents.set_played(conn, step.call_id, leg_sid, now)
            if incoming:
                consents.set_captured(conn, step.call_id, now)
                stream_tokens.issue(
                    conn, token_hash(token), leg_sid, step.call_id, now, self._options.token_ttl_s
                )
            return True, self._changed(conn, step.call_id)

        try:
            known = await self._commits.commit_returning(write, leg_sid)
        except StoreError as error:
            log.error("played notice not stored: %s", error, extra={"call_id": step.call_id})
            known = False
        return self._connect(step, token if known else "")

    async def answered(self, step: ConsentStep, leg_sid: LegSid, key: str, words: str) -> str:
        """The other party pressed `key`, said `words`, or did neither."""
        try:
            found = await asyncio.to_thread(self._read, step.call_id)
            if found is None:
                return self._connect(step)
            stamp, wording = found
            answer, by = answer_to(wording, key, words)
            if answer is Answer.NONE and stamp.answer is None and step.attempt < ATTEMPTS:
                again = replace(step, attempt=step.attempt + 1)
                return self._document(stamp, wording, again)
            now = self._clock.now()
            stored = await self._commits.commit_returning(
                lambda conn: self._store(conn, step.call_id, answer, leg_sid, now, by), leg_sid
            )
        except StoreError as error:
            return self._without_consent(step, error)
        if stored is not Answer.GRANTED and step.on_decline is OnDecline.END:
            return consent_twiml.hang_up()
        return self._connect(step)

    def _document(self, stamp: Stamp, wording: Wording, step: ConsentStep) -> str:
        return notice_document(self._options.callback, self._options.public_url, stamp, wording, step)

    def _read(self, call_id: CallId) -> tuple[Stamp, Wording] | None:
        with self._database.read() as conn:
            stamp = consents.of_call(conn, call_id)
            wording = wording_of(conn, stamp) if stamp else None
        return None if stamp is None or wording is None else (stamp, wording)

    def _store(
        self, conn: Connection, call_id: CallId, answer: Answer, leg_sid: LegSid, now: datetime, by: str
    ) -> tuple[Answer | None, Written]:
        """Store the answer unless there is one; returns the one that counts."""
        call = calls.get(conn, call_id)
        if call is None or call.state is not CallState.LIVE:
            return None, Written()
        if not consents.set_answer(conn, call_id, answer, leg_sid, now, by):
            stamp = consents.of_call(conn, call_id)
            return (stamp.answer if stamp else None), Written()
        follow_ups = (lambda: self._granted(call_id),) if answer is Answer.GRANTED else ()
        return answer, self._changed(conn, call_id, *follow_ups)

    def _changed(self, conn: Connection, call_id: CallId, *after_commit: Callable[[], None]) -> Written:
        stamp = consents.of_call(conn, call_id)
        return Written((consent_event(stamp),) if stamp else (), after_commit)

    def _without_consent(self, step: ConsentStep, error: StoreError) -> str:
        log.error("consent not stored, nothing is recorded: %s", error, extra={"call_id": step.call_id})
        return consent_twiml.hang_up() if step.on_decline is OnDecline.END else self._connect(step)

    def _connect(self, step: ConsentStep, token: str = "") -> str:
        """Connect the parties: dial on an incoming call, end the dialled leg's document on an outgoing one.

        With a token the document of an incoming call starts recording and streaming.
        """
        if step.direction is Direction.INCOMING:
            return incoming_document(self._options, token)
        return consent_twiml.proceed()
