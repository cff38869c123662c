"""The second factor: enrolment, the prompt after the password, replay, limits, recovery codes, resets, and what the trail has."""

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from fastapi.testclient import TestClient

from callreel.domain.access import Scope, SecondFactor
from callreel.store.audit import accesses
from callreel.store.people import second_factors, sessions, users
from callreel.web.app import WebContext, WebOptions, create_app
from callreel.web.auth import totp
from callreel.web.auth.attempts import TooManyAttemptsError
from callreel.web.auth.second_factor import SecondFactors
from callreel.web.auth.signin import COOKIE, SignIn
from tests.support.installation import SteppedClock
from tests.support.rows import audit_entries
from tests.support.seed import Seed
from tests.web.conftest import PASSWORD, bearer

Browser = Callable[..., TestClient]


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def browser(place: Seed, clock: SteppedClock) -> Browser:
    """Browsers of one server, by their address; its policy is set by the first."""
    apps: list[Any] = []

    def make(policy: SecondFactor = SecondFactor.OPTIONAL, address: str = "192.0.2.1") -> TestClient:
        if not apps:
            options = WebOptions(second_factor=policy)
            apps.append(create_app(WebContext(place.database, place.blobs, place.bus, options, clock)))
        return TestClient(
            apps[0], base_url="https://calls.example", follow_redirects=False, client=(address, 1)
        )

    return make


def enter(browser: TestClient, name: str = "sam", target: str = "/") -> str:
    """Send the password; where the answer leads."""
    answer = browser.post("/sign-in", data={"name": name, "password": PASSWORD, "next": target})
    assert answer.status_code == 303
    return answer.headers["location"]


def send(browser: TestClient, code: str, path: str = "/sign-in/code") -> int:
    return browser.post(path, data={"code": code, "next": "/"}).status_code


def enrol(browser: TestClient, clock: SteppedClock, name: str = "sam") -> tuple[pyotp.TOTP, list[str]]:
    """Sign in and enrol; the app and the recovery codes."""
    enter(browser, name)
    shown = browser.post("/me/second-factor", data={"password": PASSWORD})
    key = re.search(r"<code data-key>([A-Z2-7 ]+)</code>", shown.text)
    assert shown.status_code == 200 and key and "<svg" in shown.text
    app = pyotp.TOTP(key[1].replace(" ", ""))
    done = browser.post("/me/second-factor/confirm", data={"code": app.at(clock.now())})
    codes = re.findall(r"<code>([a-z2-7-]{19})</code>", done.text)
    assert done.status_code == 200 and len(codes) == len(set(codes)) == 10
    clock.step(30)
    return app, codes


def actions(place: Seed) -> list[tuple[str, str]]:
    return [(entry.action, entry.actor) for entry in audit_entries(place.database)]


def signed_in(browser: TestClient) -> bool:
    return browser.get("/api/v1/people/me").status_code == 200


