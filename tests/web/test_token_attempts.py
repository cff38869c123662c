"""The limit on wrong API tokens, by the client's address, which only a trusted proxy may name."""

import asyncio

import pytest
from fastapi.testclient import TestClient

from callreel.domain.access import Scope
from callreel.web.app import WebContext, WebOptions
from callreel.web.auth.attempts import TooManyAttemptsError
from callreel.web.auth.origin import limited_address
from callreel.web.auth.signin import SignIn
from tests.support.seed import Seed
from tests.web.conftest import MakeApp, bearer

PROXY, MOST = "10.0.0.5", 50


def status(app: TestClient, token: str, forwarded: str | None = None) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    if forwarded is not None:
        headers["X-Forwarded-For"] = forwarded
    return app.get("/api/v1/calls", headers=headers).status_code


def client(make_app: MakeApp, address: str, *, trusted: tuple[str, ...] = ()) -> TestClient:
    app = make_app(WebOptions(trusted_proxies=trusted))
    return TestClient(app, base_url="https://calls.example", client=(address, 1))


def test_wrong_tokens_are_limited_by_address(make_app: MakeApp, place: Seed) -> None:
    guesser = client(make_app, "192.0.2.1")
    known, fresh = (bearer(place, "sam", Scope.READ_CALLS)["Authorization"][7:] for _ in range(2))
    assert status(guesser, known) == 200
    assert [status(guesser, f"guess {number}") for number in range(MOST + 2)] == [401] * MOST + [429] * 2
    refused = guesser.get("/api/v1/calls", headers={"Authorization": "Bearer x"})
    assert int(refused.headers["Retry-After"]) > 800 and refused.json()["error"]["code"] == "too_many"
    assert status(guesser, known) == 200, "a token that was valid lately is not counted"
    assert status(guesser, fresh) == 429, "a correct guess is not recognizable"
    other = TestClient(guesser.app, base_url="https://calls.example", client=("192.0.2.2", 1))
    assert status(other, fresh) == 200


def test_untrusted_proxy_header_does_not_change_the_address(make_app: MakeApp) -> None:
    guesser = client(make_app, "192.0.2.1")
    statuses = [status(guesser, "guess", f"198.51.100.{number}") for number in range(MOST + 1)]
    assert statuses == [401] * MOST + [429]


def test_trusted_proxy_names_the_client(make_app: MakeApp) -> None:
    proxied = client(make_app, PROXY, trusted=("10.0.0.0/24",))
    for number in range(MOST):  # the guesser can only prepend to what the proxy adds
        assert status(proxied, "guess", f"203.0.113.{number}, 198.51.100.7") == 401
    assert status(proxied, "guess", "198.51.100.7") == 429
    assert status(proxied, "guess", "198.51.100.8") == 401


async def test_wrong_tokens_sent_at_once_do_not_pass_the_limit(place: Seed) -> None:
    sign_in = SignIn(WebContext(place.database, place.blobs, place.bus, WebOptions()))
    guesses = (sign_in.by_token(f"guess {number}", "192.0.2.1") for number in range(2 * MOST))
    answers = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(answer, TooManyAttemptsError) for answer in answers) == MOST


async def test_valid_tokens_sent_at_once_are_not_limited(place: Seed) -> None:
    sign_in = SignIn(WebContext(place.database, place.blobs, place.bus, WebOptions()))
    token = bearer(place, "sam", Scope.READ_CALLS)["Authorization"][7:]
    owners = await asyncio.gather(*(sign_in.by_token(token, "192.0.2.1") for _ in range(2 * MOST)))
    assert all(owner is not None and owner.name == "sam" for owner in owners)


@pytest.mark.parametrize(
    ("host", "counted"),
    [("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
     ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"), ("testclient", "testclient")],
)  # fmt: skip
def test_clients_are_counted_by_address_or_ipv6_network(host: str, counted: str) -> None:
    assert limited_address((host, 1)) == counted
