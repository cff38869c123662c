"""Live pages in a real Chromium: words as they arrive, updates of the list, playback, no policy violations."""

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from callreel.domain.call import CallState, Role
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.transcript import TranscriptKind, Turn
from callreel.store.calls import calls
from callreel.store.transcripts import transcripts
from tests.support.seed import DONE, LIVE, NOON, Seed, record
from tests.web.call_parts import parts_of_call

pytest_plugins = ("tests.web.chromium",)
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def say(place: Seed, call_id: CallId, kind: EventKind, **data: Json) -> None:
    """Publish an event; a stored kind is stored first."""
    if kind in (EventKind.PARTIAL, EventKind.LEVEL):
        place.bus.publish(LiveEvent(call_id, kind, data))
    else:
        place.bus.publish(record(place, call_id, kind, **data))


LEVEL: dict[str, Json] = {
    "agent_dbfs": -60.0, "technician_dbfs": -60.0, "position_ms": 0, "lag_ms": 0, "partials_shed": 0, "finals_waiting": 0,
}  # fmt: skip


def open_live(page: Page, base_url: str, place: Seed) -> None:
    """Open the page of the live call, and wait until it receives events that are not stored."""
    page.goto(f"{base_url}/calls/{LIVE}")
    following = page.locator("[data-level]:not(:empty)")
    while not following.count():
        say(place, LIVE, EventKind.LEVEL, **LEVEL)


def words(number: int, text: str, start_ms: int = 13_000) -> dict[str, Json]:
    return {
        "role": "technician",
        "number": number,
        "start_ms": start_ms,
        "end_ms": start_ms + 900,
        "text": text,
    }


def test_final_replaces_partial_without_moving_the_page(page: Page, base_url: str, place: Seed) -> None:
    open_live(page, base_url, place)
    partial, turns = page.locator('[data-partial="technician"]'), page.locator("[data-finals] .turn")
    top_of_next = "document.getElementById('final').getBoundingClientRect().top"
    before = page.evaluate(top_of_next)

    say(place, LIVE, EventKind.PARTIAL, **words(7, "it says"))
    expect(partial).to_have_text("it says")
    say(place, LIVE, EventKind.PARTIAL, **words(7, "it says " + "forty two " * 40))
    expect(partial).to_contain_text("forty two forty two")
    assert page.evaluate(top_of_next) == before

    say(place, LIVE, EventKind.FINAL, **words(7, "<b>it says</b> forty two"))
    expect(turns).to_have_count(4)
    expect(turns.last.locator(".text")).to_have_text("<b>it says</b> forty two")
    expect(partial).to_have_text("")
    assert page.evaluate(top_of_next) == before

    say(place, LIVE, EventKind.PARTIAL, **words(7, "too late"))
    say(place, LIVE, EventKind.PARTIAL, **words(8, "next"))
    expect(partial).to_have_text("next")


