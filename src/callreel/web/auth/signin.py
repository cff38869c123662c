"""Signing in and out: local users, a session in a cookie, and a limit on failed attempts.

Whether a route needs it is not decided here but in `gate.py`. Programs bring a token instead, and the first
administrator a link: `welcome.py`.
"""

import asyncio
import logging
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Annotated, Final

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import Headers
from starlette.types import Scope

from callreel.runtime.clock import Clock
from callreel.runtime.secret_tokens import new_token, token_hash
from callreel.store.people import api_tokens, users
from callreel.store.people.users import UserRow
from callreel.web.auth.attempts import AttemptLimit
from callreel.web.auth.origin import local_path
from callreel.web.auth.passwords import LONGEST_PASSWORD, hash_password, verify_password
from callreel.web.auth.person import Person, of_user
from callreel.web.options import WebContext
from callreel.web.pages.render import Renderer

__all__ = ["COOKIE", "SignIn", "bearer_token", "hash_password", "router", "session_token"]

log = logging.getLogger(__name__)

COOKIE: Final = "callreel_session"
_HASHES_AT_ONCE: Final = 2
_SHORTEST_TOUCH: Final = timedelta(minutes=1)


class SignIn:
    """Who is who. All methods may be called from any route; database and hashing run in threads."""

    def __init__(self, context: WebContext, clock: Clock) -> None:
        self._database = context.database
        self._session_s = context.options.session_hours * 3600.0
        self._clock = clock
        self._by_name = AttemptLimit(limit=5)
        self._by_address = AttemptLimit(limit=50)
        self._hashing = asyncio.Semaphore(_HASHES_AT_ONCE)

    @property
    def session_s(self) -> float:
        """How long a session lasts, in seconds."""
        return self._session_s

    def wait_s(self, name: str, address: str) -> float:
        """Seconds until this name may be tried again from this address; 0 for now."""
        now = self._clock.monotonic_s()
        return max(self._by_name.wait_s(f"{name}\n{address}", now), self._by_address.wait_s(address, now))

    async def enter(self, name: str, password: str, address: str) -> str | None:
        """A new session's token if the password is right and the person is not disabled. Counts failures."""
        known = await self.proven(name, password, address)
        return None if known is None else await self.open_session(known.id)

    async def proven(self, name: str, password: str, address: str) -> UserRow | None:
        """Who this is, if the password is right and the person is not disabled. Counts failures."""
        person = await asyncio.to_thread(self._find, name)
        known = None if person is None or person.disabled else person
        async with self._hashing:
            right = await asyncio.to_thread(verify_password, known.password_hash if known else None, password)
        if not right or known is None:
            now = self._clock.monotonic_s()
            self._by_name.failed(f"{name}\n{address}", now)
            self._by_address.failed(address, now)
            return None
        self._by_name.succeeded(f"{name}\n{address}")
        return known

    async def by_session(self, token: str | None) -> Person | None:
        """Whose session `token` is, while it lasts."""
        return await asyncio.to_thread(self._whose, token) if token else None

    async def by_token(self, token: str) -> Person | None:
        """Whose API token it is, with the rights that its scopes leave."""
        return await asyncio.to_thread(self._whose_api, token)

    async def open_session(self, user_id: int) -> str:
        """A new session's token, for a person who has just been made."""
        token = new_token()
        await asyncio.to_thread(self._open, token, user_id)
        return token

    async def hashed(self, password: str) -> str:
        """The hash of a new password. Raises PasswordError."""
        async with self._hashing:
            return await asyncio.to_thread(hash_password, password)

    async def leave(self, token: str | None) -> None:
        """End the session; an unknown token is no matter."""
        if token:
            await asyncio.to_thread(self._close, token)

    async def nobody_yet(self) -> bool:
        """Whether no user was ever made."""
        return await asyncio.to_thread(self._count) == 0

    def _find(self, name: str) -> UserRow | None:
        with self._database.read() as conn:
            return users.get_by_name(conn, name)

    def _open(self, token: str, user_id: int) -> None:
        with self._database.write() as conn:
            users.open_session(conn, token_hash(token), user_id, self._clock.now(), self._session_s)

    def _whose(self, token: str) -> Person | None:
        with self._database.read() as conn:
            user = users.by_session(conn, token_hash(token), self._clock.now())
        return of_user(user) if user else None

    def _whose_api(self, token: str) -> Person | None:
        now = self._clock.now()
        with self._database.read() as conn:
            found = api_tokens.owner_of(conn, token_hash(token), now)
        if found is None:
            return None
        user, row = found
        if row.last_used_at is None or now - row.last_used_at > _SHORTEST_TOUCH:
            with self._database.write() as conn:
                api_tokens.touch(conn, row.id, now)
        return of_user(user, row.scopes)

    def _close(self, token: str) -> None:
        with self._database.write() as conn:
            users.close_session(conn, token_hash(token))

    def _count(self) -> int:
        with self._database.read() as conn:
            return users.count(conn)


