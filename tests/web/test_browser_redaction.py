"""The page of a redacted call in a real Chromium: masks, silent stretches, originals, adding and removing a redaction."""

import pytest
from playwright.sync_api import Page, expect

from callreel.domain.call import Role
from callreel.domain.redaction import Entity, Stretch
from callreel.store.transcripts import redactions
from tests.support.seed import Seed, at
from tests.web.spoken_call import SPOKEN, add_spoken_call

pytest_plugins = ("tests.web.chromium",)
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def opened(page: Page, base_url: str, place: Seed) -> Page:
    """The spoken call with its first words redacted, opened by a supervisor."""
    add_spoken_call(place)
    with place.database.write() as conn:
        redactions.add(conn, SPOKEN, Stretch(Role.TECHNICIAN, Entity.NAME, 600, 1_250), "", at(0))
    open_call(page, base_url)
    return page


def open_call(page: Page, base_url: str, query: str = "") -> None:
    page.goto(f"{base_url}/calls/{SPOKEN}{query}")
    expect(page.locator("call-review[data-ready]")).to_be_attached()


def test_supervisor_sees_masks_and_originals_and_changes_redactions(opened: Page, base_url: str) -> None:
    masks = opened.locator('[data-view="final"] .word.masked')
    expect(masks).to_have_count(1)
    expect(masks).to_have_text("[name]")
    card = opened.locator("#redaction")
    expect(card).to_contain_text("Name")
    card.get_by_role("link", name="Show original").click()
    expect(opened.locator("call-review[data-ready]")).to_be_attached()
    expect(masks).to_have_count(0)
    assert "original=true" in (opened.locator("audio[data-main-audio]").get_attribute("src") or "")
    expect(opened.locator("#redaction")).to_contain_text("This page shows the original")
    open_call(opened, base_url)
    words = opened.locator('[data-view="final"] .turn').nth(1).locator(".word")
    opened.evaluate(
        "() => { const words = document.querySelectorAll('[data-view=\"final\"] .turn')[1].querySelectorAll('.word');"
        " const range = document.createRange(); range.setStart(words[0], 0); range.setEnd(words[1].firstChild, 1);"
        " const selection = getSelection(); selection.removeAllRanges(); selection.addRange(range); }"
    )
    start_ms = float(words.first.get_attribute("data-start-ms") or "nan")
    expect(opened.locator("[name=start_s]")).to_have_value(f"{start_ms / 1000:.3f}")
    opened.get_by_role("button", name="Redact", exact=True).click()
    expect(opened.locator("call-review[data-ready]")).to_be_attached()
    expect(masks).to_have_count(2)
    expect(masks.nth(1)).to_have_text("[redacted]")
    opened.locator("#redaction").get_by_role("button", name="Remove redaction").first.click()
    expect(opened.locator("call-review[data-ready]")).to_be_attached()
    expect(masks).to_have_count(1)
    expect(opened.locator("#redaction")).to_contain_text("Removed redactions: 1")