def test_code_is_asked_after_the_password_and_used_once(
    browser: Browser, clock: SteppedClock, place: Seed
) -> None:
    app, codes = enrol(browser(), clock)
    other = browser()
    assert enter(other, target="/calls/x?a=1") == "/sign-in/code?next=%2Fcalls%2Fx%3Fa%3D1"
    assert not signed_in(other) and other.get("/").status_code == 401
    waiting = other.cookies[COOKIE]
    assert "Code" in other.get("/sign-in/code?next=/calls/x").text
    assert send(other, "000000") == 401 and not signed_in(other)
    code = app.at(clock.now())
    answer = other.post("/sign-in/code", data={"code": f"{code[:3]} {code[3:]}", "next": "//evil.example"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert signed_in(other) and other.cookies[COOKIE] != waiting
    third = browser()
    enter(third)
    assert send(third, code) == 401, "the code was used"
    clock.step(30)
    assert send(third, app.at(clock.now() - timedelta(seconds=60))) == 401, "two steps old"
    assert send(third, app.at(clock.now() - timedelta(seconds=30))) == 401, "the step was used"
    assert send(third, app.at(clock.now() + timedelta(seconds=30))) == 303, "a clock 30 s ahead"
    assert actions(place) == [
        ("signed_in", "sam"), ("second_factor_started", "sam"), ("second_factor_enrolled", "sam"),
        ("password_accepted", "sam"), ("signed_in", "sam"), ("password_accepted", "sam"), ("signed_in", "sam"),
    ]  # fmt: skip


def test_failed_codes_are_in_the_trail(browser: Browser, clock: SteppedClock, place: Seed) -> None:
    enrol(browser(), clock)
    other = browser()
    enter(other)
    assert send(other, "123456") == send(other, "not a code") == 401
    accesses.settle(place.database, clock.now() + timedelta(hours=1))
    failed = [one for one in audit_entries(place.database) if one.action == "second_factor_failed"]
    assert [(one.actor, one.address, one.details["requests"]) for one in failed] == [("sam", "192.0.2.1", 2)]
    assert "123456" not in str(failed)


def test_recovery_code_signs_in_once(browser: Browser, clock: SteppedClock, place: Seed) -> None:
    _, codes = enrol(browser(), clock)
    other = browser()
    enter(other)
    assert send(other, codes[3].upper().replace("-", " ")) == 303 and signed_in(other)
    third = browser()
    enter(third)
    assert send(third, codes[3]) == 401
    assert "You have 9 unused recovery codes" in other.get("/me/second-factor").text
    assert actions(place)[-3:] == [
        ("recovery_code_used", "sam"),
        ("signed_in", "sam"),
        ("password_accepted", "sam"),
    ]
    entries = audit_entries(place.database)
    assert entries[-2].details == {"second_factor": "recovery code"} and entries[-3].details == {
        "codes_left": 9
    }
    assert not any(code in str(entries) for code in codes)


def test_five_wrong_codes_lock_the_account_from_every_address(browser: Browser, clock: SteppedClock) -> None:
    app, codes = enrol(browser(), clock)
    other = browser()
    enter(other)
    assert [send(other, f"00000{n}") for n in range(5)] == [401] * 5
    for guesser in (other, browser(address="192.0.2.2")):
        enter(guesser)  # the right password does not reset the limit
        refused = guesser.post("/sign-in/code", data={"code": app.at(clock.now())})
        assert refused.status_code == 429 and 0 < int(refused.headers["retry-after"]) <= 901
        assert send(guesser, codes[0]) == 429
    clock.step(900)
    assert send(guesser, app.at(clock.now())) == 401, "the sign-in itself has ended"
    enter(guesser)
    assert send(guesser, app.at(clock.now())) == 303


async def test_codes_guessed_at_once_do_not_pass_the_limit(
    place: Seed, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = WebContext(place.database, place.blobs, place.bus, WebOptions(), clock)
    factors = SecondFactors(context, SignIn(context))
    with place.database.write() as conn:
        user = users.get_by_name(conn, "sam")
        assert user is not None
        second_factors.start(conn, user.id, totp.new_secret())
        second_factors.confirm(conn, user.id, clock.now())
    evaluated: list[str] = []
    monkeypatch.setattr(totp, "matching_step", lambda secret, code, at: evaluated.append(code))
    guesses = [factors.replace_recovery_codes(user.id, f"{n:06}", "192.0.2.1") for n in range(60)]
    answers = await asyncio.gather(*guesses, return_exceptions=True)
    assert len(evaluated) == 5, "the others are refused before their code is looked at"
    assert sum(isinstance(answer, TooManyAttemptsError) for answer in answers) == 55


def test_addresses_have_their_limit_too(browser: Browser, clock: SteppedClock) -> None:
    app, _ = enrol(browser(), clock)
    other = browser()
    for number in range(50):
        other.post("/sign-in", data={"name": f"unknown{number}", "password": "wrong"})
    waiting = browser(address="192.0.2.2")
    enter(waiting)
    same_address = browser()
    same_address.cookies.set(COOKIE, waiting.cookies[COOKIE], domain="calls.example", path="/")
    assert send(same_address, app.at(clock.now())) == 429
    assert send(waiting, app.at(clock.now())) == 303, "the refused attempt was not evaluated"


def test_enrolment_needs_the_password_and_a_code(browser: Browser, clock: SteppedClock, place: Seed) -> None:
    sam = browser()
    enter(sam)
    assert send(sam, "123456", "/me/second-factor/confirm") == 422
    wrong = sam.post("/me/second-factor", data={"password": "wrong password"})
    assert wrong.status_code == 422 and "data-key" not in wrong.text
    shown = sam.post("/me/second-factor", data={"password": PASSWORD})
    key = re.search(r"<code data-key>([A-Z2-7 ]+)</code>", shown.text)
    assert key and key[1] not in sam.get("/me/second-factor").text, "the key is shown once"
    assert send(sam, "123456", "/me/second-factor/confirm") == 422
    assert enter(browser()) == "/", "it does not count before it is confirmed"
    assert send(sam, pyotp.TOTP(key[1].replace(" ", "")).at(clock.now()), "/me/second-factor/confirm") == 200
    again = sam.post("/me/second-factor", data={"password": PASSWORD})
    assert again.status_code == 409 and "remove it first" in again.text


def test_codes_are_replaced_and_the_factor_removed_with_a_code(browser: Browser, clock: SteppedClock) -> None:
    sam = browser()
    app, codes = enrol(sam, clock)
    for path in ("recovery-codes", "remove"):
        assert send(sam, "123456", f"/me/second-factor/{path}") == 422
    page = sam.post("/me/second-factor/recovery-codes", data={"code": codes[0]})
    new = re.findall(r"<code>([a-z2-7-]{19})</code>", page.text)
    assert len(new) == 10 and not set(new) & set(codes)
    assert send(sam, codes[1], "/me/second-factor/remove") == 422
    assert send(sam, app.at(clock.now()), "/me/second-factor/remove") == 303
    assert enter(browser()) == "/"


def test_enrolment_ends_the_persons_other_sessions(browser: Browser, clock: SteppedClock) -> None:
    sam, thief, zoe = browser(), browser(), browser()
    enter(thief)
    enter(zoe, "zoe")
    enrol(sam, clock)
    assert not signed_in(thief), "it began with the password alone"
    assert signed_in(sam) and signed_in(zoe)


def test_sign_in_that_ended_while_its_code_was_checked_opens_no_session(
    browser: Browser, clock: SteppedClock, place: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, _ = enrol(browser(), clock)
    other = browser()
    enter(other)
    before = actions(place)
    with monkeypatch.context() as ended:
        ended.setattr(sessions, "end", lambda conn, session_id, user_id=None: None)
        assert send(other, app.at(clock.now())) == 401 and not signed_in(other)
    assert actions(place) == before, "no entry of a sign-in"
    assert send(other, app.at(clock.now())) == 303, "the transaction was taken back"


def test_required_role_sets_it_up_before_anything_else(
    browser: Browser, clock: SteppedClock, place: Seed
) -> None:
    sam = browser(SecondFactor.REQUIRED)
    enter(sam)
    for path in ("/", "/me", "/operations"):
        answer = sam.get(path, headers={"Accept": "text/html"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/me/second-factor")
    refused = sam.get("/api/v1/calls")
    assert refused.status_code == 403 and "requires a second factor" in refused.json()["error"]["message"]
    page = sam.get("/me/second-factor").text
    assert "Your role requires a second factor" in page and 'aria-label="Main"' not in page
    program = bearer(place, "sam", Scope.READ_CALLS)
    assert (
        TestClient(sam.app, base_url="https://calls.example")
        .get("/api/v1/calls", headers=program)
        .status_code
        == 200
    )
    enrol(sam, clock)
    assert sam.get("/api/v1/calls").status_code == 200
    maria = browser()
    assert enter(maria, "maria") == "/" and maria.get("/api/v1/calls").status_code == 200


def test_switched_off_requires_no_code(browser: Browser, clock: SteppedClock, place: Seed) -> None:
    sam = browser(SecondFactor.OFF)
    with place.database.write() as conn:
        user = users.get_by_name(conn, "sam")
        assert user is not None
        second_factors.start(conn, user.id, totp.new_secret())
        second_factors.confirm(conn, user.id, clock.now())
    assert enter(sam) == "/" and signed_in(sam)
    assert sam.get("/me/second-factor").status_code == 404 and "Second factor" not in sam.get("/me").text


def test_administrator_resets_somebody_elses(browser: Browser, clock: SteppedClock, place: Seed) -> None:
    sam, ada = browser(), browser()
    enrol(sam, clock)
    enrol(ada, clock, "ada")
    people = {one["name"]: one for one in ada.get("/api/v1/people").json()["people"]}
    assert [people[name]["second_factor"] for name in ("ada", "sam", "zoe")] == [True, True, False]
    address = "/api/v1/people/{}/second-factor"
    assert ada.delete(address.format(people["ada"]["id"])).status_code == 409
    assert ada.delete(address.format(people["zoe"]["id"])).status_code == 404
    assert ada.delete(address.format(people["sam"]["id"])).status_code == 204
    assert not signed_in(sam), "its sessions ended"
    assert enter(browser()) == "/"
    entry = next(one for one in audit_entries(place.database) if one.action == "second_factor_reset")
    assert (entry.actor, entry.subject) == ("ada", "sam")


def test_waiting_sign_in_ends_after_ten_minutes_or_with_a_new_password(
    browser: Browser, clock: SteppedClock, place: Seed
) -> None:
    app, _ = enrol(browser(), clock)
    late, changed = browser(), browser()
    enter(late)
    clock.step(601)
    assert late.get("/sign-in/code?next=/x").headers["location"] == "/sign-in?next=%2Fx"
    assert send(late, app.at(clock.now())) == 401 and not signed_in(late)
    enter(changed)
    with place.database.write() as conn:
        user = users.get_by_name(conn, "sam")
        assert user is not None
        users.change(conn, user.id, password_hash="another")
    assert send(changed, app.at(clock.now())) == 401 and not signed_in(changed)
