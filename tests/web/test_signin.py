"""Signing in and out, as a browser sees it and in the database."""

import asyncio
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from callreel.runtime.secret_tokens import token_hash
from callreel.store.db.tables import sessions, users
from callreel.store.people import users as people
from callreel.web.app import WebContext, WebOptions
from callreel.web.auth import passwords, signin
from callreel.web.auth.attempts import TooManyAttemptsError
from callreel.web.auth.passwords import PasswordError, hash_password, verify_password
from callreel.web.auth.signin import COOKIE, NewSession, SignIn
from tests.support.seed import Seed
from tests.web.conftest import PASSWORD, REAL_HASHER, MakeApp


def attempt(browser: TestClient, password: str, name: str = "ada", target: str = "/") -> int:
    return browser.post("/sign-in", data={"name": name, "password": password, "next": target}).status_code


def test_passwords_are_hashed_with_argon2id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_hasher", REAL_HASHER)
    hashed = hash_password(PASSWORD)
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert verify_password(hashed, PASSWORD)
    assert not verify_password(hashed, PASSWORD + "x")
    assert not verify_password(None, PASSWORD)
    assert not verify_password("not a hash", PASSWORD)


@pytest.mark.parametrize("password", ["", "ninechars", "x" * 1001])
def test_password_length_is_checked(password: str) -> None:
    with pytest.raises(PasswordError) as refused:
        hash_password(password)
    assert password == "" or password not in str(refused.value)


def test_cookie_is_http_only_and_stored_as_a_hash(stranger: TestClient, place: Seed) -> None:
    answer = stranger.post(
        "/sign-in", data={"name": "ada", "password": PASSWORD, "next": "/calls/x?before=1"}
    )
    assert answer.headers["location"] == "/calls/x?before=1"
    cookie = answer.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=lax", "Secure", "Max-Age=43200", "Path=/"):
        assert part in cookie
    token = answer.cookies[COOKIE]
    with place.database.read() as conn:
        stored = conn.execute(select(sessions.c.token_hash)).scalars().all()
    assert stored == [token_hash(token)]
    assert token not in stored


def test_sign_out_ends_the_session_not_just_the_cookie(ada: TestClient) -> None:
    token = ada.cookies[COOKIE]
    answer = ada.post("/sign-out")
    assert answer.headers["location"] == "/sign-in"
    assert COOKIE not in ada.cookies
    assert ada.get("/api/v1/calls", headers={"Cookie": f"{COOKIE}={token}"}).status_code == 401


def test_signing_in_again_ends_the_old_session(ada: TestClient) -> None:
    old = ada.cookies[COOKIE]
    # The sign-in page redirects signed-in people, but an older form may still be open.
    assert attempt(ada, PASSWORD) == 303
    assert ada.cookies[COOKIE] != old
    assert ada.get("/api/v1/calls", headers={"Cookie": f"{COOKIE}={old}"}).status_code == 401


@pytest.mark.parametrize(
    ("name", "password"), [("ada", "wrong password"), ("unknown", PASSWORD), ("ADA ", PASSWORD)]
)
def test_wrong_name_and_wrong_password_look_the_same(stranger: TestClient, name: str, password: str) -> None:
    answer = stranger.post("/sign-in", data={"name": name, "password": password})
    assert answer.status_code == 401
    assert "Wrong name or password." in answer.text
    assert password not in answer.text
    assert "set-cookie" not in answer.headers


def test_disabled_accounts_and_expired_sessions_are_refused(ada: TestClient, place: Seed) -> None:
    with place.database.write() as conn:
        conn.execute(sessions.update().values(expires_at=sessions.c.created_at))
    assert ada.get("/api/v1/calls").status_code == 401
    assert attempt(ada, PASSWORD) == 303
    with place.database.write() as conn:
        conn.execute(users.update().values(disabled=True))
    assert ada.get("/api/v1/calls").status_code == 401
    assert attempt(ada, PASSWORD) == 401


