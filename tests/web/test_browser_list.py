"""List of calls, dashboard, phone book, people and settings in a real Chromium; accessibility of every page."""

import inspect
import re
from typing import Literal

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect

from callreel.domain.call import CallState
from callreel.domain.events import EventKind
from callreel.domain.ids import CallId
from callreel.domain.label import LabelColor
from callreel.insight.moment_kind import MomentKind
from callreel.store.calls import calls, erasures, holds, labels
from callreel.store.calls.erasures import ErasureRow
from callreel.store.insight import analyses, topics
from callreel.store.people import technicians
from callreel.store.transcripts import vocabulary
from callreel.web.options import WebOptions
from tests.support.rows import a_found_item, an_analysis_row
from tests.support.seed import ABSENT, DONE, LIVE, NOON, NUMBER, SUSPECT, Seed, record
from tests.web.axe import need_axe, serious_violations
from tests.web.call_list import add_measures
from tests.web.conftest import PASSWORD, MakeApp
from tests.web.routes import endpoints
from tests.web.spoken_call import SPOKEN, add_spoken_call

ERASED = CallId("9123456789ab")
TYPE = """text => {
    const search = document.querySelector("[name=q]");
    search.value = text;
    search.dispatchEvent(new Event("input", { bubbles: true }));
}"""
"""Types into the search without moving the mouse or the page."""

pytest_plugins = ("tests.web.chromium",)
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_search_hit_opens_the_player_at_the_word(page: Page, base_url: str, place: Seed) -> None:
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


def test_topic_is_in_the_row_of_the_list_and_of_a_filtered_one(
    page: Page, base_url: str, place: Seed
) -> None:
    with place.database.write() as conn:
        topics.set_due(conn, DONE)
        [(_, version)] = [row for row in topics.due(conn, 10) if row[0] == DONE]
        topics.put(conn, DONE, version, "left gauge, <valve>", {MomentKind.COMPLAINT})
    page.goto(base_url)
    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("Moments").select_option("complaint")
    expect(page.locator(".call")).to_have_count(1)
    expect(page).to_have_url(f"{base_url}/?moment=complaint")
    for address in (base_url, f"{base_url}/?agent=maria", f"{base_url}/calls/{DONE}"):
        page.goto(address)
        expect(page.locator(".topic")).to_have_text("Topic: left gauge, <valve>")


def test_filters_are_kept_in_the_url(page: Page, base_url: str) -> None:
    page.goto(f"{base_url}/?verdict=suspect")
    expect(page.locator(".call")).to_have_count(1)
    expect(page.locator(f"#call-{SUSPECT}")).to_be_visible()
    verdict = page.get_by_role("combobox", name="Verdict")
    expect(verdict).to_have_value("suspect")
    verdict.select_option("explained")
    expect(page.locator(f"#call-{ABSENT}")).to_be_visible()
    assert page.url.endswith("/?verdict=explained")
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator(".call")).to_have_count(4)
    assert page.url == f"{base_url}/"
    page.go_back()
    expect(page.locator(".call")).to_have_count(1)


def test_unfinished_filter_keeps_the_list_and_is_explained(browser: Browser, base_url: str) -> None:
    page = browser.new_page()  # without the fixture's check, because a 422 is an error on the console
    page.goto(base_url)
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status == 422 else None)
    search = page.locator("[name=q]")
    search.fill("agent:jonas")
    expect(page.locator(".call")).to_have_count(1)
    search.fill("agent:jonas label:c")
    expect(page.get_by_role("alert")).to_have_text("'label:' names no label of the team.")
    expect(search).to_have_attribute("aria-invalid", "true")
    expect(page.locator(f"#call-{SUSPECT}")).to_be_visible()
    expect(page.locator("[data-found]")).to_have_text("")
    search.fill("agent:jonas")
    expect(page.locator("[data-found]")).to_have_text("1 call found")
    expect(page.locator("[data-problem]")).to_have_text("")
    expect(search).to_have_attribute("aria-invalid", "false")
    assert len(refused) == 1, "the counts are not requested with it"
    page.close()


