"""Middleware of the web side: security headers on every response, and access control for every request.

The table in `access.py` says what a route requires. The gate checks it before routing, so a route that is missing
from the table is closed. Requests under `/twilio/` pass: those routes check the carrier's signature instead.
"""

import asyncio
from functools import partial
from typing import Final
from urllib.parse import quote, unquote_plus

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from callreel.domain.audit import AuditAction
from callreel.domain.ids import CallId
from callreel.runtime.secret_tokens import token_hash
from callreel.store.calls import calls
from callreel.store.db.database import Database
from callreel.web.auth.access import Found, find
from callreel.web.auth.attempts import TooManyAttemptsError
from callreel.web.auth.auditor import Auditor
from callreel.web.auth.origin import SAFE_METHODS, is_loopback_name, is_own_request, limited_address
from callreel.web.auth.person import Credential, Person
from callreel.web.auth.signin import SignIn, bearer_token, session_token
from callreel.web.errors import error_json, error_response, retry_after, sentence, wants_page
from callreel.web.heavy_requests import CURRENT, HeavyRequests, in_pieces
from callreel.web.values import is_storable

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
    """Adds `SECURITY_HEADERS` to every HTTP response that does not set them, errors and files included."""

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
    """Refuses requests before routing, and stores the person in the request's state.

    The auditor records requests that are let through. State `person` is who makes the request; `user` is the same for pages, but None without sign-in. `demo`
    admits requests to a loopback name only. `default_person` makes every request where sign-in is off.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        sign_in: SignIn,
        auditor: Auditor,
        database: Database,
        demo: bool,
        default_person: Person | None,
    ) -> None:
        self._app = app
        self._heavy = HeavyRequests()
        self._sign_in = sign_in
        self._auditor = auditor
        self._database = database
        self._demo = demo
        self._default_person = default_person

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"].startswith(SIGNED):
            await self._app(scope, receive, send)
            return
        refusal = await self._refusal(scope)
        if refusal is None:
            try:
                await self._auditor.run(self._app, scope, receive, in_pieces(send))
            finally:
                if (heavy := CURRENT.get()) is not None:
                    heavy.answered()
        elif scope["type"] == "websocket":
            await WebSocketClose(code=1008)(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        state["user"] = None
        if self._demo and not is_loopback_name(headers.get("host", "")):
            return error_json(
                421, "In demo mode this server only accepts requests to localhost.", "not_loopback"
            )
        # A WebSocket handshake is a GET that browsers let any page make, so it counts as one that changes things.
        method = scope["method"] if scope["type"] == "http" else "POST"
        token = bearer_token(headers)
        # Cross-site pages cannot make a browser send our token, and with a token the cookie is ignored.
        if token is None and not is_own_request(method, headers):
            return error_json(403, "Requests from other sites' pages are not allowed.", "cross_site")
        if not is_storable(scope["path"]):
            return _refused(scope, 404)
        if not is_storable(unquote_plus(scope["query_string"].decode("latin-1"))):
            return _refused(scope, 422, "A query parameter has control characters.")
        found = state["found"] = find(method, scope["path"])
        rule = found.rule if found is not None else None
        if rule is not None and method not in SAFE_METHODS and _has_other_body(headers, rule.body):
            return _refused(scope, 415, f"The body must be {rule.body}.")
        address = limited_address(scope.get("client"))
        try:
            if rule is not None and rule.hashes and method not in SAFE_METHODS:
                self._sign_in.require_room(address)
            if rule is not None and rule.open:
                return None
            person = self._default_person or await self._person(scope, token, address)
        except TooManyAttemptsError as error:
            refusal = _refused(scope, 429, sentence(error))
            refusal.headers["Retry-After"] = retry_after(error)
            return refusal
        if person is None:
            if token is not None:
                event = self._auditor.event(scope, AuditAction.TOKEN_REFUSED)
                await asyncio.to_thread(self._auditor.extend, event)
            return _sign_in_required(scope)
        state["person"] = person
        CURRENT.set(self._heavy.request(person.name))
        state["session_check"] = partial(self._still_allowed, scope, token, person)
        state["user"] = None if self._default_person else person
        if self._default_person is None:
            used = token if token is not None else session_token(scope)
            state["credential"] = Credential(token_hash(used or ""), is_session=token is None)
        return await self._refusal_of(person, found, scope)

    async def _person(self, scope: Scope, token: str | None, address: str | None = None) -> Person | None:
        if token is not None:
            return await self._sign_in.by_token(token, address)
        # A check without an address belongs to a long response, and is not a use by a person.
        return await self._sign_in.by_session(session_token(scope), used=address is not None)

    async def _still_allowed(self, scope: Scope, token: str | None, person: Person) -> bool:
        """Whether the same request would still come from the same person with the same rights."""
        return (self._default_person or await self._person(scope, token)) == person

    async def _refusal_of(self, person: Person, found: Found | None, scope: Scope) -> Response | None:
        """Why this person may not; None if they may. A known address with another method gets its 405 in routing."""
        if found is None:
            return _refused(scope, 404)
        rule = found.rule
        if rule is None:
            return None
        if person.must_enrol and not rule.enrolling:
            return _enrolment_required(scope)
        if (rule.session and person.by_token) or (rule.needs is not None and not person.may(rule.needs)):
            return _refused(scope, 403)
        call_id = found.values.get("call_id")
        if call_id is not None and person.own is not None:
            if not await asyncio.to_thread(self._is_of, CallId(call_id), person.own):
                # 404 and not 403, so that the response does not reveal which calls exist.
                return _refused(scope, 404, "There is no such call.")
        return None

    def _is_of(self, call_id: CallId, identity: str) -> bool:
        with self._database.read() as conn:
            row = calls.get(conn, call_id)
        return row is not None and row.agent == identity


def _refused(scope: Scope, status: int, message: str | None = None) -> Response:
    if scope["type"] != "http":
        return error_json(status, message)
    return error_response(Request(scope), status, message)


def _has_other_body(headers: Headers, wanted: str) -> bool:
    """Whether there is a body, of another media type than `wanted`."""
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    return has_body and headers.get("content-type", "").partition(";")[0].strip().lower() != wanted


def _enrolment_required(scope: Scope) -> Response:
    if scope["type"] == "http" and scope["method"] == "GET" and wants_page(scope):
        return RedirectResponse("/me/second-factor", 303)
    return _refused(scope, 403, "Your role requires a second factor. Set it up on the page My account first.")


def _sign_in_required(scope: Scope) -> Response:
    if scope["type"] == "http" and scope["method"] == "GET" and wants_page(scope):
        query = scope["query_string"].decode("latin-1")
        target = scope["path"] + (f"?{query}" if query else "")
        return RedirectResponse(f"/sign-in?next={quote(target, safe='')}", 303)
    response = error_json(401)
    response.headers["WWW-Authenticate"] = "Bearer"
    return response
