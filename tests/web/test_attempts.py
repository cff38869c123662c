"""Limits on guesses count for all servers of an installation together, before a secret is looked at."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from callreel.store.db.database import Database
from callreel.store.db.tables import users as user_table
from callreel.store.people import second_factors, users
from callreel.store.people.attempts import AttemptLimit
from callreel.web.app import WebContext, WebOptions, create_app
from callreel.web.auth import totp
from callreel.web.auth.attempts import BY_ADDRESS, TOKENS, TooManyAttemptsError
from callreel.web.auth.passwords import hash_password
from callreel.web.auth.second_factor import SecondFactors
from callreel.web.auth.signin import SignIn
from tests.support.installation import SteppedClock
from tests.support.seed import Seed
from tests.web.conftest import PASSWORD

ADDRESS = "192.0.2.1"


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def servers(
    place: Seed, tmp_path: Path, clock: SteppedClock, cheap_hashes: None
) -> Iterator[list[WebContext]]:
    """Two servers of one installation, each with its own connections to the database."""
    with place.database.write() as conn:
        conn.execute(update(user_table).values(password_hash=hash_password(PASSWORD)))  # a cheap one
    first = WebContext(place.database, place.blobs, place.bus, WebOptions(), clock)
    second = Database.open(str(tmp_path / "callreel.db"))
    yield [first, replace(first, database=second)]
    second.close()


async def refused_at(*servers: Callable[[str], Awaitable[object]]) -> int:
    """Guess at each server in turn; the number of guesses that were evaluated before one was refused."""
    for number in range(100):
        try:
            assert await servers[number % len(servers)](f"{number:06}") is None
        except TooManyAttemptsError:
            return number
    raise AssertionError("no guess was refused")


async def test_passwords_and_codes_share_their_limits(servers: list[WebContext], place: Seed) -> None:
    sign_ins = [SignIn(context) for context in servers]
    factors = [SecondFactors(*pair) for pair in zip(servers, sign_ins, strict=True)]
    with place.database.write() as conn:
        user = users.get_by_name(conn, "sam")
        assert user is not None
        second_factors.start(conn, user.id, totp.new_secret())
        second_factors.confirm(conn, user.id, servers[0].clock.now())
    codes = (partial(one.replace_recovery_codes, user.id, address=ADDRESS) for one in factors)
    assert await refused_at(*codes) == 5
    passwords = (partial(one.enter, "ada", address=ADDRESS) for one in sign_ins)
    assert await refused_at(*passwords) == 5
    names = (partial(one.enter, password=PASSWORD, address=ADDRESS) for one in sign_ins)
    assert await refused_at(*names) == 40, "those of the address count together"
    with pytest.raises(TooManyAttemptsError):
        await factors[1].replace_recovery_codes(user.id + 1, "000000", ADDRESS)


async def test_api_tokens_share_their_limit(servers: list[WebContext]) -> None:
    sign_ins = [SignIn(context) for context in servers]
    assert await refused_at(*(partial(one.by_token, address=ADDRESS) for one in sign_ins)) == 50


def test_welcome_links_share_their_limit(servers: list[WebContext]) -> None:
    browsers = [TestClient(create_app(context)) for context in servers]
    answers = [browsers[number % 2].get(f"/welcome?token={number}").status_code for number in range(22)]
    assert answers == [404] * 20 + [429] * 2


async def test_success_at_one_server_resets_the_other(servers: list[WebContext], clock: SteppedClock) -> None:
    one, other = (SignIn(context) for context in servers)
    for number in range(4):
        assert await one.enter("ada", f"guess {number}", ADDRESS) is None
    assert await other.enter("ada", PASSWORD, ADDRESS) is not None
    assert await refused_at(partial(one.enter, "ada", address=ADDRESS)) == 5
    clock.step(900)
    assert await other.enter("ada", PASSWORD, ADDRESS) is not None


async def test_refusal_is_given_again_without_the_database(
    servers: list[WebContext], clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in = SignIn(servers[0])
    assert await refused_at(partial(sign_in.by_token, address=ADDRESS)) == 50
    asked: list[str] = []

    def wait_s(limit: AttemptLimit, key: str) -> float:
        asked.append(key)
        return 0.0

    monkeypatch.setattr(sign_in.attempts, "_wait_s", wait_s)
    clock.step(4)
    with pytest.raises(TooManyAttemptsError) as refused:
        await sign_in.by_token("x", ADDRESS)
    assert refused.value.wait_s == 896 and asked == []
    clock.step(1)
    await sign_in.attempts.require(TOKENS, ADDRESS)
    assert asked == [ADDRESS]


async def test_failed_address_is_known_until_its_failures_are_past(
    servers: list[WebContext], clock: SteppedClock
) -> None:
    attempts = SignIn(servers[0]).attempts
    await attempts.begin((BY_ADDRESS, "bob"))
    await attempts.succeeded(await attempts.begin((BY_ADDRESS, "ada")))
    await attempts.succeeded(await attempts.begin((BY_ADDRESS, "bob")))
    assert [attempts.has_failed(BY_ADDRESS, key) for key in ("bob", "ada", "eve")] == [True, False, False]
    clock.step(900)
    assert not attempts.has_failed(BY_ADDRESS, "bob")
