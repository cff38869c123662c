"""What an agent does all day, in a real Chromium with a fake microphone: call, be called, and read the call afterwards.

The voice SDK is the unmodified one of the built page; the carrier is the stand-in, with its signalling and WebRTC.
"""

import asyncio
import re
import wave
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from callreel.audio.resample import to_rate
from callreel.domain.call import Role
from callreel.simulator.scenario import Technician
from callreel.simulator.voices import load_voice, shipped_voice
from tests.end_to_end.house import CALLER_ID, House
from tests.web.chromium import CHROMIUM, QUIET, need_chromium

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CALLING_MS = 15_000
CHECKED_MS = 60_000


T = TypeVar("T")


class PhoneHouse(House):
    """A house whose stand-in carrier lets browsers in; time runs as people's does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, speed=1.0)
        self._config = replace(self._config, signalling=True, technician=Technician(ring_s=1.0))

    def start_server(self) -> None:
        self._settings = {
            "TWILIO_API_KEY_SID": self._config.api_key_sid,
            "TWILIO_API_KEY_SECRET": self._config.api_key_secret,
            "TWILIO_TWIML_APP_SID": self._config.application_sid,
            "CALLREEL_SOFTPHONE_LOCAL_SIGNAL": self.carrier.signal_host,
        }
        super().start_server()

    def start_in_carrier(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start `work` where the carrier lives."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PhoneHouse]:
    need_chromium()
    with PhoneHouse(tmp_path_factory.mktemp("phone")) as house:
        yield house


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One whose microphone is the shipped agent's voice, over and over."""
    need_chromium()
    microphone = tmp_path_factory.mktemp("microphone") / "agent.wav"
    with wave.open(str(microphone), "wb") as file:
        file.setparams((1, 2, 48000, 0, "NONE", ""))
        file.writeframes(to_rate(load_voice(shipped_voice(Role.AGENT)), 8000, 48000).tobytes())
    flags = [
        *QUIET,
        "--allow-loopback-in-peer-connection",
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}",
    ]
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=flags)


