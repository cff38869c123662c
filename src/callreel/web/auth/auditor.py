"""Records requests in the audit trail, by the action of their rule in `access.py`.

The entry is written in the transaction of the request's change, or before its answer is sent: without an entry there is
no answer. Refused and failed requests that changed nothing have none, except failed sign-ins.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from threading import Lock
from typing import Any, Final

from sqlalchemy import Connection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from callreel.domain.audit import AuditAction, AuditEvent, Via
from callreel.domain.errors import AccessEndedError, StoreError
from callreel.domain.ids import CallId
from callreel.domain.intervals import Interval
from callreel.runtime.clock import Clock
from callreel.store.audit import accesses, trail
from callreel.store.audit.pending import PendingEntry, audited, on_its_own
from callreel.store.db.database import Database
from callreel.store.people import api_tokens, sessions, users
from callreel.web.auth.access import Found
from callreel.web.auth.person import Credential, Person
from callreel.web.errors import error_json

REASON_VALID: Final = timedelta(hours=1)
"""How long a reason that was given for a call counts for its playback."""
_REPEAT_S: Final = 30.0
"""A repeated access is stored again after this time."""
_MOST_KNOWN: Final = 10_000


_ENDS_ACCESS: Final = frozenset({
    AuditAction.PASSWORD_CHANGED, AuditAction.SIGNED_OUT, AuditAction.SESSIONS_ENDED, AuditAction.PERSON_CHANGED,
    AuditAction.SECOND_FACTOR_ENROLLED, AuditAction.SECOND_FACTOR_RESET, AuditAction.TOKEN_REMOVED,
})  # fmt: skip


class Auditor:
    """One a server. Methods block, except `run`."""

    def __init__(
        self, database: Database, clock: Clock, access_changed: Callable[[], None] = lambda: None
    ) -> None:
        """`access_changed` makes open event streams check their sessions, after a request that may have ended some."""
        self._access_changed = access_changed
        self._database = database
        self._clock = clock
        self._stored: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run `app`, and record the request if its rule says so."""
        found: Found | None = scope["state"].get("found")
        rule = found.rule if found else None
        action = rule.action(scope["method"]) if rule and scope["type"] == "http" else None
        if found is None or rule is None or action is None:
            await app(scope, receive, send)
            return
        values = {name: value for name, value in found.values.items() if name not in ("call_id", "token")}
        event = self.event(scope, action, found.values.get("call_id"), " ".join(values.values()))
        refused = False

        async def send_after_entry(message: Message) -> None:
            nonlocal refused
            begins = message["type"] == "http.response.start" and not pending.deferred
            if begins and message["status"] < 400:
                try:
                    await asyncio.to_thread(self._answered, pending, rule.merged)
                except StoreError:
                    refused = True
                    await error_json(503, "The audit trail cannot be written.")(scope, receive, send)
            if not refused:
                await send(message)

        with audited(event, self._check(scope)) as pending:
            pending.appended = rule.merged  # no transaction of the request has its entry
            await app(scope, receive, send_after_entry)
        if action in _ENDS_ACCESS:
            self._access_changed()

    def _check(self, scope: Scope) -> Callable[[Connection], None] | None:
        """Refuses a change of a request whose session, or API token, was ended after the request began."""
        credential: Credential | None = scope["state"].get("credential")
        if credential is None:
            return None

        def check(conn: Connection) -> None:
            if not (sessions.holds if credential.is_session else api_tokens.holds)(
                conn, credential.token_hash
            ):
                raise AccessEndedError("you were signed out; sign in again")

        return check

    def event(
        self,
        scope: Scope,
        action: AuditAction,
        call_id: str | None = None,
        subject: str = "",
        reason: str = "",
    ) -> AuditEvent:
        """What the person behind a request does now."""
        person: Person | None = scope.get("state", {}).get("person")
        return AuditEvent(
            self._clock.now(),
            action,
            person.name if person else "",
            Via.TOKEN if person and person.by_token else Via.SESSION,
            client_address(scope),
            CallId(call_id) if call_id else None,
            subject,
            reason,
        )

    def extend(self, event: AuditEvent, spans: Sequence[Interval] = (), *, requests: int = 1) -> None:
        """Store `requests` requests of an open access, and the parts of the file that were sent for them."""
        with on_its_own(self._database) as conn:
            accesses.extend(conn, replace(event, at=self._clock.now()), spans, requests=requests)

    def extend_often(self, event: AuditEvent) -> None:
        """The same for what pages repeat by themselves: once in half a minute."""
        key, now_s = accesses.key_of(event), self._clock.monotonic_s()
        with self._lock:
            if now_s - self._stored.get(key, -_REPEAT_S) < _REPEAT_S:
                return
        self.extend(event)
        with self._lock:
            self._stored[key] = now_s
            self._stored.move_to_end(key)
            if len(self._stored) > _MOST_KNOWN:
                self._stored.popitem(last=False)

    def sign_in_failed(self, scope: Scope, name: str) -> None:
        """A wrong password. An unknown name is not stored: people type passwords there."""
        with self._database.read() as conn:
            known = users.get_by_name(conn, name)
        event = self.event(scope, AuditAction.SIGN_IN_FAILED)
        self.extend(replace(event, actor=known.name if known else ""))

    def code_refused(self, scope: Scope, name: str) -> None:
        """A wrong or used code of a second factor."""
        event = self.event(scope, AuditAction.SECOND_FACTOR_FAILED)
        self.extend(replace(event, actor=name))

    def reason(self, person: Person, call_id: CallId) -> str | None:
        """The reason that a person gave for this call within the last hour; None without one."""
        with self._database.read() as conn:
            entry = trail.newest(conn, AuditAction.REASON_GIVEN, person.name, call_id)
        return None if entry is None or entry.at < self._clock.now() - REASON_VALID else entry.reason

    def _answered(self, pending: PendingEntry, merged: bool) -> None:
        if merged:
            self.extend_often(pending.event)
        elif not pending.appended:
            with on_its_own(self._database) as conn:
                pending.before_commit(conn)
            pending.after_commit()


def client_address(scope: Any) -> str:
    """The client's whole IP address."""
    client = scope.get("client")
    return str(client[0])[:100] if client else ""
