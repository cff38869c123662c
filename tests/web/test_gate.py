"""Access control beyond the table of `test_route_matrix.py`: rules, redirects, tokens, headers, demo mode."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from callreel.app.web import web_app
from callreel.domain.access import Scope
from callreel.ops.health import Health
from callreel.runtime.clock import Clock
from callreel.runtime.counters import Counters
from callreel.settings import load_settings
from callreel.store.db.tables import api_tokens
from callreel.web.app import WebContext, WebOptions, create_app
from callreel.web.auth.access import RULES, Rule, find
from callreel.web.auth.gate import SECURITY_HEADERS, SIGNED
from tests.support.seed import DONE, NOON, Seed
from tests.web.conftest import MakeApp, bearer
from tests.web.routes import endpoints

VALUES = {
    "{call_id}": DONE,
    "{name}": "1",
    "{ending}": "txt",
    "{note_id}": "1",
    "{label_id}": "1",
    "{item_id}": "1",
    "{filter_id}": "1",
    "{redaction_id}": "1",
    "{person_id}": "1",
    "{token_id}": "1",
    "{session_id}": "1",
    "{technician_id}": "1",
    "{endpoint_id}": "1",
    "{rule_id}": "1",
    "{delivery_id}": "msg_" + "0" * 24,
    "{scorecard_id}": "1",
    "{review_id}": "1",
    "{sid}": "RE" + "0" * 32,
    "{sha256}": "0" * 64,
}
OPEN = {
    ("GET", "/health"),
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("GET", "/sign-in/code"),
    ("POST", "/sign-in/code"),
    ("GET", "/sign-in/provider"),
    ("GET", "/sign-in/provider/callback"),
    ("GET", "/welcome"),
    ("POST", "/welcome"),
    ("GET", "/notices/{sha256}.wav"),
}
BROWSER = {"Accept": "text/html"}


def guarded(client: TestClient) -> list[tuple[str, str]]:
    """All routes but the open ones, with a real call in their paths."""
    found = {(method, path) for method, path, _ in endpoints(cast(FastAPI, client.app).routes)}
    assert {("GET", "/"), ("GET", "/calls/{call_id}"), ("GET", "/events"), ("GET", "/openapi.json")} <= found
    assert OPEN < found
    kept = found - OPEN - {("GET", "/static/"), ("GET", "/health/live"), ("GET", "/health/ready")}
    filled = sorted((method, _filled(path)) for method, path in kept)
    assert not any("{" in path for _, path in filled), "give the new parameter a value here"
    return filled


def _filled(path: str) -> str:
    for parameter, value in VALUES.items():
        path = path.replace(parameter, value)
    return path


def rule_of(method: str, path: str) -> Rule:
    found = find(method, path)
    assert found is not None and found.rule is not None, f"{method} {path} has no rule in web/auth/access.py"
    return found.rule


def test_every_route_has_a_rule_and_every_rule_a_route(stranger: TestClient) -> None:
    walked = guarded(stranger)
    used = {rule_of(method, path) for method, path in walked}
    assert not any(rule.open for rule in used)
    assert {rule.path for rule in RULES if not rule.open} == {rule.path for rule in used}


class Nothing:
    """Stands for each part of the server that no refused request reaches."""

    def __init__(self, **known: object) -> None:
        self.__dict__.update(known)

    def __getattr__(self, name: str) -> "Nothing":
        return Nothing()

    def __iter__(self) -> Iterator[object]:
        return iter(())

    def __call__(self, *_: object, **__: object) -> object:
        raise AssertionError("a request that should be refused went further than the door")


def test_every_route_of_the_composed_server_is_protected(place: Seed) -> None:
    """Every router that the composition root adds, the carrier's too."""
    sid = "0" * 32
    settings = load_settings({}, {"TWILIO_ACCOUNT_SID": f"AC{sid}", "TWILIO_AUTH_TOKEN": "t" * 32})
    installation: Any = Nothing(
        settings=settings, database=place.database, blobs=place.blobs, bus=place.bus, clock=Clock()
    )
    far: Any = Nothing()
    live: Any = Nothing(calls=far, counters=Counters())
    app = web_app(
        installation, engine=far, live=live, dispatch=far,
        health=Health(Clock(), {}), metrics=far, demo=False, demo_sign_in=False,
    )  # fmt: skip
    browser = TestClient(app, base_url="https://calls.example", follow_redirects=False)
    carriers, people = set(), 0
    for method, path, _ in endpoints(app.routes):
        if path.startswith(SIGNED):
            carriers.add(path)
            for headers in ({}, {"X-Twilio-Signature": "AAAA"}):
                answer = browser.request(method, path, data={"CallSid": f"CA{sid}"}, headers=headers)
                assert answer.status_code == 403, (method, path)
        elif not rule_of(method, _filled(path)).open:
            people += 1
            assert browser.request(method, _filled(path)).status_code == 401, (method, path)
    assert carriers >= {
        "/twilio/voice",
        "/twilio/recording-status",
        "/twilio/stream-status",
        "/twilio/call-status",
        "/twilio/consent/notice",
        "/twilio/consent/played",
        "/twilio/consent/answer",
    }
    assert people > 40