def test_measures_are_sorted_filtered_and_shown(page: Page, base_url: str, place: Seed) -> None:
    add_measures(place)
    page.goto(base_url)
    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("Order").select_option("silence")
    expect(page).to_have_url(re.compile(r"/\?sort=silence$"))
    expect(page.locator(".call .how").first).to_have_text("Agent talks 65% · silence 1:00 · 1 interruption")
    expect(page.locator(".call").first).to_have_attribute("id", f"call-{SUSPECT}")
    page.get_by_label("Agent talks at least").select_option("0.6")
    page.get_by_label("Silence in all").fill("2")
    expect(page.locator(".call")).to_have_count(2)
    expect(page).to_have_url(re.compile("min_silence_s=2&min_agent_ratio=0.6&sort=silence"))
    page.locator(f"#call-{DONE} a").click()
    section = page.locator("#measures")
    expect(section.get_by_role("row", name="Talk ratio")).to_contain_text("60%")
    expect(page.locator(".speech path.technician")).to_have_attribute(
        "d", "M210 11h140v8H210zM630 11h140v8H630z"
    )
    section.get_by_role("link", name="0:07 for 1.3 s").click()
    assert page.url.endswith("#t=7.0")
    page.goto(f"{base_url}/statistics?from=2026-11-22&to=2026-11-22")
    expect(page.get_by_role("img", name=re.compile("Interruptions"))).to_be_visible()
    page.get_by_role("link", name="jonas").click()
    expect(page.locator(".call")).to_have_count(1)


def test_counts_beside_the_list_add_and_remove_filters(page: Page, base_url: str, place: Seed) -> None:
    need_axe()
    with place.database.write() as conn:
        labels.attach(conn, DONE, labels.add(conn, "Data request", LabelColor.RED).id, "ada", NOON)
    page.goto(f"{base_url}/?from=2026-11-01")
    panel = page.locator("[data-facets]")
    rows = page.locator(".call")
    expect(panel.get_by_role("link")).to_have_text(
        ["maria 3 calls", "jonas 1 call", "Verified 1 call", "Explained 1 call", "Suspect 1 call",
         "No verdict 1 call", "Data request 1 call", "Outgoing 3 calls", "Incoming 1 call"]
    )  # fmt: skip
    panel.get_by_role("link", name="maria 3 calls").click()
    expect(page).to_have_url(f"{base_url}/?from=2026-11-01&agent=maria")
    chosen = panel.get_by_role("link", name="Remove the filter maria 3 calls")
    expect(chosen).to_be_focused()
    expect(rows).to_have_count(3)
    assert serious_violations(page) == []
    chosen.press("Enter")
    expect(rows).to_have_count(4)
    page.get_by_label("Search transcripts").fill('label:"data request"')
    panel.get_by_role("link", name="Remove the filter Data request 1 call").click()
    expect(page).to_have_url(f"{base_url}/?from=2026-11-01")
    page.set_viewport_size({"width": 390, "height": 800})
    expect(panel.get_by_role("link")).to_have_count(0)
    page.locator("h1").click()
    page.keyboard.press("n")
    jonas = panel.get_by_role("link", name="jonas 1 call")
    jonas.hover()
    page.mouse.down()
    page.evaluate(TYPE, "after:2026-11-01")
    expect(jonas).to_have_attribute(
        "href", re.compile("after")
    )  # the counts are drawn again during the click
    page.mouse.up()
    expect(page).to_have_url(f"{base_url}/?q=after%3A2026-11-01&from=2026-11-01&agent=jonas")
    expect(rows).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert serious_violations(page) == []
    page.get_by_role("button", name="Clear filters").click()
    expect(panel).to_be_hidden()


def test_invalid_filter_is_removed_from_the_url(page: Page, base_url: str) -> None:
    page.goto(f"{base_url}/?verdict=nonsense&from=yesterday")
    expect(page.locator(".call")).to_have_count(4)
    assert page.url == f"{base_url}/"


def test_search_without_hits_suggests_what_to_do(page: Page, base_url: str) -> None:
    page.goto(f"{base_url}/?q=zebra&min_s=60")
    expect(page.locator("#calls")).to_contain_text("No matching calls. Remove a filter")
    expect(page.get_by_label("Minimum duration (minutes)")).to_have_value("1")


