"""The softphone in a real Chromium with a fake microphone: outgoing and incoming calls, and failures.

The page uses the unmodified voice SDK, against the simulated carrier with its signalling and WebRTC. A whole day with
sign-in and review is in test_browser_day.py.
"""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from callreel.audio.samples import TELEPHONE_HZ
from callreel.domain.call import Role
from callreel.simulator.faults import Fault
from callreel.simulator.scenario import CallScript, Technician
from callreel.simulator.sound.voices import load_voice, shipped_voice
from tests.end_to_end.album import PICTURES
from tests.end_to_end.cable import Cable
from tests.end_to_end.house import CALLER_ID
from tests.end_to_end.phone_house import (
    CALLING_MS,
    CHECKED_MS,
    RAW_MICROPHONE,
    TECHNICIAN,
    PhoneHouse,
    browser_with_microphone,
    call_id_of,
    talk,
    wait_for_phone,
)

WORDS = 5
NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty"
).split()
"""The first word of each line. All differ, so that a lost or repeated line is detected."""

pytestmark = [pytest.mark.browser, pytest.mark.slow]


class CableHouse(PhoneHouse):
    """A house that reaches the carrier's REST API by `line`, and whose pages are also behind `wire`."""

    line: Cable
    wire: Cable

    def __enter__(self) -> "CableHouse":
        super().__enter__()
        return self

    def start_server(self) -> None:
        if not hasattr(self, "line"):
            carrier_port = int(self.carrier.signal_host.rpartition(":")[2])
            self.line, self.wire = Cable(carrier_port).__enter__(), Cable(self.port).__enter__()
            self._settings["CALLREEL_CARRIER_API_URL"] = f"http://127.0.0.1:{self.line.port}"
        super().start_server()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.line.__exit__()
        self.wire.__exit__()

    @property
    def wired_url(self) -> str:
        return f"http://127.0.0.1:{self.wire.port}"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CableHouse]:
    lines = "|".join(f"{number} is what was said" for number in NUMBERS)
    settings = {"CALLREEL_ENGINE_OPTIONS": f"text={lines}"}
    with CableHouse(tmp_path_factory.mktemp("phone"), settings) as house:
        yield house


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser_with_microphone(tmp_path_factory.mktemp("microphone")) as browser:
        yield browser


