"""The one door of the web side: security headers on every answer, and nobody inside who may not be.

Closed unless opened: a route that is added anywhere needs a signed-in person without saying so. Open are `/health`,
`/sign-in` and what that page is made of, and `/twilio/`, whose routes check the carrier's signature instead.
"""

from typing import Final
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from callreel.web.errors import error_json, wants_page
from callreel.web.origin import is_loopback_name, is_own_request
from callreel.web.signin import SignIn, session_token

SIGNED: Final = "/twilio/"
_OPEN: Final = frozenset({"/health", "/sign-in"})
_STATIC: Final = "/static/"

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
    """Adds `SECURITY_HEADERS` to every HTTP answer, errors and files too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class Gate:
    """Refuses before any route is looked up. Who is signed in is left in the request's state as `user`."""

    def __init__(self, app: ASGIApp, *, sign_in: SignIn, demo: bool) -> None:
        self._app = app
        self._sign_in = sign_in
        self._demo = demo

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
        if self._demo and not is_loopback_name(headers.get("host", "")):
            return error_json(421, "In demo mode this server answers to localhost only.", "not_loopback")
        # A WebSocket handshake is a GET that browsers let any page make, so it counts as one that changes things.
        method = scope["method"] if scope["type"] == "http" else "POST"
        if not is_own_request(method, headers):
            return error_json(403, "This came from another site's page.", "cross_site")
        if self._demo:
            return None
        if scope["path"] in _OPEN or scope["path"].startswith(_STATIC):
            return None
        person = await self._sign_in.person(session_token(scope))
        scope.setdefault("state", {})["user"] = person
        if person:
            return None
        return _ask_to_sign_in(scope)


def _ask_to_sign_in(scope: Scope) -> Response:
    if scope["type"] == "http" and scope["method"] == "GET" and wants_page(scope):
        query = scope["query_string"].decode("latin-1")
        target = scope["path"] + (f"?{query}" if query else "")
        return RedirectResponse(f"/sign-in?next={quote(target, safe='')}", 303)
    return error_json(401)
