"""The list of calls, the days and the people in a real Chromium: search, filters, address, keys; and axe on every page."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from callreel.domain.call import CallState
from callreel.domain.events import EventKind
from callreel.store import calls
from tests.web.seed import ABSENT, DONE, LIVE, NOON, SUSPECT, Seed, record
from tests.web.spoken_call import SPOKEN, add_spoken_call

pytest_plugins = ("tests.web.chromium",)
pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE = Path(__file__).parents[2] / "ui/node_modules/axe-core/axe.min.js"


def test_a_spoken_word_is_found_and_its_hit_opens_the_player_there(
    page: Page, base_url: str, place: Seed
) -> None:
    add_spoken_call(place)
    page.goto(base_url)
    expect(page.locator("form[data-filters]")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("library")
    rows = page.locator(".call")
    expect(rows).to_have_count(1)
    expect(page.locator("[data-found]")).to_have_text("1 call found")
    assert page.url.endswith("/?q=library")
    hit = rows.locator(".hit a")
    expect(hit.locator("mark")).to_have_text("library")
    hit.click()
    page.wait_for_url(re.compile(rf"/calls/{SPOKEN}#t=\d"))
    expect(page.locator("call-review[data-ready]")).to_be_attached()
    wanted = float(page.url.split("#t=")[1]) * 1000
    page.wait_for_function(
        f"() => Math.abs(document.querySelector('call-review').dataset.positionMs - {wanted}) < 60"
    )
    word = page.locator('[data-view="final"] .word', has_text="library")
    assert float(word.get_attribute("data-start-ms") or "nan") == pytest.approx(wanted, abs=60)


def test_filters_live_in_the_address(page: Page, base_url: str) -> None:
    page.goto(f"{base_url}/?verdict=suspect")
    expect(page.locator(".call")).to_have_count(1)
    expect(page.locator(f"#call-{SUSPECT}")).to_be_visible()
    expect(page.get_by_label("Verdict")).to_have_value("suspect")
    page.get_by_label("Verdict").select_option("explained")
    expect(page.locator(f"#call-{ABSENT}")).to_be_visible()
    assert page.url.endswith("/?verdict=explained")
    page.get_by_role("button", name="Take filters away").click()
    expect(page.locator(".call")).to_have_count(4)
    assert page.url == f"{base_url}/"
    page.go_back()
    expect(page.locator(".call")).to_have_count(1)


def test_a_search_that_finds_nothing_says_what_to_do(page: Page, base_url: str) -> None:
    page.goto(f"{base_url}/?q=zebra&min_s=60")
    expect(page.locator("#calls")).to_contain_text("No call matches. Take a filter away")
    expect(page.get_by_label("At least, minutes")).to_have_value("1")


def test_a_filtered_list_follows_too(page: Page, base_url: str, place: Seed) -> None:
    with page.expect_response(lambda answer: "/events" in answer.url):
        page.goto(f"{base_url}/?state=live")
    expect(page.locator(f"#call-{LIVE}")).to_be_visible()
    with place.database.write() as conn:
        calls.set_state(conn, LIVE, CallState.ENDED, NOON)
    place.bus.publish(record(place, LIVE, EventKind.CALL, state="ended"))
    expect(page.locator(".call")).to_have_count(0)


def test_the_list_is_walked_by_keys(page: Page, base_url: str) -> None:
    page.goto(base_url)
    expect(page.locator("form[data-filters]")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator(f"#call-{ABSENT} .who a")).to_be_focused()
    page.keyboard.press("k")
    expect(page.locator(f"#call-{LIVE} .who a")).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page.locator("live-transcript [data-partials]")).to_be_visible()


def test_the_softphone_says_what_is_missing(page: Page, base_url: str) -> None:
    page.goto(base_url)
    missing = page.locator("[data-missing]")
    expect(missing).to_contain_text("What is missing:")
    expect(missing.locator("li").first).to_contain_text("TWILIO_")
    expect(page.get_by_role("button", name="Call technician")).to_be_disabled()


def test_the_days_are_drawn_and_told(page: Page, base_url: str) -> None:
    page.goto(f"{base_url}/days?from=2026-11-20&to=2026-11-24")
    expect(page.locator("svg.chart")).to_have_count(4)
    row = page.locator(".figures-table tbody tr")
    expect(row).to_have_count(1)
    expect(row.locator("td").first).to_have_text("4")
    assert page.locator("svg .bar.verified").count() == 1
    row.get_by_role("link").click()
    expect(page.locator(".call")).to_have_count(4)


def test_people_are_added_and_shut_out(page: Page, base_url: str) -> None:
    page.goto(f"{base_url}/people")
    page.get_by_label("Name", exact=True).fill("nora")
    page.get_by_label("First password").fill("correct horse battery")
    page.locator("form select[name=role]").select_option("supervisor")
    page.get_by_role("button", name="Add").click()
    row = page.get_by_role("row").filter(has_text="nora")
    expect(row.get_by_role("combobox")).to_have_value("supervisor")
    row.get_by_role("button", name="Disable").click()
    expect(row).to_contain_text("(disabled)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, base_url: str, place: Seed, scheme: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not here; run: make ui")
    add_spoken_call(place)
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    found = []
    for path in ("/", "/?q=library", f"/calls/{SPOKEN}", f"/calls/{DONE}", f"/calls/{LIVE}", "/days", "/people", "/docs", "/sign-in"):  # fmt: skip
        page.goto(base_url + path)
        page.wait_for_timeout(400)
        page.evaluate(AXE.read_text())
        result = page.evaluate("async () => await axe.run(document, {resultTypes: ['violations']})")
        found += [
            f"{path}: {one['id']}: {one['nodes'][0]['html'][:160]} {one['nodes'][0].get('failureSummary', '')[:300]}"
            for one in result["violations"]
            if one["impact"] in ("serious", "critical")
        ]
    context.close()
    assert found == []
