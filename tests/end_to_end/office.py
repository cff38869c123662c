"""A house where people sign in, as its first administrator set it up in a browser, and the browsers of its people."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.end_to_end.album import PICTURES
from tests.end_to_end.phone_house import (
    CALLING_MS,
    RAW_MICROPHONE,
    PhoneHouse,
    browser_with_microphone,
)

ADMINISTRATOR = "ada"
PEOPLE = {"maria": "agent", "zoe": "agent", "sam": "supervisor"}
PASSWORD = "correct horse battery"
WIDTH, HEIGHT = 1200, 900
HEARD_AFTERWARDS = {"CALLREEL_FINAL_ENGINE": "faster-whisper", "CALLREEL_ENGINE_OPTIONS": ""}
"""Final transcripts are by the default engine, so that what is searched was really heard; live words by the scripted
one, which is never late on a busy machine."""
HEARD = {"CALLREEL_ENGINE": "faster-whisper", "CALLREEL_ENGINE_OPTIONS": "", "CALLREEL_ENGINE_WORKERS": "2"}
"""All by the default engine, for pictures that people are shown."""


class Office:
    """`complaints` are what the pages' scripts and policies had to complain of."""

    def __init__(self, house: PhoneHouse, browser: Browser) -> None:
        self.house = house
        self.complaints: list[str] = []
        self.first_link = _first_link(house)
        self._browser = browser

    def sit_down(self) -> BrowserContext:
        """A browser of somebody who has not signed in."""
        context = self._browser.new_context(
            viewport={"width": WIDTH, "height": HEIGHT},
            permissions=["microphone"],
            locale="en-US",
            timezone_id="UTC",
        )
        context.add_init_script(RAW_MICROPHONE)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("console", lambda said: self._heard(said.type, said.text))
        return context

    def enter(self, name: str, path: str = "/") -> Page:
        """A page of a browser of its own, after `name` was sent to sign in from `path`, and did."""
        page = self.sit_down().new_page()
        page.goto(self.house.url + path)
        sign_in(page, name)
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        assert page.url == self.house.url + path
        return page

    def _heard(self, kind: str, text: str) -> None:
        # What is refused on purpose is told on the console too.
        if kind == "error" and "status of 40" not in text:
            self.complaints.append(text)


def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    """Fill the form as a person does."""
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


@contextmanager
def open_office(folder: Path) -> Iterator[Office]:
    """Start it all: the administrator comes by the one-time link and lets the others in."""
    settings = {**(HEARD if PICTURES else HEARD_AFTERWARDS), "CALLREEL_INCOMING_AGENT": "maria"}
    with PhoneHouse(folder, settings, sign_in=True) as house, browser_with_microphone(folder) as browser:
        office = Office(house, browser)
        page = office.sit_down().new_page()
        page.goto(office.first_link)
        page.get_by_label("Name").fill(ADMINISTRATOR)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Create account").click()
        page.get_by_role("link", name="People").click()
        for name, role in PEOPLE.items():
            page.get_by_label("Name", exact=True).fill(name)
            page.get_by_label("Initial password").fill(PASSWORD)
            page.locator("form select[name=role]").select_option(role)
            page.get_by_role("button", name="Add person").click()
            expect(page.get_by_role("row").filter(has_text=name)).to_be_visible(timeout=CALLING_MS)
        page.context.close()
        form = {"name": ADMINISTRATOR, "password": PASSWORD}
        assert house.client.post("/sign-in", data=form).status_code == 303
        yield office


def _first_link(house: PhoneHouse) -> str:
    """What the first start told whoever looks at its log."""
    [link] = re.findall(r"within a day: (\S+)", house.log)
    return str(link)
