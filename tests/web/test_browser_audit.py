"""The audit trail in a real Chromium: a reason before playback, who listened, and the page with its filters."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from callreel.web.app import WebOptions
from tests.support.seed import Seed
from tests.web.chromium import serving
from tests.web.conftest import MakeApp
from tests.web.spoken_call import SPOKEN, add_spoken_call

pytest_plugins = ("tests.web.chromium",)
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def base_url(place: Seed, make_app: MakeApp) -> Iterator[str]:
    """A server without sign-in that requires reasons."""
    with serving(make_app(WebOptions(demo=True, secure_cookies=False, playback_reason=True)), place) as url:
        yield url


def test_reason_playback_and_trail(page: Page, base_url: str, place: Seed) -> None:
    add_spoken_call(place)
    page.goto(f"{base_url}/calls/{SPOKEN}")
    expect(page.locator("audio")).to_have_count(0)
    page.get_by_label("Reason for listening").fill("ticket 4711")
    page.get_by_role("button", name="Continue to the recording").click()
    page.locator("[data-play]").click()
    page.wait_for_function("() => document.querySelector('audio[data-main-audio]').currentTime > 0.2")
    page.reload()
    accesses = page.locator("#accesses")
    expect(accesses).to_contain_text("demo: played cloud")
    expect(accesses).to_contain_text("Reason: ticket 4711")
    page.get_by_role("link", name="Audit").click()
    expect(page.get_by_role("heading", name="In progress")).to_be_visible()
    page.get_by_label("Action").select_option("reason_given")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text("ticket 4711")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert "reason_given" in download.value.path().read_text()
