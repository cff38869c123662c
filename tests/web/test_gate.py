"""Who gets in. Every route of the application is walked, so that a new one cannot be forgotten."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.routing import BaseRoute, Mount
from starlette.websockets import WebSocketDisconnect

from callreel.web.app import WebOptions, create_app
from callreel.web.gate import SECURITY_HEADERS
from tests.web.seed import DONE, Seed

OPEN = {("GET", "/health"), ("GET", "/sign-in"), ("POST", "/sign-in")}
BROWSER = {"Accept": "text/html"}


def routes(of: Sequence[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Each (method, path) of an application, through its included routers."""
    for route in of:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from routes(inner.routes)
        elif isinstance(route, Mount):
            yield "GET", f"{route.path}/"
        else:
            for method in cast(Any, route).methods:
                yield method, cast(Any, route).path


def guarded(client: TestClient) -> list[tuple[str, str]]:
    """All routes but the open ones, with a real call in their paths."""
    found = {(method, path) for method, path in routes(cast(FastAPI, client.app).routes)}
    assert {("GET", "/"), ("GET", "/calls/{call_id}"), ("GET", "/events"), ("GET", "/openapi.json")} <= found
    assert OPEN < found
    kept = sorted(found - OPEN - {("GET", "/static/")})
    filled = [(method, path.replace("{call_id}", DONE).replace("{name}", "1")) for method, path in kept]
    assert not any("{" in path for _, path in filled), "give the new parameter a value here"
    return filled


def test_a_stranger_gets_nothing_from_any_route(stranger: TestClient) -> None:
    for method, path in guarded(stranger):
        answer = stranger.request(method, path)
        assert answer.status_code == 401, (method, path)
        assert method == "HEAD" or answer.json() == {
            "error": {"code": "not_signed_in", "message": "Sign in first."}
        }


def test_a_strangers_browser_is_asked_to_sign_in_and_comes_back(stranger: TestClient) -> None:
    for method, path in guarded(stranger):
        if method == "GET" and not path.startswith("/api/"):
            answer = stranger.get(f"{path}?after=0", headers=BROWSER)
            assert answer.status_code == 303, path
            assert answer.headers["location"] == f"/sign-in?next={path.replace('/', '%2F')}%3Fafter%3D0"


def test_a_wrong_or_spoilt_cookie_is_no_session(stranger: TestClient) -> None:
    for cookie in (
        b"callreel_session=x",
        b"callreel_session=",
        b"callreel_session",
        b"\xff=;;",
        b'callreel_session="',
    ):
        assert stranger.get("/api/calls", headers=[(b"Cookie", cookie)]).status_code == 401


def test_a_websocket_outside_the_carriers_needs_a_session(place: Seed) -> None:
    inside = APIRouter()

    @inside.websocket("/talk")
    @inside.websocket("/twilio/talk")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    app = create_app(
        database=place.database, blobs=place.blobs, bus=place.bus, options=WebOptions(), routers=[inside]
    )
    client = TestClient(app)
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/talk"):
        pass
    assert refused.value.code == 1008
    with client.websocket_connect("/twilio/talk") as socket:
        assert socket.receive_text() == "hello"


@pytest.mark.parametrize(
    "path", ["/", "/health", "/sign-in", "/nothing", "/static/app.css", "/calls/x/layers/1.wav"]
)
def test_every_answer_has_the_security_headers(stranger: TestClient, path: str) -> None:
    answer = stranger.get(path)
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_posts_from_other_sites_change_nothing(ada: TestClient) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        answer = ada.post("/sign-out", headers=headers)
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "cross_site"
    assert ada.get("/api/calls").status_code == 200
    assert ada.post("/sign-out", headers={"Origin": "https://calls.example"}).status_code == 303


def test_demo_needs_no_sign_in(demo: TestClient) -> None:
    assert demo.get("/").status_code == 200
    assert demo.get("/sign-in").headers["location"] == "/"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "192.168.1.4:8000", ""])
def test_demo_answers_to_loopback_names_only(demo: TestClient, host: str) -> None:
    for path in ("/", "/api/calls", "/health", "/static/app.css"):
        answer = demo.get(path, headers={"Host": host})
        assert answer.status_code == 421
        assert answer.json()["error"]["code"] == "not_loopback"
