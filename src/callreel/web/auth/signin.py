"""Sign-in of local users: passwords, sessions in a cookie, API tokens, and the rate limit of failed attempts.

`second_factor.py` continues after the password where a person has a second factor. `gate.py` decides which routes require it.
"""

import asyncio
import hashlib
import logging
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Final

from sqlalchemy import Connection
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from callreel.domain.access import SecondFactor
from callreel.domain.audit import AuditAction
from callreel.runtime.secret_tokens import new_token, token_hash
from callreel.runtime.thread_pool import ThreadPool
from callreel.store.audit.pending import describe
from callreel.store.db.types import storable_text
from callreel.store.people import api_tokens, second_factors, sessions, users
from callreel.store.people.users import UserRow
from callreel.web.auth.attempts import BY_ADDRESS, BY_NAME, TOKENS, Attempts, BusyError
from callreel.web.auth.passwords import hash_password, verify_password
from callreel.web.auth.person import Person, of_user
from callreel.web.options import WebContext

log = logging.getLogger(__name__)

COOKIE: Final = "callreel_session"
LONGEST_DEVICE: Final = 200
CODE_S: Final = 600.0
"""How long a sign-in waits for its second factor."""
_CONCURRENT_HASHES: Final = max(1, min(2, (os.cpu_count() or 1) // 2))
"""A thread each; guesses leave half of the cores to calls."""
_MOST_WAITING: Final = 40
"""Requests that hash or wait for it; about a second of work."""
_MOST_GUESSING: Final = 20
"""The same for addresses with failed attempts: the other places are kept for people whom guesses would keep out."""
_MOST_PROVEN: Final = 10_000
"""Tokens that were valid lately; a wrong token is not among them, so they are not counted as attempts."""
_TOUCH_INTERVAL: Final = timedelta(minutes=1)
"""How often the last use of an API token or a session is stored."""


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that was opened: its token and lifetime. `second_factor_due`: nothing is allowed before a code."""

    token: str
    session_s: float
    second_factor_due: bool = False


class SignIn:
    """Authentication. All methods may be called from any route; database access and hashing run in threads."""

    def __init__(self, context: WebContext) -> None:
        self._database = context.database
        self._clock = context.clock
        self.session_s = context.options.session_hours * 3600.0
        self.idle_s = context.options.session_idle_s
        self.second_factor = context.options.second_factor
        self.local_accounts = context.options.local_accounts
        self._proven_tokens: OrderedDict[str, None] = OrderedDict()
        self._token_lock = asyncio.Lock()
        self._hashing = asyncio.Semaphore(_CONCURRENT_HASHES)
        self._waiting = 0
        self._has_users = False
        # For what anybody can cause: sessions and health checks do not wait for guesses.
        self._threads = ThreadPool(_CONCURRENT_HASHES + 1, "sign-in")
        self.attempts = Attempts(self._database, self._clock, self._threads)

    async def enter(self, name: str, password: str, address: str, device: str = "") -> NewSession | None:
        """A new session if the password is right and the person is not disabled. Raises TooManyAttemptsError."""
        user = await self.proven(name, password, address)
        if user is None:
            return None
        describe(actor=user.name)
        return await asyncio.to_thread(self._enter, user, address, device)

    async def proven(self, name: str, password: str, address: str) -> UserRow | None:
        """The user, if the password is right and the person is not disabled. Raises TooManyAttemptsError."""
        self.require_room(address)
        with self._waiting_place():
            attempt = await self.attempts.begin(
                (BY_NAME, f"{_name_digest(name)} {address}"), (BY_ADDRESS, address)
            )
            async with self._hashing:
                found = await self._threads.run(self._find, name)
                user = None if found is None or found.disabled or not self.local_accounts else found
                right = await self._threads.run(
                    verify_password, user.password_hash if user else None, password
                )
        if not right or user is None:
            return None
        await self.attempts.succeeded(attempt)
        return user

    def require_room(self, address: str = "") -> None:
        """Raises BusyError if more passwords of all people wait than the processor can hash soon."""
        guessing = self.attempts.has_failed(BY_ADDRESS, address)
        if self._waiting >= (_MOST_GUESSING if guessing else _MOST_WAITING):
            raise BusyError("too many people are signing in; try again in a few seconds")

    async def by_session(self, token: str | None, *, used: bool = True) -> Person | None:
        """The owner of a session, until it expires or was idle for too long. `used`: a request counts as its use."""
        return await asyncio.to_thread(self._session_owner, token, used) if token else None

    async def by_token(self, token: str, address: str | None = None) -> Person | None:
        """The owner of an API token, with the rights that its scopes leave. Raises TooManyAttemptsError.

        With an `address`, wrong tokens are counted by it. Tokens that were valid lately are not limited, so programs keep working
        behind an address that others guess from.
        """
        hashed = token_hash(token)
        if address is None or hashed in self._proven_tokens:
            owner = await asyncio.to_thread(self._token_owner, hashed)
            if owner is None:
                self._proven_tokens.pop(hashed, None)
            return owner
        async with self._token_lock:  # one after the other: guesses sent at once do not pass the limit
            await self.attempts.require(TOKENS, address)
            owner = await asyncio.to_thread(self._token_owner, hashed)
            if owner is None:
                await self.attempts.begin((TOKENS, address))
                log.info("API token refused", extra={"address": address})
                return None
            self._proven_tokens[hashed] = None
            if len(self._proven_tokens) > _MOST_PROVEN:
                self._proven_tokens.popitem(last=False)
            return owner

    async def open_session(self, user_id: int, address: str = "", device: str = "") -> str:
        """A new session's token. `device` is the browser's own description."""
        return await asyncio.to_thread(self._open, user_id, address, device)

    def add_session(
        self, conn: Connection, user_id: int, address: str, device: str, *, second_factor_due: bool = False
    ) -> str:
        """The same within a transaction. Blocking."""
        token, ttl_s = new_token(), CODE_S if second_factor_due else self.session_s
        sessions.add(
            conn, token_hash(token), user_id, self._clock.now(), ttl_s,
            address=address, device=storable_text(device)[:LONGEST_DEVICE], second_factor_due=second_factor_due,
        )  # fmt: skip
        return token

    async def hashed(self, password: str) -> str:
        """The hash of a new password. Raises PasswordError, BusyError."""
        self.require_room()
        with self._waiting_place():
            async with self._hashing:
                return await self._threads.run(hash_password, password)

    @contextmanager
    def _waiting_place(self) -> Iterator[None]:
        """One of the places of those that hash or wait for it."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def leave(self, token: str | None) -> str | None:
        """End a session; returns the ID token with which it began at a provider. An unknown token is ignored."""
        return await asyncio.to_thread(self._close, token) if token else None

    async def no_users(self) -> bool:
        """Whether there is no account yet."""
        if not self._has_users:  # the last administrator cannot be removed, so this stays true
            self._has_users = await self._threads.run(self._count) > 0
        return not self._has_users

    def _find(self, name: str) -> UserRow | None:
        with self._database.read() as conn:
            return users.get_by_name(conn, name)

    def _enter(self, user: UserRow, address: str, device: str) -> NewSession | None:
        """A session of the `user` whose password was right; None if the account has changed while it was hashed."""
        with self._database.write() as conn:
            users.lock(conn, user.id)
            now = users.get(conn, user.id)
            if now is None or now.disabled or now.password_hash != user.password_hash:
                return None
            due = self.second_factor is not SecondFactor.OFF and second_factors.get(conn, user.id) is not None
            if due:
                describe(action=AuditAction.PASSWORD_ACCEPTED)
            token = self.add_session(conn, user.id, address, device, second_factor_due=due)
        return NewSession(token, CODE_S if due else self.session_s, due)

    def _open(self, user_id: int, address: str, device: str) -> str:
        with self._database.write() as conn:
            return self.add_session(conn, user_id, address, device)

    def _session_owner(self, token: str, used: bool) -> Person | None:
        now = self._clock.now()
        with self._database.read() as conn:
            session = sessions.find(conn, token_hash(token), now, self.idle_s)
            user = None if session is None else users.get(conn, session.user_id)
            must_enrol = (
                user is not None
                and user.subject is None
                and self.second_factor.required_of(user.role)
                and second_factors.get(conn, user.id) is None
            )
        if session is None or user is None or not (user.subject or self.local_accounts):
            return None
        if used and now - session.last_seen_at > _TOUCH_INTERVAL:
            with self._database.write() as conn:
                sessions.touch(conn, session.id, now)
        return of_user(user, must_enrol=must_enrol)

    def _token_owner(self, hashed: str) -> Person | None:
        now = self._clock.now()
        with self._database.read() as conn:
            found = api_tokens.owner_of(conn, hashed, now)
        if found is None:
            return None
        user, row = found
        if row.last_used_at is None or now - row.last_used_at > _TOUCH_INTERVAL:
            with self._database.write() as conn:
                api_tokens.touch(conn, row.id, now)
        return of_user(user, row.scopes)

    def _close(self, token: str) -> str | None:
        with self._database.write() as conn:
            return sessions.sign_out(conn, token_hash(token))

    def _count(self) -> int:
        with self._database.read() as conn:
            return users.count(conn)


def _name_digest(name: str) -> str:
    """16 bits of a name that somebody typed: enough to count by, and not enough to confirm a password that it may be."""
    return hashlib.sha256(name.encode()).hexdigest()[:4]


def session_token(scope: Scope) -> str | None:
    """The session cookie of a request or a WebSocket handshake."""
    cookies: SimpleCookie = SimpleCookie()
    for name, value in scope["headers"]:
        if name == b"cookie":
            cookies.load(value.decode("latin-1"))
    found = cookies.get(COOKIE)
    return found.value if found else None


def bearer_token(headers: Headers) -> str | None:
    """The token of an `Authorization: Bearer` header (RFC 6750); an empty one is a token too, and an invalid one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def set_session_cookie(response: Response, token: str, session_s: float, *, secure: bool) -> None:
    """A cookie that scripts cannot read and that other sites' requests do not carry."""
    response.set_cookie(COOKIE, token, max_age=int(session_s), secure=secure, httponly=True, samesite="lax")


def delete_session_cookie(response: Response, *, secure: bool) -> None:
    response.delete_cookie(COOKIE, secure=secure, httponly=True, samesite="lax")
