"""A seeded installation in a temporary folder, and its browsers: signed in, not signed in, in demo mode."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from anyio.from_thread import start_blocking_portal
from argon2 import PasswordHasher
from fastapi import FastAPI
from fastapi.testclient import TestClient
from jinja2 import Environment, FileSystemBytecodeCache
from jinja2.bccache import Bucket

from callreel.carrier_client.client import CarrierRecordings
from callreel.carrier_client.rest import CarrierAccess
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.access import Scope, UserRole
from callreel.domain.cost import Prices
from callreel.ingest.pause_control import PauseControl, PauseServices
from callreel.language_model.chat_server import ChatAccess, ChatServer
from callreel.language_model.usage import TokenPrices
from callreel.retention.stopped_recording import RecordingStop
from callreel.review.model_access import ModelAccess
from callreel.runtime.clock import Clock
from callreel.runtime.secret_tokens import new_token, token_hash
from callreel.store.people import api_tokens, sessions, users
from callreel.twilio.dial_policy import DialPolicy
from callreel.web.app import WebContext, WebOptions, create_app
from callreel.web.auth import passwords
from callreel.web.auth.signin import COOKIE
from callreel.web.pages import render
from tests.support.fake_engine import FakeEngine
from tests.support.seed import NOON, Seed, seed

PASSWORD = "correct horse battery"
REAL_HASHER = passwords._hasher
CHEAP_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
HASH = CHEAP_HASHER.hash(PASSWORD)

MakeApp = Callable[[WebOptions], FastAPI]


@pytest.fixture(scope="session", autouse=True)
def one_event_loop() -> Iterator[None]:
    """All clients run their application in one event loop; each request would start and end its own, with a thread."""
    with start_blocking_portal() as portal, pytest.MonkeyPatch.context() as patch:
        patch.setattr(TestClient, "portal", portal)
        yield


class TemplateCache(FileSystemBytecodeCache):
    """Compiled templates, for each set of role names: Jinja stores the result of a filter of a constant, such as a role's name."""

    def get_bucket(self, environment: Environment, name: str, filename: str | None, source: str) -> Bucket:
        names = sorted(cast(WebOptions, environment.globals["options"]).role_names.items())
        return super().get_bucket(environment, name, f"{filename} {names}", source)


@pytest.fixture(scope="session", autouse=True)
def templates_compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All applications share compiled templates; each would compile its own."""
    cache = TemplateCache(str(tmp_path_factory.mktemp("templates")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "Environment", partial(Environment, bytecode_cache=cache))
        yield


@pytest.fixture(scope="session", autouse=True)
def cheap_hashes() -> Iterator[None]:
    """Passwords cost almost nothing to hash and verify; with what they really cost, that would be half of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", CHEAP_HASHER)
        patch.setattr(passwords, "_unknown_person_hash", CHEAP_HASHER.hash("x"))
        yield


@pytest.fixture(scope="session")
def seeded_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The calls of `seed` and four people, made once; tests use copies."""
    folder = tmp_path_factory.mktemp("seed")
    place = seed(folder)
    with place.database.write() as conn:
        users.add(conn, "ada", HASH, UserRole.ADMINISTRATOR, NOON)
        for name, role in (("sam", UserRole.SUPERVISOR), ("maria", UserRole.AGENT), ("zoe", UserRole.AGENT)):
            users.add(conn, name, HASH, role, NOON)
    place.database.close()
    return folder


@pytest.fixture
def engine() -> FakeEngine:
    """The durable engine whose waiting and running work the pages show."""
    return FakeEngine(clock=Clock())


@pytest.fixture(scope="session")
def carrier() -> Iterator[CarrierRecordings]:
    """A carrier's REST without credentials; making its client takes longer than a test."""
    client = CarrierRecordings(CarrierAccess("", "", "", ""))
    yield client
    client.close()


@pytest.fixture(scope="session")
def no_chat() -> Iterator[ChatServer]:
    """The client of a language model's server that does not run."""
    server = ChatServer(ChatAccess("http://127.0.0.1:9/v1", "test-model"))
    yield server
    server.close()


@pytest.fixture
def make_app(place: Seed, engine: FakeEngine, carrier: CarrierRecordings, no_chat: ChatServer) -> MakeApp:
    """Applications whose carrier has no credentials, and whose language model does not answer."""
    clock = Clock()
    publisher = EventPublisher(place.database, place.bus, clock)
    pausing = PauseControl(
        PauseServices(
            place.database, publisher, clock, carrier, notify=lambda paused, call_id, announcement: None
        )
    )
    stop = RecordingStop(place.database, place.blobs, carrier, publisher, clock, notify=lambda call_id: None)

    def make(options: WebOptions) -> FastAPI:
        model = ModelAccess(place.database, clock, no_chat, TokenPrices(), redacts=False)
        context = WebContext(
            place.database, place.blobs, place.bus, options, work=engine, pausing=pausing, recording_stop=stop,
            model=model if options.language_model else None,
        )  # fmt: skip
        return create_app(context)

    return make


@pytest.fixture
def stranger(make_app: MakeApp) -> TestClient:
    """A browser without a session; `ada` is a user."""
    app = make_app(WebOptions(prices=Prices(), language_model="test-model"))
    return TestClient(app, base_url="https://calls.example", follow_redirects=False)


def enter(browser: TestClient, place: Seed, name: str) -> TestClient:
    """The browser after `name` has signed in (signing in is tested in test_signin.py)."""
    token = new_token()
    with place.database.write() as conn:
        user = users.get_by_name(conn, name)
        assert user is not None
        sessions.add(conn, token_hash(token), user.id, datetime.now(UTC), 3600)
    browser.cookies.set(COOKIE, token, domain="calls.example", path="/")
    return browser


def browser_of(app: FastAPI, place: Seed, name: str) -> TestClient:
    """A browser in which `name` has signed in."""
    return enter(TestClient(app, base_url="https://calls.example", follow_redirects=False), place, name)


@pytest.fixture
def ada(stranger: TestClient, place: Seed) -> TestClient:
    """The same browser after the administrator ada has signed in."""
    return enter(stranger, place, "ada")


As = Callable[[str], TestClient]


@pytest.fixture
def signed_in(make_app: MakeApp, place: Seed) -> As:
    """Browsers of several people on one server: sam sees all calls, maria and zoe are agents, zoe has no calls."""
    app = make_app(
        WebOptions(
            prices=Prices(), dial_policy=DialPolicy.for_caller_id("+12125550100"), language_model="test-model"
        )
    )
    return lambda name: browser_of(app, place, name)


def bearer(place: Seed, name: str, *scopes: Scope) -> dict[str, str]:
    """The header of a program with a token of this person's."""
    token = new_token()
    with place.database.write() as conn:
        user = users.get_by_name(conn, name)
        assert user is not None
        api_tokens.add(conn, user.id, "test", token_hash(token), scopes, NOON, None)
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def demo(make_app: MakeApp) -> TestClient:
    """A browser on the machine of a demo, without sign-in."""
    app = make_app(WebOptions(demo=True, secure_cookies=False, prices=Prices()))
    return TestClient(app, base_url="http://localhost:8000", follow_redirects=False)