def test_route_without_a_rule_is_not_found(place: Seed) -> None:
    forgotten = APIRouter()

    @forgotten.get("/secret")
    def secret() -> str:
        return "secret text"

    context = WebContext(place.database, place.blobs, place.bus, WebOptions(demo=True))
    app = create_app(context, routers=[forgotten])
    answer = TestClient(app, base_url="http://localhost").get("/secret")
    assert answer.status_code == 404
    assert "secret text" not in answer.text


def test_an_agents_token_sees_no_more_than_the_agent(stranger: TestClient, place: Seed) -> None:
    header = bearer(place, "zoe", Scope.READ_CALLS)
    assert stranger.get("/api/v1/calls", headers=header).json()["calls"] == []
    assert stranger.get(f"/api/v1/calls/{DONE}", headers=header).status_code == 404


def test_invalid_token_is_refused_even_with_a_session(ada: TestClient, place: Seed) -> None:
    header = bearer(place, "ada", Scope.READ_CALLS)
    with place.database.write() as conn:
        conn.execute(api_tokens.update().values(expires_at=NOON))
    for headers in (header, {"Authorization": "Bearer"}, {"Authorization": "Bearer x"}):
        answer = ada.get("/api/v1/calls", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


def test_token_requests_need_no_origin(stranger: TestClient, place: Seed) -> None:
    header = bearer(place, "ada", Scope.WRITE_CALLS) | {"Origin": "https://tool.example"}
    mark = {"kind": "mark", "at_ms": 10}
    assert stranger.post(f"/api/v1/calls/{DONE}/notes", json=mark, headers=header).status_code == 201


def test_browser_without_session_is_redirected_to_sign_in_and_back(stranger: TestClient) -> None:
    for method, path in guarded(stranger):
        if method == "GET" and not path.startswith("/api/v1/"):
            answer = stranger.get(f"{path}?after=0", headers=BROWSER)
            assert answer.status_code == 303, path
            assert answer.headers["location"] == f"/sign-in?next={path.replace('/', '%2F')}%3Fafter%3D0"


def test_invalid_cookie_is_no_session(stranger: TestClient) -> None:
    for cookie in (
        b"callreel_session=x",
        b"callreel_session=",
        b"callreel_session",
        b"\xff=;;",
        b'callreel_session="',
    ):
        assert stranger.get("/api/v1/calls", headers=[(b"Cookie", cookie)]).status_code == 401


def test_websocket_outside_the_carrier_routes_needs_a_session(place: Seed) -> None:
    inside = APIRouter()

    @inside.websocket("/talk")
    @inside.websocket("/twilio/talk")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    app = create_app(WebContext(place.database, place.blobs, place.bus, WebOptions()), routers=[inside])
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


def test_policy_allows_no_inline_code_and_no_other_hosts() -> None:
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_cross_site_posts_are_refused(ada: TestClient) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        answer = ada.post("/sign-out", headers=headers)
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "cross_site"
    assert ada.get("/api/v1/calls").status_code == 200
    assert ada.post("/sign-out", headers={"Origin": "https://calls.example"}).status_code == 303


def test_demo_needs_no_sign_in(demo: TestClient) -> None:
    assert demo.get("/").status_code == 200
    assert demo.get("/sign-in").headers["location"] == "/"


def test_demo_with_sign_in_requires_a_session_on_loopback(make_app: MakeApp) -> None:
    app = make_app(WebOptions(demo=True, demo_sign_in=True, secure_cookies=False))
    stranger = TestClient(app, base_url="http://localhost", follow_redirects=False)
    for method, path in guarded(stranger):
        assert stranger.request(method, path).status_code == 401, (method, path)
    assert stranger.get("/", headers=BROWSER).headers["location"] == "/sign-in?next=%2F"
    assert 'name="password"' in stranger.get("/sign-in").text
    assert stranger.get("/sign-in", headers={"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "192.168.1.4:8000", ""])
def test_demo_accepts_requests_to_loopback_names_only(demo: TestClient, host: str) -> None:
    for path in ("/", "/api/v1/calls", "/health", "/static/app.css"):
        answer = demo.get(path, headers={"Host": host})
        assert answer.status_code == 421
        assert answer.json()["error"]["code"] == "not_loopback"
