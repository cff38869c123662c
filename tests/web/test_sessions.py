"""Sessions: their list and end, one's own and all; idle sessions; what counts as use."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from callreel.runtime.secret_tokens import new_token
from callreel.store.db.tables import sessions
from callreel.store.people import api_tokens, users
from callreel.store.people import sessions as session_rows
from callreel.web.api import tokens
from callreel.web.app import WebOptions
from callreel.web.auth.signin import SignIn
from tests.support.seed import LIVE, Seed
from tests.web.conftest import PASSWORD, As, MakeApp, browser_of, enter


def test_people_end_own_sessions_only(signed_in: As, place: Seed) -> None:
    maria, zoe = signed_in("maria"), signed_in("zoe")
    with place.database.read() as conn:
        ids = {row.name: row.id for row in session_rows.all_open(conn, datetime.now(UTC))}
    page = maria.get("/me").text
    assert "(this session)" in page and "zoe" not in page
    assert maria.post(f"/me/sessions/{ids['zoe']}/end").status_code == 404
    assert zoe.get("/api/v1/people/me").status_code == 200
    assert zoe.post(f"/me/sessions/{ids['zoe']}/end").status_code == 303
    assert zoe.get("/api/v1/people/me").status_code == 401


def test_administrators_end_all_sessions(signed_in: As, place: Seed) -> None:
    ada, sam = signed_in("ada"), signed_in("sam")
    with place.database.read() as conn:
        ids = {row.name: row.id for row in session_rows.all_open(conn, datetime.now(UTC))}
    assert "<strong>sam</strong>" in ada.get("/sessions").text
    assert sam.get("/sessions").status_code == sam.post(f"/sessions/{ids['ada']}/end").status_code == 403
    assert ada.post(f"/sessions/{ids['sam']}/end").status_code == 303
    assert sam.get("/api/v1/people/me").status_code == 401
    assert ada.post("/sessions/999/end").status_code == 404


@pytest.mark.parametrize(("idle_s", "status"), [(60.0, 401), (None, 200)])
def test_idle_session_is_signed_out(
    make_app: MakeApp, place: Seed, idle_s: float | None, status: int
) -> None:
    app = make_app(WebOptions(session_idle_s=idle_s))
    ada = enter(TestClient(app, base_url="https://calls.example"), place, "ada")
    long_ago = datetime.now(UTC) - timedelta(seconds=90)
    with place.database.write() as conn:
        conn.execute(update(sessions).values(last_seen_at=long_ago))
    assert ada.get("/api/v1/people/me").status_code == status
    with place.database.read() as conn:
        [row] = session_rows.all_open(conn, datetime.now(UTC))
    assert (row.last_seen_at > long_ago) is (status == 200)  # the request counts as use


def test_sign_in_stores_address_and_device(stranger: TestClient, place: Seed) -> None:
    data = {"name": "ada", "password": PASSWORD}
    assert (
        stranger.post("/sign-in", data=data, headers={"User-Agent": "Firefox/1" + "0" * 300}).status_code
        == 303
    )
    with place.database.read() as conn:
        [row] = session_rows.all_open(conn, datetime.now(UTC))
    assert row.address == "testclient" and row.device.startswith("Firefox/1") and len(row.device) == 200


def test_every_session_stores_a_device_that_databases_accept(signed_in: As, place: Seed) -> None:
    ada = signed_in("ada")
    change = {"current": PASSWORD, "new": PASSWORD + "2"}
    answer = ada.post("/api/v1/people/me/password", json=change, headers={"User-Agent": "Fire\0fox"})
    assert answer.status_code == 204
    with place.database.read() as conn:
        assert [row.device for row in session_rows.all_open(conn, datetime.now(UTC))] == ["Firefox"]


NEW_TOKEN = {"name": "tool", "scopes": ["calls:read"]}
CHANGES: dict[str, tuple[str, Callable[[str], dict[str, object]]]] = {
    "token": ("/api/v1/tokens", lambda new: dict(NEW_TOKEN)),
    "password": ("/api/v1/people/me/password", lambda new: {"current": PASSWORD, "new": new}),
}


def tokens_of(place: Seed, name: str) -> int:
    with place.database.read() as conn:
        user = users.get_by_name(conn, name)
        assert user is not None
        return len(api_tokens.of_user(conn, user.id))


@pytest.mark.parametrize("change", CHANGES)
def test_request_of_a_session_that_ends_meanwhile_changes_nothing(
    make_app: MakeApp, place: Seed, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """It was admitted, and is about to write, when another session commits a new password."""
    app = make_app(WebOptions())
    first, second = browser_of(app, place, "maria"), browser_of(app, place, "maria")
    admitted, go_on = threading.Event(), threading.Event()
    hashed = SignIn.hashed

    def wait() -> None:
        admitted.set()
        assert go_on.wait(20)

    def slow_token() -> str:
        wait()
        return new_token()

    async def slow_hash(self: SignIn, password: str) -> str:
        if password == "the password of an intruder":
            await asyncio.to_thread(wait)
        return await hashed(self, password)

    monkeypatch.setattr(tokens, "new_token", slow_token)
    monkeypatch.setattr(SignIn, "hashed", slow_hash)
    path, body = CHANGES[change]
    with ThreadPoolExecutor(1) as thread:
        late = thread.submit(second.post, path, json=body("the password of an intruder"))
        assert admitted.wait(20)
        change_own = {"current": PASSWORD, "new": "the password of the owner"}
        assert first.post("/api/v1/people/me/password", json=change_own).status_code == 204
        go_on.set()
        answer = late.result(20)
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        401,
        "You were signed out; sign in again.",
    )
    assert "set-cookie" not in answer.headers and tokens_of(place, "maria") == 0
    stranger = TestClient(app, base_url="https://calls.example", follow_redirects=False)
    entered = {
        password: stranger.post("/sign-in", data={"name": "maria", "password": password}).status_code
        for password in ("the password of the owner", "the password of an intruder")
    }
    assert list(entered.values()) == [303, 401]
    assert second.get("/api/v1/people/me").status_code == 401


def test_change_that_was_committed_first_counts(make_app: MakeApp, place: Seed) -> None:
    app = make_app(WebOptions())
    first, second = browser_of(app, place, "maria"), browser_of(app, place, "maria")
    assert second.post("/api/v1/tokens", json=NEW_TOKEN).status_code == 201
    change_own = {"current": PASSWORD, "new": "the password of the owner"}
    assert first.post("/api/v1/people/me/password", json=change_own).status_code == 204
    assert second.post("/api/v1/tokens", json=NEW_TOKEN).status_code == 401
    assert tokens_of(place, "maria") == 1
    assert first.get("/api/v1/people/me").status_code == 200, "it got the cookie of a new session"


def test_other_event_streams_end_with_a_password_change_at_once(make_app: MakeApp, place: Seed) -> None:
    app = make_app(WebOptions(heartbeat_s=600))
    first, second = browser_of(app, place, "maria"), browser_of(app, place, "maria")
    stream = threading.Thread(target=lambda: second.get(f"/calls/{LIVE}/events"))
    stream.start()
    until = time.monotonic() + 10
    while not place.bus.has_listeners(LIVE) and time.monotonic() < until:
        stream.join(0.01)
    assert stream.is_alive()
    change_own = {"current": PASSWORD, "new": "the password of the owner"}
    assert first.post("/api/v1/people/me/password", json=change_own).status_code == 204
    stream.join(10)
    assert not stream.is_alive(), "long before the next heartbeat"
