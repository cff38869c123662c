"""The second factor of local accounts: enrolment, the prompt after the password, recovery codes.

Attempts are counted by account and by address before a code is evaluated, as those of passwords are. By account, not by
account and address: only a person who has the password can use them up.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from markupsafe import Markup
from sqlalchemy import Connection

from callreel.domain.audit import AuditAction
from callreel.domain.errors import CallreelError
from callreel.runtime.secret_tokens import token_hash
from callreel.store.audit.pending import describe, record_also
from callreel.store.people import second_factors, sessions, users
from callreel.store.people.sessions import SessionRow
from callreel.web.auth import totp
from callreel.web.auth.attempts import BY_ACCOUNT, BY_ADDRESS
from callreel.web.auth.signin import SignIn
from callreel.web.options import WebContext

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What the enrolment page shows once: the secret in groups, and as a QR code."""

    secret: str
    qr_code: Markup


@dataclass(frozen=True, slots=True)
class State:
    """A person's second factor, without its secret."""

    enrolled: bool
    codes_left: int


class _SignInEndedError(CallreelError):
    """The sign-in that waited for its code was ended at the same time. Takes the transaction back, with its entry."""


class SecondFactors:
    """One a server. Methods with a code give None or False for a wrong or used one, and raise TooManyAttemptsError."""

    def __init__(self, context: WebContext, sign_in: SignIn) -> None:
        self._database = context.database
        self._clock = context.clock
        self._title = context.options.title
        self._sign_in = sign_in

    async def state(self, user_id: int) -> State:
        return await asyncio.to_thread(self._state, user_id)

    async def start(self, user_id: int, name: str) -> Enrolment | None:
        """A new secret to be confirmed; None if the person has a second factor."""
        secret = totp.new_secret()
        if not await asyncio.to_thread(self._start, user_id, secret):
            return None
        qr_code = await asyncio.to_thread(totp.qr_code, secret, name, self._title)
        return Enrolment(totp.grouped(secret), qr_code)

    async def confirm(self, user_id: int, code: str, address: str, token: str) -> list[str] | None:
        """Enrol with a code of the app; returns the recovery codes. Ends all sessions but the one of `token`: the others
        began with the password alone."""

        def enrol(conn: Connection) -> list[str] | None:
            users.lock(conn, user_id)
            found = second_factors.of_any_state(conn, user_id)
            if found is None or found.confirmed_at is not None or not self._app_code(conn, user_id, code):
                return None
            second_factors.confirm(conn, user_id, self._clock.now())
            sessions.end_others(conn, user_id, token_hash(token))
            return _with_new_codes(conn, user_id)

        return await self._attempt(user_id, address, enrol)

    async def due(self, token: str | None) -> SessionRow | None:
        """The sign-in of this token, if it waits for its second factor."""
        return await asyncio.to_thread(self._due, token) if token else None

    async def complete(self, due: SessionRow, code: str, address: str, device: str) -> str | None:
        """Finish a sign-in; returns the token of the session, which is a new one."""

        def open_session(conn: Connection) -> str | None:
            describe(actor=due.name)
            users.lock(conn, due.user_id)
            still = sessions.find_due(conn, due.token_hash, self._clock.now())
            how = self._accepted(conn, due.user_id, code) if still else None
            if how is None:
                return None
            if sessions.end(conn, due.id) is None:
                raise _SignInEndedError
            describe(second_factor=how)
            return self._sign_in.add_session(conn, due.user_id, address, device)

        try:
            return await self._attempt(due.user_id, address, open_session)
        except _SignInEndedError:
            return None

    async def replace_recovery_codes(self, user_id: int, code: str, address: str) -> list[str] | None:
        """New recovery codes; the old ones are not valid any more."""

        def replace(conn: Connection) -> list[str] | None:
            return _with_new_codes(conn, user_id) if self._accepted(conn, user_id, code) else None

        return await self._attempt(user_id, address, replace)

    async def remove(self, user_id: int, code: str, address: str) -> bool:
        """Remove the person's own second factor."""

        def remove(conn: Connection) -> bool | None:
            return (self._accepted(conn, user_id, code) and second_factors.remove(conn, user_id)) or None

        return bool(await self._attempt(user_id, address, remove))

    async def _attempt(self, user_id: int, address: str, use: Callable[[Connection], T | None]) -> T | None:
        """What `use` gives in one transaction; None counts as a failed attempt."""
        attempts = self._sign_in.attempts
        attempt = await attempts.begin((BY_ACCOUNT, str(user_id)), (BY_ADDRESS, address))

        def in_transaction() -> T | None:
            with self._database.write() as conn:
                return use(conn)

        result = await asyncio.to_thread(in_transaction)
        if result is not None:
            await attempts.succeeded(attempt)
        return result

    def _accepted(self, conn: Connection, user_id: int, typed: str) -> str | None:
        """Use a code of the app or a recovery code: which of them it was, None for neither. A wrong one changes nothing."""
        if second_factors.get(conn, user_id) is None:
            return None
        if totp.is_app_code(totp.plain_code(typed)):
            return "app" if self._app_code(conn, user_id, typed) else None
        if not second_factors.use_recovery_code(conn, user_id, token_hash(totp.plain_code(typed))):
            return None
        left = second_factors.recovery_codes_left(conn, user_id)
        record_also(conn, AuditAction.RECOVERY_CODE_USED, codes_left=left)
        return "recovery code"

    def _app_code(self, conn: Connection, user_id: int, typed: str) -> bool:
        factor = second_factors.of_any_state(conn, user_id)
        if factor is None:
            return False
        step = totp.matching_step(factor.secret, totp.plain_code(typed), self._clock.now())
        return step is not None and second_factors.use_step(conn, user_id, step)

    def _state(self, user_id: int) -> State:
        with self._database.read() as conn:
            enrolled = second_factors.get(conn, user_id) is not None
            return State(enrolled, second_factors.recovery_codes_left(conn, user_id))

    def _start(self, user_id: int, secret: str) -> bool:
        with self._database.write() as conn:
            return second_factors.start(conn, user_id, secret)

    def _due(self, token: str) -> SessionRow | None:
        with self._database.read() as conn:
            return sessions.find_due(conn, token_hash(token), self._clock.now())


def _with_new_codes(conn: Connection, user_id: int) -> list[str]:
    codes = totp.new_recovery_codes()
    hashes = [token_hash(totp.plain_code(code)) for code in codes]
    second_factors.replace_recovery_codes(conn, user_id, hashes)
    return codes