def test_correct_password_is_refused_after_five_failures(stranger: TestClient) -> None:
    assert [attempt(stranger, "wrong") for _ in range(5)] == [401] * 5
    answer = stranger.post("/sign-in", data={"name": "ada", "password": PASSWORD})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 901
    assert "try again in 15 minutes." in answer.text


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_redirect_after_sign_in_stays_on_this_site(stranger: TestClient, target: str) -> None:
    answer = stranger.post("/sign-in", data={"name": "ada", "password": PASSWORD, "next": target})
    assert answer.headers["location"] == "/"


def test_sign_in_page_without_accounts_says_how_to_create_one(make_app: MakeApp, place: Seed) -> None:
    with place.database.write() as conn:
        conn.execute(users.delete())
    page = TestClient(make_app(WebOptions())).get("/sign-in").text
    assert "callreel user add NAME" in page
    assert "<form" not in page


def test_missing_fields_and_long_names_are_invalid(stranger: TestClient) -> None:
    assert stranger.post("/sign-in", data={"name": "ada"}).status_code == 422
    assert attempt(stranger, PASSWORD, name="a" * 201) == 422


async def test_guesses_sent_at_once_do_not_pass_the_limit(place: Seed) -> None:
    sign_in = SignIn(WebContext(place.database, place.blobs, place.bus, WebOptions()))
    guesses = [sign_in.enter("ada", f"guess {number}", "10.0.0.1") for number in range(60)]
    answers = await asyncio.gather(*guesses, return_exceptions=True)
    assert [answer for answer in answers if not isinstance(answer, TooManyAttemptsError)] == [None] * 5
    with pytest.raises(TooManyAttemptsError):
        await sign_in.enter("ada", PASSWORD, "10.0.0.1")
    assert await sign_in.enter("ada", PASSWORD, "10.0.0.2") is not None


async def test_places_among_waiting_hashes_are_kept_for_addresses_without_a_failure(place: Seed) -> None:
    sign_in = SignIn(WebContext(place.database, place.blobs, place.bus, WebOptions()))
    addresses = [f"10.0.1.{number}" for number in range(30)]
    for address in addresses:
        assert await sign_in.enter("unknown", "guess", address) is None
    guesses = [sign_in.enter("ada", "guess", address) for address in addresses]
    *answers, person = await asyncio.gather(
        *guesses, sign_in.enter("ada", PASSWORD, "10.0.0.1"), return_exceptions=True
    )
    assert [answer for answer in answers if not isinstance(answer, TooManyAttemptsError)] == [None] * 20
    assert isinstance(person, NewSession)


def test_password_is_refused_before_its_form_is_read_while_too_many_wait(
    stranger: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signin, "_MOST_WAITING", 0)
    answer = stranger.post("/sign-in", data={"name": "ada"}, headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert "Too many people are signing in; try again in a few seconds." in answer.text
    assert stranger.get("/sign-in").status_code == 200


async def test_waiting_hashes_are_bounded(place: Seed) -> None:
    sign_in = SignIn(WebContext(place.database, place.blobs, place.bus, WebOptions()))
    guesses = [sign_in.enter(f"name {number}", "guess", f"10.0.1.{number}") for number in range(60)]
    answers = await asyncio.gather(*guesses, return_exceptions=True)
    assert [answer for answer in answers if not isinstance(answer, TooManyAttemptsError)] == [None] * 40


@pytest.mark.parametrize("change", [{"password_hash": "another"}, {"disabled": True}])
async def test_sign_in_in_flight_does_not_outlive_a_change_of_the_account(
    place: Seed, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    sign_in = SignIn(WebContext(place.database, place.blobs, place.bus, WebOptions()))

    async def proven_before(name: str, password: str, address: str) -> people.UserRow | None:
        found = await SignIn.proven(sign_in, name, password, address)
        assert found is not None
        with place.database.write() as conn:
            people.change(conn, found.id, **change)
        return found

    monkeypatch.setattr(sign_in, "proven", proven_before)
    assert await sign_in.enter("sam", PASSWORD, "10.0.0.1") is None
    with place.database.read() as conn:
        assert conn.execute(select(sessions.c.id)).all() == []