SHIFTS = """
    window.shifts = [];
    window.keep = (entries) => {
        for (const one of entries) window.shifts.push([one.value, one.sources.map((s) => s.node?.outerHTML?.slice(0, 80))]);
    };
    window.observer = new PerformanceObserver((list) => keep(list.getEntries()));
    window.observer.observe({ type: "layout-shift" });
"""
DRAWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Resolves when what the page has changed until now is drawn."""


@pytest.mark.parametrize("width", [360, 1280])
def test_layout_does_not_shift_during_a_live_call(page: Page, base_url: str, place: Seed, width: int) -> None:
    page.add_init_script(SHIFTS)
    page.set_viewport_size({"width": width, "height": 900})
    open_live(page, base_url, place)
    expect(page.locator("call-notes:not([hidden])")).to_be_visible()
    page.wait_for_function("() => document.fonts.status === 'loaded'")
    page.evaluate(f"() => {DRAWN}.then(() => {{ observer.takeRecords(); window.shifts = []; }})")
    for number in range(7, 27):
        level: dict[str, Json] = {
            "agent_dbfs": -60.0 + number, "technician_dbfs": -20.0, "position_ms": number * 1000,
            "lag_ms": 40 * number, "partials_shed": number % 3, "finals_waiting": number % 4,
        }  # fmt: skip
        say(place, LIVE, EventKind.LEVEL, **level)
        for long in (1, 9, 30, 60):
            say(place, LIVE, EventKind.PARTIAL, **words(number, "and so on " * long, number * 2000))
        text = f"so many words {number} " * (number % 5 + 1)
        say(place, LIVE, EventKind.FINAL, **words(number, text, number * 2000))
    expect(page.locator("[data-finals] .turn")).to_have_count(23)
    expect(page.locator("[data-finals] .turn").last).to_be_in_viewport()
    shifts = page.evaluate(f"() => {DRAWN}.then(() => {{ keep(observer.takeRecords()); return shifts; }})")
    assert sum(value for value, _ in shifts) <= 0.001, shifts


def test_page_reconnects_after_errors_and_misses_no_final(
    browser: Browser, base_url: str, place: Seed
) -> None:
    page = browser.new_page()  # without the fixture's check, because a 502 is an error on the console
    open_live(page, base_url, place)
    say(place, LIVE, EventKind.FINAL, **words(7, "before", start_ms=15_000))
    turns = page.locator("[data-finals] .turn")
    expect(turns).to_have_count(4)
    # As behind a proxy during a restart of the server: the stream ends, and the next response is a 502.
    refused: list[str] = []

    def refuse(route: Route) -> None:
        refused.append(route.request.url)
        route.fulfill(status=502)

    page.route("**/events*", refuse)
    place.bus.close()
    expect(page.locator(".connection-notice")).to_contain_text(
        "Connection to the server lost", timeout=20_000
    )
    for number in (8, 9):
        record(place, LIVE, EventKind.FINAL, **words(number, f"meanwhile {number}", start_ms=number * 4000))
    page.unroute("**/events*")
    expect(turns).to_have_count(6, timeout=30_000)
    expect(page.locator(".connection-notice")).to_be_hidden()
    assert turns.locator(".text").all_inner_texts()[-3:] == ["before", "meanwhile 8", "meanwhile 9"]
    assert refused
    page.close()


def test_tentative_words_look_different_from_stable_ones(page: Page, base_url: str, place: Seed) -> None:
    open_live(page, base_url, place)
    partial = page.locator('[data-partial="technician"]')
    say(place, LIVE, EventKind.PARTIAL, **words(7, "it says for"), stable="it says", tentative="for")
    expect(partial).to_have_text("it says for")
    look = "(span) => { const s = getComputedStyle(span); return [s.fontStyle, s.color]; }"
    stable, tentative = (partial.locator(f".{kind}").evaluate(look) for kind in ("stable", "tentative"))
    assert stable[0] == "normal"
    assert tentative[0] == "italic"
    assert stable[1] != tentative[1]
    left = partial.locator(".stable").bounding_box()
    say(
        place,
        LIVE,
        EventKind.PARTIAL,
        **words(7, "it says forty two"),
        stable="it says",
        tentative="forty two",
    )
    expect(partial).to_have_text("it says forty two")
    assert partial.locator(".stable").bounding_box() == left


def test_scrolled_reader_stays_and_can_jump_to_the_latest_words(
    page: Page, base_url: str, place: Seed
) -> None:
    open_live(page, base_url, place)
    for number in range(7, 20):
        say(place, LIVE, EventKind.FINAL, **words(number, "so many words " * 6, number * 2000))
    turns = page.locator("[data-finals] .turn")
    expect(turns).to_have_count(16)
    scroll = page.locator(".live-scroll")
    scroll.evaluate("(box) => { box.scrollTop = 0; }")
    say(place, LIVE, EventKind.FINAL, **words(20, "the newest", 60_000))
    expect(turns).to_have_count(17)
    assert scroll.evaluate("(box) => box.scrollTop") == 0
    place_of_it = page.locator(".latest-place").bounding_box()
    assert place_of_it is not None and place_of_it["height"] == 0, "it moves nothing"
    page.get_by_role("button", name="Latest words").click()
    expect(turns.last).to_be_in_viewport()
    expect(page.get_by_role("button", name="Latest words")).to_be_hidden()


def test_last_words_appear_below_the_phone_after_the_call(page: Page, base_url: str, place: Seed) -> None:
    """An engine that is behind continues after the phone has hung up."""
    page.goto(base_url)
    expect(page.locator("form[data-filters]")).to_be_visible()
    with page.expect_response(lambda answer: f"/calls/{LIVE}/events" in answer.url):
        page.evaluate(f"document.dispatchEvent(new CustomEvent('call-found', {{detail: '{LIVE}'}}))")
    say(place, LIVE, EventKind.FINAL, **words(7, "before the end"))
    said = page.locator("[data-live-words] .turn .text")
    expect(said.last).to_have_text("before the end")
    with place.database.write() as conn:
        calls.set_state(conn, LIVE, CallState.ENDED, NOON)
    say(place, LIVE, EventKind.CALL, state="ended")
    expect(page.locator("[data-live-words] [data-meters]")).to_be_hidden()
    say(place, LIVE, EventKind.FINAL, **words(8, "and after it", start_ms=20_000))
    expect(said.last).to_have_text("and after it")


def test_all_viewers_see_the_same_words_and_notes(page: Page, base_url: str, place: Seed) -> None:
    open_live(page, base_url, place)
    other = page.context.new_page()
    open_live(other, base_url, place)
    page.locator("[name=text]").fill("look at this")
    page.get_by_role("button", name="Add note").click()
    say(place, LIVE, EventKind.FINAL, **words(7, "both see it"))
    for watcher in (page, other):
        expect(watcher.locator("[data-finals] .turn").last).to_contain_text("both see it")
        expect(watcher.locator("call-notes .note")).to_contain_text("look at this")
    other.close()


def test_note_before_the_first_event_has_the_position_of_the_call(page: Page, base_url: str) -> None:
    page.route("**/events*", lambda route: None)  # no event arrives
    page.goto(f"{base_url}/calls/{LIVE}")
    last_end = page.locator("[data-finals] .turn").last.get_attribute("data-end-ms")
    page.get_by_label("Add a note at this moment").fill("early")
    page.get_by_role("button", name="Add note", exact=True).click()
    position_ms = int(page.locator("[data-live-call]").get_attribute("data-position-ms") or "0")
    assert position_ms >= int(last_end or "0") > 0
    expect(page.locator("call-notes .note a")).to_have_text(
        f"{position_ms // 60_000}:{position_ms // 1000 % 60:02}"
    )


def test_late_final_is_inserted_by_its_time(page: Page, base_url: str, place: Seed) -> None:
    open_live(page, base_url, place)
    say(place, LIVE, EventKind.FINAL, **words(8, "second", start_ms=20_000))
    say(place, LIVE, EventKind.FINAL, **words(7, "first", start_ms=15_000))
    turns = page.locator("[data-finals] .turn .text")
    expect(turns).to_have_count(5)
    assert turns.all_inner_texts()[-2:] == ["first", "second"]


def test_end_of_a_call_is_shown_without_a_reload(browser: Browser, base_url: str, place: Seed) -> None:
    page = browser.new_page()  # without the fixture's check, because a 503 is an error on the console
    open_live(page, base_url, place)
    page.evaluate("window.notReloaded = true")
    page.route(f"**/calls/{LIVE}", lambda route: route.fulfill(status=503), times=1)
    with place.database.write() as conn:
        calls.set_state(conn, LIVE, CallState.ENDED, NOON)
    say(place, LIVE, EventKind.CALL, state="ended")
    expect(page.locator("#head .badge")).to_have_text("Processing")
    # Its text may come after the verdict, as when the engine had failed.
    with place.database.write() as conn:
        calls.set_state(conn, LIVE, CallState.CLOSED, NOON)
    say(place, LIVE, EventKind.CALL, state="closed")
    expect(page.locator("#final")).to_contain_text("so there is no final transcript")
    with place.database.write() as conn:
        transcripts.put(
            conn, LIVE, TranscriptKind.FINAL, "engine", "", [Turn(Role.AGENT, 0, 900, "at last", None)]
        )
    place.bus.publish(record(place, LIVE, EventKind.TRANSCRIPT, turns=1))
    expect(page.locator("#final .turn .text").first).to_have_text("at last")
    expect(page.locator("call-review[data-ready]")).to_be_attached()
    assert page.evaluate("window.notReloaded") is True
    left_open = parts_of_call(page)
    page.reload()
    expect(page.locator("call-review[data-ready]")).to_be_attached()
    expect(page.locator("call-notes:not([hidden])")).to_be_attached()
    assert parts_of_call(page) == left_open
    page.context.close()


def test_list_updates_live(page: Page, base_url: str, place: Seed) -> None:
    page.goto(base_url)
    row = page.locator(f"#call-{LIVE} .badge")
    expect(row).to_have_text("Live now")
    with place.database.write() as conn:
        calls.set_state(conn, LIVE, CallState.ENDED, NOON)
    say(place, LIVE, EventKind.CALL, state="ended")
    expect(row).to_have_text("Processing")


def test_time_in_the_transcript_plays_from_there(page: Page, base_url: str) -> None:
    page.goto(f"{base_url}/calls/{DONE}")
    expect(page.locator("call-review[data-ready]")).to_be_attached()
    page.locator('[data-view="final"] a[href="#t=0.9"]').click()
    # A function, not an expression: the page's policy forbids eval.
    page.wait_for_function("() => document.querySelector('[data-main-audio]').currentTime >= 0.9")
    assert page.url.endswith("#t=0.9")


def test_pages_without_javascript_lack_only_live_text(browser: Browser, base_url: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(base_url)
    page.locator(f"#call-{DONE} a").click()
    expect(page.locator("#final .turn")).to_have_count(5)
    expect(page.locator("#layers audio")).to_have_count(7)
    page.goto(f"{base_url}/calls/{LIVE}")
    expect(page.locator("[data-finals] .turn")).to_have_count(3)
    context.close()
