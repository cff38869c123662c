"""The first administrator: a link that is printed once, at a start without users, and the page that it leads to.

The link is good for one person and for a day; the next start without users prints another and ends this one. Once
there is anybody, no link makes anybody.
"""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from callreel.domain.access import LONGEST_NAME, UserRole
from callreel.runtime.clock import Clock
from callreel.runtime.secret_tokens import new_token, token_hash
from callreel.store.db.database import Database
from callreel.store.people import users, welcome_tokens
from callreel.store.people.users import UserRow
from callreel.web.auth.attempts import AttemptLimit
from callreel.web.auth.passwords import LONGEST_PASSWORD, PasswordError
from callreel.web.auth.signin import SignIn, set_session_cookie
from callreel.web.options import WebContext
from callreel.web.pages.render import Renderer

LINK_S: Final = 24 * 3600.0
_USED_UP: Final = "This link is used up or too old."


def first_link(database: Database, clock: Clock, public_url: str) -> str | None:
    """A new link for the first administrator, None when somebody may sign in already. Blocking."""
    token = new_token()
    with database.write() as conn:
        if users.count(conn):
            return None
        welcome_tokens.issue(conn, token_hash(token), clock.now(), LINK_S)
    return f"{public_url}/welcome?token={token}"


def router(context: WebContext, sign_in: SignIn, renderer: Renderer) -> APIRouter:
    """`/welcome`."""
    routes = APIRouter(include_in_schema=False)
    limit = AttemptLimit(limit=20)

    def is_good(token: str) -> bool:
        with context.database.read() as conn:
            good = welcome_tokens.is_valid(conn, token_hash(token), context.clock.now())
            return good and users.count(conn) == 0

    def make(token: str, name: str, password_hash: str) -> UserRow | None:
        now = context.clock.now()
        with context.database.write() as conn:
            if not welcome_tokens.redeem(conn, token_hash(token), now) or users.count(conn):
                return None
            return users.add(conn, name, password_hash, UserRole.ADMINISTRATOR, now)

    def form(request: Request, token: str, error: str | None, status: int = 200) -> Response:
        return renderer.page(request, "welcome.html", status, token=token, error=error)

    async def refused(request: Request, token: str) -> Response | None:
        """The page for a link that is no good; attempts are counted, so that nobody guesses on."""
        address = request.client.host if request.client else ""
        now_s = context.clock.monotonic_s()
        if limit.wait_s(address, now_s) > 0:
            return form(request, "", "Too many attempts failed. Try again later.", 429)
        if await asyncio.to_thread(is_good, token):
            return None
        limit.failed(address, now_s)
        return form(request, "", _USED_UP, 404)

    @routes.get("/welcome")
    async def ask(request: Request, token: Annotated[str, Query(max_length=200)] = "") -> Response:
        return await refused(request, token) or form(request, token, None)

    @routes.post("/welcome")
    async def enter(
        request: Request,
        token: Annotated[str, Form(max_length=200)],
        name: Annotated[str, Form(max_length=1000)],
        password: Annotated[str, Form(max_length=LONGEST_PASSWORD)],
    ) -> Response:
        refusal = await refused(request, token)
        if refusal is not None:
            return refusal
        name = name.strip()
        if not 1 <= len(name) <= LONGEST_NAME:
            return form(request, token, f"A name has 1 to {LONGEST_NAME} characters.", 422)
        try:
            hashed = await sign_in.hashed(password)
        except PasswordError as error:
            return form(request, token, f"{str(error).capitalize()}.", 422)
        person = await asyncio.to_thread(make, token, name, hashed)
        if person is None:
            return form(request, "", _USED_UP, 404)
        arrived = RedirectResponse("/", 303)
        session = await sign_in.open_session(person.id)
        set_session_cookie(arrived, session, sign_in.session_s, secure=context.options.secure_cookies)
        return arrived

    return routes
