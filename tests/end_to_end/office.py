"""An installation with sign-in, set up by its administrator in a browser, and the browsers of its users."""

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
FINAL_BY_DEFAULT_ENGINE = {"CALLREEL_FINAL_ENGINE": "faster-whisper", "CALLREEL_ENGINE_OPTIONS": ""}
"""The default engine makes the final transcripts, so that searched words were really recognized. The scripted engine
makes the live words, because it is never late on a busy machine."""
ALL_BY_DEFAULT_ENGINE = {
    "CALLREEL_ENGINE": "faster-whisper",
    "CALLREEL_ENGINE_OPTIONS": "",
    "CALLREEL_ENGINE_WORKERS": "2",
}
"""For pictures: the default engine makes all transcripts."""


class Office:
    """`errors` are script errors and policy violations of all pages."""

    def __init__(self, house: PhoneHouse, browser: Browser) -> None:
        self.house = house
        self.errors: list[str] = []
        self.first_link = _first_link(house)
        self._browser = browser

    def new_context(self) -> BrowserContext:
        """A browser without a session."""
        context = self._browser.new_context(
            viewport={"width": WIDTH, "height": HEIGHT},
            permissions=["microphone"],
            locale="en-US",
            timezone_id="UTC",
        )
        context.add_init_script(RAW_MICROPHONE)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("console", lambda message: self._on_console(message.type, message.text))
        return context

    def open_as(self, name: str, path: str = "/") -> Page:
        """A page in a new browser, after `name` was redirected from `path` to sign in, and signed in."""
        page = self.new_context().new_page()
        page.goto(self.house.url + path)
        sign_in(page, name)
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        assert page.url == self.house.url + path
        return page

    def _on_console(self, kind: str, text: str) -> None:
        # Requests that are refused on purpose are logged on the console too.
        if kind == "error" and "status of 40" not in text:
            self.errors.append(text)


def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    """Submit the sign-in form."""
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


@contextmanager
def open_office(folder: Path) -> Iterator[Office]:
    """Start everything: the administrator opens the welcome link and adds the other users."""
    settings = {
        **(ALL_BY_DEFAULT_ENGINE if PICTURES else FINAL_BY_DEFAULT_ENGINE),
        "CALLREEL_INCOMING_AGENT": "maria",
    }
    with PhoneHouse(folder, settings, sign_in=True) as house, browser_with_microphone(folder) as browser:
        office = Office(house, browser)
        page = office.new_context().new_page()
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
    """The welcome link, from the log of the first start."""
    [link] = re.findall(r"for a day: (\S+)", house.log)
    return str(link)