@pytest.fixture
def desk(browser: Browser, house: CableHouse) -> Iterator[Page]:
    """The list of calls with its softphone ready. It must cause no errors and no requests to other hosts."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, permissions=["microphone"], locale="en-US"
    )
    context.add_init_script(RAW_MICROPHONE)
    page, errors, foreign = context.new_page(), [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on(
        "request",
        lambda request: foreign.append(request.url) if not request.url.startswith(house.url) else None,
    )
    page.goto(house.url)
    wait_for_phone(page)
    yield page
    context.close()
    assert errors == []
    assert foreign == []


def stored_words(house: PhoneHouse, call_id: str) -> list[str]:
    """`role:word` of all stored live words of a call, in order."""
    turns = house.client.get(f"/api/v1/calls/{call_id}").json()["live_turns"]
    return [f"{turn['role']}:{word}" for turn in turns for word in turn["text"].split()]


def displayed_words(page: Page) -> list[str]:
    """The same for the final words on a page, whose turns may be cut differently."""
    said: list[str] = page.locator("[data-finals] .turn").evaluate_all(
        """turns => turns.flatMap(turn =>
            turn.querySelector('.text').firstChild.data.trim().split(/\\s+/).map(word => `${turn.dataset.role}:${word}`))"""
    )
    return said


def test_incoming_call_rings_and_is_answered(desk: Page, house: CableHouse) -> None:
    me = house.client.get("/api/v1/people/me").json()["identity"]
    ringing = house.start_in_carrier(house.carrier.ring_client(me, "+12025550188"))
    expect(desk.locator("[data-status]")).to_have_text("+1 202-555-0188 is calling", timeout=CALLING_MS)
    expect(desk.get_by_role("button", name="Accept")).to_be_focused()
    desk.keyboard.press("Enter")
    expect(desk.locator("[data-status]")).to_have_text("Talking to +1 202-555-0188")
    expect(desk.locator("[data-live-words] .turn.technician").first).to_be_visible(timeout=CALLING_MS)
    desk.get_by_role("button", name="Hang up").click()
    assert ringing.result(30).status == "completed"


def test_incoming_call_is_declined(desk: Page, house: CableHouse) -> None:
    me = house.client.get("/api/v1/people/me").json()["identity"]
    ringing = house.start_in_carrier(house.carrier.ring_client(me, "+12025550188"))
    desk.get_by_role("button", name="Decline").click(timeout=CALLING_MS)
    expect(desk.locator("[data-note]")).to_have_text("You declined the call.")
    ringing.result(30)


def test_number_that_may_not_be_called_is_refused_with_a_reason(desk: Page) -> None:
    desk.get_by_label("Phone number").fill("+882 123")
    desk.get_by_role("button", name="Call technician").click()
    expect(desk.locator("[data-number-problem].problem")).to_have_text(re.compile(r"\w.*\."))
    expect(desk.get_by_label("Phone number")).to_have_attribute("aria-invalid", "true")
    expect(desk.locator("[data-status]")).to_have_text("")


def test_denied_microphone_is_explained(browser: Browser, house: CableHouse) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(
        "navigator.mediaDevices.getUserMedia = () =>"
        " Promise.reject(new DOMException('Permission denied', 'NotAllowedError'))"
    )
    page.goto(house.url)
    wait_for_phone(page)
    page.get_by_label("Phone number").fill(CALLER_ID[:-1] + "9")
    page.get_by_role("button", name="Call technician").click()
    expect(page.locator("[data-note]")).to_contain_text("Allow the microphone for this page")
    context.close()


def test_lost_media_socket_pauses_the_layers_and_loses_no_words(desk: Page, house: CableHouse) -> None:
    house.set_technician(Technician(ring_s=1.0, faults=(Fault("socket-cut", 5),)))
    house.line.hold()  # delay the request for a new stream until the page was checked
    talk(desk)
    call_id = call_id_of(desk)
    watcher = desk.context.new_page()
    watcher.goto(f"{house.url}/calls/{call_id}")
    lights = watcher.locator("#lights .light")
    expect(watcher.locator("#lights .light.paused")).to_have_count(2, timeout=CALLING_MS)
    expect(lights.nth(2)).to_have_class(re.compile("recording"))  # the carrier keeps recording
    expect(desk.locator("[data-status]")).to_have_text("Talking to +1 202-555-0177")
    before = len(stored_words(house, call_id))
    house.line.release()
    expect(watcher.locator("#lights .light.recording")).to_have_count(3, timeout=CALLING_MS)
    house.until(lambda: len(stored_words(house, call_id)) >= before + 2 * WORDS, CALLING_MS / 1000)
    desk.get_by_role("button", name="Hang up").click()
    house.set_technician(TECHNICIAN)
    expect(watcher.locator("#head .badge")).to_have_text("Explained", timeout=CHECKED_MS)
    call = house.client.get(f"/api/v1/calls/{call_id}").json()
    assert [reason["code"] for reason in call["reasons"]] != []
    house.until(lambda: displayed_words(desk) == stored_words(house, call_id), CALLING_MS / 1000)
    watcher.close()


def test_recording_is_paused_on_the_phone_and_the_page_of_the_call(desk: Page, house: CableHouse) -> None:
    house.set_technician(Technician(ring_s=1.0, faults=(Fault("pause-refused", 1),)))
    talk(desk)
    call_id = call_id_of(desk)
    for width, height in ((1280, 720), (390, 844)):
        desk.set_viewport_size({"width": width, "height": height})
        expect(desk.locator(".live-words [data-partials]")).to_be_in_viewport(ratio=1)
    desk.set_viewport_size({"width": 1280, "height": 900})
    watcher = desk.context.new_page()
    watcher.goto(f"{house.url}/calls/{call_id}")
    pages = (desk, watcher)
    desk.keyboard.press("p")
    for page in pages:
        expect(page.locator("[data-pause-state]")).to_contain_text(
            re.compile("^Recording paused since 0:"), timeout=CALLING_MS
        )
        expect(page.locator("[data-pause-warning]")).to_contain_text(
            "The carrier's recording is not paused", timeout=CALLING_MS
        )
        expect(page.get_by_role("button", name="Resume recording")).to_be_visible()
    take_picture(watcher, "paused")
    take_picture(desk, "paused-phone")
    watcher.keyboard.press("p")
    for page in pages:
        expect(page.get_by_role("button", name="Pause recording")).to_be_enabled(timeout=CALLING_MS)
        expect(page.locator("[data-pause-state]")).to_be_hidden()
    desk.evaluate("document.dispatchEvent(new Event('callreel-pause'))")
    expect(watcher.locator("[data-pause-state]")).to_contain_text("for a form field", timeout=CALLING_MS)
    expect(watcher.locator("[data-pause-warning]")).to_be_hidden()
    desk.evaluate("document.dispatchEvent(new Event('callreel-resume'))")
    expect(watcher.get_by_role("button", name="Pause recording")).to_be_enabled(timeout=CALLING_MS)
    desk.get_by_role("button", name="Hang up").click()
    house.set_technician(TECHNICIAN)
    expect(desk.locator("recording-pause")).to_have_count(0, timeout=CALLING_MS)
    expect(watcher.locator("#head .badge")).to_have_text(re.compile("Verified|Explained"), timeout=CHECKED_MS)
    expect(watcher.locator(".pauses li")).to_have_count(2)
    expect(watcher.locator(".pauses li").first).to_contain_text("The carrier's recording was not paused")
    expect(watcher.locator("call-review[data-ready] canvas")).to_be_visible()
    take_picture(watcher, "paused-review")
    watcher.close()


def take_picture(page: Page, name: str) -> None:
    """For people who work on the pages: in the folder that `CALLREEL_PICTURES` names."""
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png")


def test_page_without_network_catches_up_without_a_gap(
    browser: Browser, desk: Page, house: CableHouse
) -> None:
    talk(desk)
    call_id = call_id_of(desk)
    page = browser.new_context(locale="en-US").new_page()
    page.goto(f"{house.wired_url}/calls/{call_id}")
    expect(page.locator("[data-finals] .turn").first).to_be_visible(timeout=CALLING_MS)
    house.wire.pull()
    seen = displayed_words(page)
    house.until(lambda: len(stored_words(house, call_id)) >= len(seen) + 2 * WORDS, CALLING_MS / 1000)
    assert len(displayed_words(page)) < len(stored_words(house, call_id))
    loss = page.get_by_role("status").filter(has_text="Connection to the server lost")
    expect(loss).to_be_visible(timeout=CALLING_MS)
    house.wire.plug()
    house.until(lambda: len(displayed_words(page)) >= len(seen) + 2 * WORDS, CALLING_MS / 1000)
    expect(loss).to_be_hidden()
    desk.get_by_role("button", name="Hang up").click()
    expect(page.locator("#head .badge")).to_have_text("Processing", timeout=CALLING_MS)
    house.until(lambda: displayed_words(page) == stored_words(house, call_id), CALLING_MS / 1000)
    assert page.evaluate("performance.getEntriesByType('navigation')[0].type") == "navigate"
    page.context.close()


def test_page_survives_a_server_restart(browser: Browser, house: CableHouse) -> None:
    agent, technician = (load_voice(shipped_voice(role))[: 12 * TELEPHONE_HZ] for role in Role)
    script = CallScript(agent_voice=agent, technician_voice=technician, our_number=CALLER_ID)
    placed = house.begin(script)
    page = browser.new_context(locale="en-US").new_page()
    page.goto(house.url)
    page.locator(".call", has=page.locator(".badge.live")).get_by_role("link").click(timeout=CALLING_MS)
    expect(page.locator("[data-finals] .turn").first).to_be_visible(timeout=CALLING_MS)
    call_id = page.url.rpartition("/")[2]
    house.kill_server()
    house.start_server()
    expect(page.locator("#head .badge")).not_to_have_text("Live now", timeout=CALLING_MS)
    assert displayed_words(page) == stored_words(house, call_id)
    placed.result(60)
    expect(page.locator("#head .badge:is(.explained, .suspect)")).to_be_visible(timeout=CHECKED_MS)
    call = house.client.get(f"/api/v1/calls/{call_id}").json()
    assert call["verdict"] == "explained", call["reasons"]
    page.context.close()
