"""The page of a redacted call in a real Chromium: masks, silent stretches, originals, adding and removing a redaction."""

import pytest
from playwright.sync_api import Page, expect

from callreel.domain.call import Role
from callreel.domain.events import EventKind
from callreel.domain.redaction import Entity, Stretch
from callreel.store.transcripts import redactions
from tests.support.seed import Seed, at, record
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


def test_half_filled_redaction_form_survives_an_update_of_the_page(
    opened: Page, base_url: str, place: Seed
) -> None:
    opened.get_by_text("Redact a part").click()
    card = opened.locator("#redaction")
    card.get_by_label("From").fill("0.7")
    card.get_by_label("Kind").select_option("address")
    card.get_by_label("To").fill("1.5")
    with place.database.write() as conn:
        redactions.add(conn, SPOKEN, Stretch(Role.TECHNICIAN, Entity.NAME, 1_500, 2_000), "", at(0))
    place.bus.publish(record(place, SPOKEN, EventKind.STAGE, stage="measure"))
    expect(card.get_by_role("button", name="Remove redaction")).to_have_count(2)
    expect(card.get_by_label("To")).to_be_focused()
    expect(card.get_by_label("To")).to_have_value("1.5")
    expect(card.get_by_label("From")).to_have_value("0.7")
    expect(card.get_by_label("Kind")).to_have_value("address")
    expect(card.get_by_label("Party")).to_have_value("technician")


def test_turn_being_corrected_survives_an_update_of_the_page(
    opened: Page, base_url: str, place: Seed
) -> None:
    opened.locator('[data-view="final"] .turn').first.get_by_role("button", name="Correct").click()
    opened.get_by_label("What was said").fill("What I am typing")
    with place.database.write() as conn:
        redactions.add(conn, SPOKEN, Stretch(Role.TECHNICIAN, Entity.NAME, 1_500, 2_000), "", at(0))
    place.bus.publish(record(place, SPOKEN, EventKind.STAGE, stage="measure"))
    expect(opened.locator("#redaction").get_by_role("button", name="Remove redaction")).to_have_count(2)
    expect(opened.get_by_label("What was said")).to_have_value("What I am typing")