@pytest.fixture
def desk(browser: Browser, house: PhoneHouse) -> Iterator[Page]:
    """The first page with its phone ready. Its policy and script must have nothing to complain of."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, permissions=["microphone"], locale="en-US"
    )
    context.add_init_script("localStorage.setItem('callreel.raw-microphone', 'yes')")
    page, complaints, strangers = context.new_page(), [], []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on(
        "request",
        lambda asked: strangers.append(asked.url) if not asked.url.startswith(house.url) else None,
    )
    page.goto(house.url)
    expect(page.locator("[data-ready]")).to_have_text("Ready; incoming calls ring here", timeout=CALLING_MS)
    yield page
    context.close()
    assert complaints == []
    assert strangers == []


def talk(desk: Page) -> None:
    """Dial as a person does and wait for the answer."""
    desk.get_by_label("Telephone number").press_sequentially("(202) 555-0177")
    expect(desk.get_by_label("Telephone number")).to_have_value("+1 202-555-0177")
    desk.get_by_role("button", name="Call technician").click()
    expect(desk.locator("[data-status]")).to_have_text("Talking with +1 202-555-0177", timeout=CALLING_MS)


def test_a_call_from_the_button_to_the_verdict(desk: Page, house: PhoneHouse) -> None:
    talk(desk)
    expect(desk.locator("[data-clock]")).to_have_text(re.compile(r"0:0\d"))
    words = desk.locator("[data-live-words]")
    expect(words.locator(".turn.agent").first).to_be_visible(timeout=CALLING_MS)
    expect(words.locator(".turn.technician").first).to_be_visible(timeout=CALLING_MS)
    expect(words.locator(".meter").first).to_have_attribute("aria-valuenow", re.compile(r"-[1-5]?\d$"))

    watcher = desk.context.new_page()
    address = words.get_by_role("link", name="The call's own page").get_attribute("href")
    watcher.goto(f"{house.url}{address}")
    expect(watcher.locator(".turn.technician").first).to_be_visible()
    expect(watcher.locator("#lights .light.recording")).to_have_count(3)
    watcher.keyboard.press("m")
    expect(watcher.locator("call-notes .note")).to_have_count(1)

    desk.get_by_role("button", name="Mute", exact=True).click()
    expect(desk.get_by_role("button", name="Unmute")).to_have_attribute("aria-pressed", "true")
    for key in ("1", "star", "hash"):
        desk.get_by_role("button", name=key, exact=True).click()
    desk.get_by_role("button", name="Unmute").click()
    desk.get_by_role("button", name="Hang up").click()
    expect(desk.locator("[data-note]")).to_have_text("The call has ended.")
    expect(desk.get_by_role("button", name="Call technician")).to_be_enabled()

    expect(watcher.locator("#head .badge")).to_have_text(
        re.compile("Verified|Explained|Suspect"), timeout=CHECKED_MS
    )
    expect(watcher.locator("#layers .light.done")).to_have_count(3)
    expect(watcher.locator("call-review[data-ready]")).to_be_attached()
    house.until(lambda: bool(house.carrier.browser_outcomes), 10)
    assert house.carrier.browser_outcomes[-1].keys == "1*#"


def test_the_verdict_of_a_browsers_call_is_good(house: PhoneHouse) -> None:
    call = house.client.get("/api/calls").json()["calls"][0]
    assert call["verdict"] in ("verified", "explained"), call["reasons"]


def test_an_incoming_call_rings_and_is_answered(desk: Page, house: PhoneHouse) -> None:
    me = house.client.get("/api/people/me").json()["identity"]
    ringing = house.start_in_carrier(house.carrier.ring_client(me, "+12025550188"))
    expect(desk.locator("[data-status]")).to_have_text("+1 202-555-0188 is calling", timeout=CALLING_MS)
    expect(desk.get_by_role("button", name="Accept")).to_be_focused()
    desk.keyboard.press("Enter")
    expect(desk.locator("[data-status]")).to_have_text("Talking with +1 202-555-0188")
    expect(desk.locator("[data-live-words] .turn.technician").first).to_be_visible(timeout=CALLING_MS)
    desk.get_by_role("button", name="Hang up").click()
    assert ringing.result(30).status == "completed"


def test_an_incoming_call_is_declined(desk: Page, house: PhoneHouse) -> None:
    me = house.client.get("/api/people/me").json()["identity"]
    ringing = house.start_in_carrier(house.carrier.ring_client(me, "+12025550188"))
    desk.get_by_role("button", name="Decline").click(timeout=CALLING_MS)
    expect(desk.locator("[data-note]")).to_have_text("You declined the call.")
    ringing.result(30)


def test_a_number_that_may_not_be_called_is_refused_with_its_reason(desk: Page) -> None:
    desk.get_by_label("Telephone number").fill("+882 123")
    desk.get_by_role("button", name="Call technician").click()
    expect(desk.locator("[data-number-problem].problem")).to_have_text(re.compile(r"\w.*\."))
    expect(desk.get_by_label("Telephone number")).to_have_attribute("aria-invalid", "true")
    expect(desk.locator("[data-status]")).to_have_text("")


def test_no_microphone_is_said_in_words(browser: Browser, house: PhoneHouse) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(
        "navigator.mediaDevices.getUserMedia = () =>"
        " Promise.reject(new DOMException('Permission denied', 'NotAllowedError'))"
    )
    page.goto(house.url)
    expect(page.locator("[data-ready]")).to_have_text(re.compile("Ready"), timeout=CALLING_MS)
    page.get_by_label("Telephone number").fill(CALLER_ID[:-1] + "9")
    page.get_by_role("button", name="Call technician").click()
    expect(page.locator("[data-note]")).to_contain_text("Allow the microphone for this page")
    context.close()