def test_search_without_letters_or_digits_says_so(page: Page, base_url: str) -> None:
    page.goto(f"{base_url}/?q=%3F!")
    expect(page.locator("#calls")).to_have_text(
        "The search text has no letter or digit. Search for a word or a number."
    )


def test_filters_are_typed_into_the_search(page: Page, base_url: str) -> None:
    need_axe()
    page.goto(base_url)
    search = page.get_by_label("Search transcripts")
    expect(search).to_have_accessible_description(re.compile("agent:maria .*party:technician after:"))
    search.fill('agent:maria after:2026-11-01 party:agent "left gauge"')
    expect(page.locator("[data-found]")).to_have_text("1 call found")
    expect(page.locator(f"#call-{DONE} .hit mark")).to_have_text("left gauge")
    assert serious_violations(page) == []
    page.reload()
    expect(search).to_have_value('agent:maria after:2026-11-01 party:agent "left gauge"')
    search.fill("agent:jonas")
    expect(page.locator(".call")).to_have_count(1)
    expect(page.locator(f"#call-{SUSPECT}")).to_be_visible()


def test_unusable_typed_filter_is_explained(browser: Browser, base_url: str) -> None:
    page = browser.new_page()  # without the fixture's check, because a 422 is an error on the console
    page.goto(f"{base_url}/?q=label%3Alost+gauge")
    expect(page.locator("[data-problem]")).to_have_text("'label:' names no label of the team.")
    expect(page.locator(".call")).to_have_count(0)
    page.get_by_label("Search transcripts").fill("gauge")
    expect(page.locator(f"#call-{DONE}")).to_be_visible()
    page.context.close()


def test_filtered_list_updates_live(page: Page, base_url: str, place: Seed) -> None:
    with page.expect_response(lambda answer: "/events" in answer.url):
        page.goto(f"{base_url}/?state=live")
    expect(page.locator(f"#call-{LIVE}")).to_be_visible()
    with place.database.write() as conn:
        calls.set_state(conn, LIVE, CallState.ENDED, NOON)
    place.bus.publish(record(place, LIVE, EventKind.CALL, state="ended"))
    expect(page.locator(".call")).to_have_count(0)


def test_keys_move_through_the_list(page: Page, base_url: str) -> None:
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


def test_softphone_lists_missing_settings(page: Page, base_url: str) -> None:
    page.goto(base_url)
    missing = page.locator("[data-missing]")
    expect(missing).to_contain_text("Missing settings:")
    expect(missing.locator("li").first).to_contain_text("TWILIO_")
    expect(page.get_by_role("button", name="Call technician")).to_be_disabled()


def test_dashboard_shows_charts_and_a_table(page: Page, base_url: str) -> None:
    page.goto(f"{base_url}/statistics?from=2026-11-20&to=2026-11-24")
    expect(page.locator("svg.chart")).to_have_count(6)
    row = page.locator(".figures-table").first.locator("tbody tr")
    expect(row).to_have_count(1)
    expect(row.locator("td").first).to_have_text("4")
    assert page.locator("svg .bar.verified").count() == 1
    assert page.locator("svg .reading title", has_text="Nov 22, 2026").first.text_content() == (
        "Sun, Nov 22, 2026: Verified 1, Explained 1, Suspect 1, No verdict yet 1"
    )
    row.get_by_role("link").click()
    expect(page.locator(".call")).to_have_count(4)
    page.go_back()
    page.get_by_label("To", exact=True).fill("2026-11-21")
    expect(page.locator(".figures-table tbody").first).to_have_text("There were no calls in this period.")
    assert page.url == f"{base_url}/statistics?from=2026-11-20&to=2026-11-21"
    page.goto(f"{base_url}/statistics")
    expect(page.get_by_label("From")).to_have_value(re.compile(r"^\d{4}-\d\d-\d\d$"))
    assert page.url == f"{base_url}/statistics"


def test_dashboard_counts_days_in_the_readers_time_zone(browser: Browser, base_url: str) -> None:
    context = browser.new_context(timezone_id="Pacific/Kiritimati")
    page = context.new_page()
    page.goto(f"{base_url}/statistics?from=2026-11-20&to=2026-11-24")
    expect(page.locator(".figures-table").first.locator("tbody th")).to_have_text("2026-11-23")
    expect(page.locator(".figures-table caption").first).to_have_text("Calls by day")
    expect(page.locator("svg.chart")).to_have_count(6)
    page.get_by_label("To", exact=True).fill("2026-11-19")
    expect(page.locator("[data-days]")).to_have_text(
        "A period ends on or after its first day and has at most 400 days."
    )
    page.get_by_label("To", exact=True).fill("2026-11-24")
    expect(page.locator("svg.chart")).to_have_count(6)
    context.close()


