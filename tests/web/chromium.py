"""Fixtures of tests with a real Chromium, as a plugin: `pytest_plugins = ("tests.web.chromium",)`."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect, sync_playwright

from callreel.app.web import shown_settings
from callreel.domain.cost import Prices
from callreel.settings import Settings
from callreel.twilio.dial_policy import DialPolicy
from callreel.web.app import WebOptions
from tests.support.seed import Seed
from tests.web.conftest import MakeApp

CHROMIUM = (
    os.environ.get("CALLREEL_TEST_CHROMIUM")
    or shutil.which(
        "chromium-headless-shell"
    )  # takes half the processor time of a whole Chromium without a window
    or shutil.which("chromium")
    or "/usr/bin/chromium-headless-shell"
)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


expect.set_options(timeout=20_000)
"""Long enough for a busy machine."""


def need_chromium() -> None:
    """Skip the test if there is no Chromium; fail if CI is set."""
    if Path(CHROMIUM).exists():
        return
    missing = f"no Chromium at {CHROMIUM}; install the package chromium-headless-shell or set CALLREEL_TEST_CHROMIUM"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    need_chromium()
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)


@contextmanager
def serving(app: FastAPI, place: Seed, port: int = 0) -> Iterator[str]:
    """A server on loopback, by default on any free port. It must stop although pages still receive events."""
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    until = time.monotonic() + 10
    while not server.started and time.monotonic() < until:
        thread.join(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    place.bus.close()
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def base_url(place: Seed, make_app: MakeApp) -> Iterator[str]:
    """A server without sign-in."""
    options = WebOptions(
        demo=True, prices=Prices(),
        dial_policy=DialPolicy.for_caller_id("+12125550100"), settings=shown_settings(Settings()),
    )  # fmt: skip
    with serving(make_app(options), place) as url:
        yield url


@pytest.fixture
def sign_in_url(place: Seed, make_app: MakeApp) -> Iterator[str]:
    """A server with sign-in."""
    with serving(make_app(WebOptions(secure_cookies=False)), place) as url:
        yield url


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page that must cause no script errors or policy violations. It is closed before the test's server."""
    for server in {"base_url", "sign_in_url"} & set(request.fixturenames):
        request.getfixturevalue(server)
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US", timezone_id="UTC")
    opened, errors = context.new_page(), []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield opened
    context.close()
    assert not errors, f"the page reported errors: {errors}"
