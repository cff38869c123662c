"""The one door of the web side: security headers on every answer, and nobody inside who may not be.

What a route needs is in the table of `access.py`, and is decided here before any route is looked up: who is not signed
in, may not, or asks for another agent's call gets nothing from any route, also from one that somebody forgets. Not in
here is `/twilio/`, whose routes check the carrier's signature instead.
"""

import asyncio
from functools import partial
from typing import Final
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from callreel.domain.ids import CallId
from callreel.store.calls import calls
from callreel.store.db.database import Database
from callreel.web.auth.access import Found, find
from callreel.web.auth.origin import is_loopback_name, is_own_request
from callreel.web.auth.person import Person
from callreel.web.auth.signin import SignIn, bearer_token, session_token
from callreel.web.errors import error_answer, error_json, wants_page

SIGNED: Final = "/twilio/"

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class SecurityHeaders:
    """Adds `SECURITY_HEADERS` to every HTTP answer, errors and files too. A page may have a policy of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class Gate:
    """Refuses before any route is looked up. Who is signed in is left in the request's state as `person`.

    `user` is the same for the pages, None where nobody signs in and so nobody can sign out. `demo` admits requests to a
    loopback name only; `everybody` is who makes any request then, None where people sign in.
    """

    def __init__(
        self, app: ASGIApp, *, sign_in: SignIn, database: Database, demo: bool, everybody: Person | None
    ) -> None:
        self._app = app
        self._sign_in = sign_in
        self._database = database
        self._demo = demo
        self._everybody = everybody

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"].startswith(SIGNED):
            await self._app(scope, receive, send)
            return
        refusal = await self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(code=1008)(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        state["user"] = None
        if self._demo and not is_loopback_name(headers.get("host", "")):
            return error_json(421, "In demo mode this server answers to localhost only.", "not_loopback")
        # A WebSocket handshake is a GET that browsers let any page make, so it counts as one that changes things.
        method = scope["method"] if scope["type"] == "http" else "POST"
        token = bearer_token(headers)
        # No page of another site can make a browser send our token; one that has a token sends no cookie that counts.
        if token is None and not is_own_request(method, headers):
            return error_json(403, "This came from another site's page.", "cross_site")
        found = find(method, scope["path"])
        if found is not None and found.rule is not None and found.rule.open:
            return None
        person = self._everybody or await self._person(scope, token)
        if person is None:
            return _ask_to_sign_in(scope)
        state["person"] = person
        state["is_still"] = partial(self._is_still, scope, token, person)
        state["user"] = None if self._everybody else person
        return await self._refusal_of(person, found, scope)

    async def _person(self, scope: Scope, token: str | None) -> Person | None:
        if token is not None:
            return await self._sign_in.by_token(token)
        return await self._sign_in.by_session(session_token(scope))

    async def _is_still(self, scope: Scope, token: str | None, person: Person) -> bool:
        """Whether whoever made this request would still be who they were then, for answers that last."""
        return (self._everybody or await self._person(scope, token)) == person

    async def _refusal_of(self, person: Person, found: Found | None, scope: Scope) -> Response | None:
        """What this person is refused; a known address with another method goes on to its 405."""
        if found is None:
            return _answer(scope, 404)
        rule = found.rule
        if rule is None:
            return None
        if (rule.session and person.by_token) or (rule.needs is not None and not person.may(rule.needs)):
            return _answer(scope, 403)
        call_id = found.values.get("call_id")
        if call_id is not None and person.own is not None:
            if not await asyncio.to_thread(self._is_of, CallId(call_id), person.own):
                # As if there were no such call, so that nobody learns which there are.
                return _answer(scope, 404, "There is no such call.")
        return None

    def _is_of(self, call_id: CallId, identity: str) -> bool:
        with self._database.read() as conn:
            row = calls.get(conn, call_id)
        return row is not None and row.agent == identity


def _answer(scope: Scope, status: int, message: str | None = None) -> Response:
    if scope["type"] != "http":
        return error_json(status, message)
    return error_answer(Request(scope), status, message)


def _ask_to_sign_in(scope: Scope) -> Response:
    if scope["type"] == "http" and scope["method"] == "GET" and wants_page(scope):
        query = scope["query_string"].decode("latin-1")
        target = scope["path"] + (f"?{query}" if query else "")
        return RedirectResponse(f"/sign-in?next={quote(target, safe='')}", 303)
    answer = error_json(401)
    answer.headers["WWW-Authenticate"] = "Bearer"
    return answer