def test_dashboard_works_without_javascript(browser: Browser, base_url: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{base_url}/statistics?from=2026-11-20&to=2026-11-21")
    expect(page.locator(".figures-table tbody").first).to_have_text("There were no calls in this period.")
    page.get_by_label("To", exact=True).fill("2026-11-24")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".figures-table").first.locator("tbody th")).to_have_text("2026-11-22")
    context.close()


def test_account_is_added_and_disabled(page: Page, base_url: str) -> None:
    page.goto(f"{base_url}/people")
    page.get_by_label("Name", exact=True).fill("nora")
    page.get_by_label("Initial password").fill("correct horse battery")
    page.locator("form select[name=role]").select_option("supervisor")
    page.get_by_role("button", name="Add person").click()
    row = page.get_by_role("row").filter(has_text="nora")
    expect(row.get_by_role("combobox")).to_have_value("supervisor")
    row.get_by_role("button", name="Disable").click()
    expect(row).to_contain_text("(disabled)")


def test_phone_book_entry_is_added_edited_and_removed(page: Page, base_url: str) -> None:
    page.goto(f"{base_url}/technicians")
    expect(page.locator("tbody")).to_have_text("The phone book is empty.")
    page.get_by_role("button", name="+1 212-555-0123").click()
    page.get_by_label("Name", exact=True).fill("Lee Ann")
    expect(page.get_by_label("Number", exact=True)).to_have_value("+1 212-555-0123")
    page.get_by_role("button", name="Save", exact=True).click()
    row = page.locator("[data-technician]")
    expect(row).to_contain_text("Lee Ann")
    row.get_by_role("button", name="Edit Lee Ann").click()
    row.get_by_label("Name").fill("Lee Brook")
    row.get_by_role("button", name="Save").click()
    expect(row.get_by_role("rowheader")).to_have_text("Lee Brook")
    page.goto(base_url)
    expect(page.locator(".call .who").first).to_contain_text("Lee Brook")
    expect(page.locator("[data-people]").get_by_role("button", name="Lee Brook")).to_be_visible()
    page.get_by_label("Phone number").fill("unknown")
    expect(page.locator("[data-people]")).to_be_hidden()
    page.get_by_label("Phone number").fill("bro")
    page.get_by_role("button", name="Lee Brook").click()
    expect(page.get_by_label("Phone number")).to_have_value("+1 212-555-0123")
    page.goto(f"{base_url}/?number=brook&state=live")
    expect(page.locator(f"#call-{LIVE}")).to_contain_text("Lee Brook")
    page.goto(f"{base_url}/technicians")
    page.get_by_role("button", name="Remove Lee Brook").click()
    expect(page.locator("tbody")).to_have_text("The phone book is empty.")


def test_vocabulary_is_merged_and_saved(page: Page, base_url: str, place: Seed) -> None:
    with place.database.write() as conn:
        vocabulary.replace(conn, ["stop cock", "Vaillant"], "sam", NOON)
    page.goto(f"{base_url}/technicians")
    field = page.get_by_label("Terms", exact=True)
    expect(field).to_have_value("Vaillant\nstop cock")
    with place.database.write() as conn:
        vocabulary.replace(conn, ["stop cock", "Vaillant", "Elm Street"], "sam", NOON)
    field.fill("Vaillant\nlatch")
    page.get_by_role("button", name="Save vocabulary").click()
    expect(field).to_have_value("Elm Street\nVaillant\nlatch")
    page.reload()
    expect(field).to_have_value("Elm Street\nVaillant\nlatch")


def test_number_that_may_not_be_called_is_marked_invalid(page: Page, base_url: str) -> None:
    page.goto(f"{base_url}/technicians")
    page.get_by_label("Name", exact=True).fill("Police")
    page.get_by_label("Number", exact=True).press_sequentially("911")
    expect(page.locator("[data-number-problem].problem")).to_have_text(re.compile(r"\w.*\."))
    expect(page.get_by_label("Number", exact=True)).to_have_attribute("aria-invalid", "true")