def session_token(scope: Scope) -> str | None:
    """The session cookie of a request or a WebSocket handshake."""
    cookies: SimpleCookie = SimpleCookie()
    for name, value in scope["headers"]:
        if name == b"cookie":
            cookies.load(value.decode("latin-1"))
    found = cookies.get(COOKIE)
    return found.value if found else None


def bearer_token(headers: Headers) -> str | None:
    """The token of an `Authorization: Bearer` header (RFC 6750); an empty one is a token too, and nobody's."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def set_session_cookie(answer: Response, token: str, session_s: float, *, secure: bool) -> None:
    """Shut away from scripts and from other sites' requests."""
    answer.set_cookie(COOKIE, token, max_age=int(session_s), secure=secure, httponly=True, samesite="lax")


def router(context: WebContext, sign_in: SignIn, renderer: Renderer) -> APIRouter:
    """`/sign-in` and `/sign-out`."""
    routes = APIRouter(include_in_schema=False)
    options = context.options

    async def form(
        request: Request, target: str, name: str = "", problem: str | None = None, status: int = 200
    ) -> Response:
        return renderer.page(
            request,
            "sign_in.html",
            status,
            next=target,
            name=name,
            problem=problem,
            nobody_yet=await sign_in.nobody_yet(),
        )

    @routes.get("/sign-in")
    async def ask(request: Request, target: Annotated[str, Query(alias="next")] = "/") -> Response:
        if options.no_sign_in or await sign_in.by_session(session_token(request.scope)):
            return RedirectResponse(local_path(target), 303)
        return await form(request, local_path(target))

    @routes.post("/sign-in")
    async def enter(
        request: Request,
        name: Annotated[str, Form(max_length=200)],
        password: Annotated[str, Form(max_length=LONGEST_PASSWORD)],
        target: Annotated[str, Form(alias="next")] = "/",
    ) -> Response:
        target = local_path(target)
        address = request.client.host if request.client else ""
        wait_s = sign_in.wait_s(name, address)
        if wait_s > 0:
            minutes = max(1, round(wait_s / 60))
            problem = f"Too many attempts failed. Try again in {minutes} min."
            answer = await form(request, target, name, problem, 429)
            answer.headers["Retry-After"] = str(int(wait_s) + 1)
            return answer
        token = await sign_in.enter(name, password, address)
        if token is None:
            log.info("sign-in failed", extra={"address": address})
            return await form(request, target, name, "The name or the password is not right.", 401)
        await sign_in.leave(session_token(request.scope))
        arrived = RedirectResponse(target, 303)
        set_session_cookie(arrived, token, sign_in.session_s, secure=options.secure_cookies)
        return arrived

    @routes.post("/sign-out")
    async def leave(request: Request) -> Response:
        await sign_in.leave(session_token(request.scope))
        left = RedirectResponse("/sign-in", 303)
        left.delete_cookie(COOKIE, secure=options.secure_cookies, httponly=True, samesite="lax")
        return left

    return routes