def test_settings_are_searched(page: Page, base_url: str) -> None:
    page.goto(f"{base_url}/settings")
    page.get_by_role("searchbox", name="Search settings").fill("callreel port")
    expect(page.locator(".settings > div:visible").filter(has_text="CALLREEL_PORT")).to_have_count(1)
    expect(page.locator("[data-found]")).to_have_text(re.compile(r"^\d+ settings? found$"))
    assert page.locator("[data-settings]:visible").count() < page.locator("[data-settings]").count()
    page.get_by_role("searchbox", name="Search settings").fill("")
    expect(page.locator("[data-settings]:visible")).to_have_count(page.locator("[data-settings]").count())


def test_list_shows_the_running_duration_of_a_live_call(page: Page, base_url: str) -> None:
    page.goto(base_url)
    expect(page.locator(f"#call-{LIVE} [data-since]")).to_have_text(re.compile(r"^[\d:]+$"))
    expect(page.locator(f"#call-{DONE} [data-since]")).to_have_count(0)


def every_page(app: FastAPI) -> list[str]:
    """The address of each page of the application, and of pages in special states."""
    pages = {
        path
        for method, path, endpoint in endpoints(app.routes)
        if method == "GET" and "HTMLResponse" in str(inspect.signature(endpoint).return_annotation)
    }
    assert {"/", "/statistics", "/technicians", "/operations", "/settings", "/people", "/me"} < pages
    return sorted(pages - {"/calls/{call_id}"}) + [
        "/?q=library", "/?q=zebra", *(f"/calls/{call}" for call in (SPOKEN, DONE, LIVE, SUSPECT, ABSENT)),
        *(f"/calls/{call}/erase" for call in (DONE, LIVE, ABSENT, ERASED)),
    ]  # fmt: skip


def wait_until_loaded(page: Page) -> None:
    """Wait until the elements of the page have shown what they load."""
    expect(page.get_by_text(re.compile("^(Loading|Searching)…"))).to_have_count(0)


def page_faults(page: Page, address: str, width: int) -> list[str]:
    """Faults of the page at `address`: wider than its screen, or serious accessibility violations."""
    page.goto(address)
    wait_until_loaded(page)
    wide = page.evaluate("document.documentElement.scrollWidth")
    return [f"{address}: {wide} px wide"] * (wide > width) + serious_violations(page)


@pytest.mark.parametrize(("scheme", "width"), [("light", 360), ("dark", 2560)])
def test_every_page_fits_its_screen_and_axe_finds_nothing_serious(
    browser: Browser, base_url: str, sign_in_url: str, place: Seed, make_app: MakeApp,
    scheme: Literal["light", "dark"], width: int,
) -> None:  # fmt: skip
    need_axe()
    add_spoken_call(place)
    with place.database.write() as conn:
        technicians.add(conn, "Lee Ann", NUMBER, NOON)
        holds.add(conn, SUSPECT, "case 17", "sam", NOON)
        for color in LabelColor:
            labels.attach(conn, SUSPECT, labels.add(conn, f"{color} label", color).id, "sam", NOON)
        analyses.add(conn, an_analysis_row(DONE), [a_found_item()])
        erasures.begin(conn, ErasureRow(ABSENT, "ada", NOON, {"a.wav": "0" * 64}))
        erasures.begin(conn, ErasureRow(ERASED, "ada", NOON, {"a.wav": "0" * 64}, NOON, "ticket 7"))
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    outside = [sign_in_url + path for path in ("/sign-in", "/welcome", "/welcome?token=x")]
    inside = [base_url + path for path in (*every_page(make_app(WebOptions())), "/nothing")]
    found = [fault for address in outside + inside for fault in page_faults(page, address, width)]
    page.goto(f"{sign_in_url}/sign-in")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{sign_in_url}/")
    found += page_faults(page, f"{sign_in_url}/me", width)
    page.set_viewport_size({"width": 1200, "height": 900})
    header = page.locator(".banner").bounding_box()
    assert header is not None and header["height"] < 110, "two rows for an administrator"
    context.close()
    assert found == []
