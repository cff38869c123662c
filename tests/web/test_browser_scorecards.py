"""A day with scorecards in a real Chromium: two supervisors review a call, its agent disputes, the results show it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from sqlalchemy import update

from callreel.store.db.tables import users
from callreel.web.options import WebOptions
from tests.support.language_model import asking, completion
from tests.support.seed import DONE, Seed
from tests.web.axe import need_axe, serious_violations
from tests.web.chromium import serving
from tests.web.conftest import HASH, PASSWORD, MakeApp

pytest_plugins = ("tests.web.chromium",)
pytestmark = [pytest.mark.browser, pytest.mark.slow]

PICTURES = os.environ.get("CALLREEL_TEST_PICTURES")
"""A folder for pictures of each step, to look at."""


@pytest.fixture
def office_url(place: Seed, make_app: MakeApp) -> Iterator[str]:
    with serving(make_app(WebOptions(secure_cookies=False)), place) as url:
        yield url


def enter(browser: Browser, url: str, name: str, *, dark: bool = False) -> Page:
    """A page of this person, of a phone in the dark or of a desk."""
    context = browser.new_context(
        viewport={"width": 390, "height": 844} if dark else {"width": 1280, "height": 900},
        color_scheme="dark" if dark else "light",
        locale="en-US",
        timezone_id="Europe/Berlin",
    )
    page = context.new_page()
    page.goto(f"{url}/sign-in")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/")
    return page


def look(page: Page, name: str) -> None:
    assert serious_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} scrolls sideways"
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def make_scorecard(page: Page, url: str) -> None:
    page.goto(f"{url}/scorecards")
    expect(page.locator("score-cards form[inert]")).to_have_count(0)
    page.get_by_label("Name", exact=True).fill("Service calls")
    for number, (text, kind) in enumerate(
        (("Greeted the caller?", "yes_no"), ("Empathy", "scale"), ("Said that it is recorded?", "yes_no"), ("Advice", "text"))
    ):  # fmt: skip
        if number:
            page.get_by_role("button", name="Add question").click()
        question = page.get_by_role("group", name=f"Question {number + 1}")
        question.get_by_label("Question", exact=True).fill(text)
        question.get_by_label("Answer").select_option(kind)
    page.get_by_role("group", name="Question 3").get_by_label("Critical").check()
    tops = page.locator(".questions li:first-child .row > label:not(.check)").evaluate_all(
        "labels => labels.map(label => label.getBoundingClientRect().top)"
    )
    assert len(tops) == 2 and tops[0] == tops[1], "the fields stand on one line"
    look(page, "form")
    page.get_by_role("button", name="Add scorecard").click()
    expect(page.locator("[data-cards]")).to_contain_text("Service calls")
    expect(page.locator("[data-cards]")).to_contain_text("version 1")


def begin(page: Page, url: str) -> None:
    page.goto(f"{url}/calls/{DONE}")
    expect(page.locator("call-review[data-ready]")).to_be_attached()
    page.get_by_role("button", name="Start review").click()
    expect(page.get_by_role("form", name="Your review: Service calls")).to_be_visible()


def test_call_is_reviewed_compared_disputed_and_reported(
    browser: Browser, office_url: str, place: Seed
) -> None:
    need_axe()
    with place.database.write() as conn:
        conn.execute(update(users).values(password_hash=HASH))
    sam = enter(browser, office_url, "sam")
    make_scorecard(sam, office_url)
    begin(sam, office_url)
    draft = sam.get_by_role("form", name="Your review: Service calls")
    draft.get_by_role("group", name="Greeted the caller?").get_by_text("Yes", exact=True).click()
    sam.locator('a[href="#t=0.9"]').first.click()
    sam.wait_for_function("() => document.querySelector('call-review').dataset.positionMs >= 900")
    empathy = draft.get_by_role("group", name="Empathy")
    empathy.get_by_role("radio", name="3", exact=True).focus()
    sam.keyboard.press("Space")
    sam.keyboard.press("ArrowRight")  # the radio group has the arrows, not the player
    expect(empathy.get_by_role("radio", name="4", exact=True)).to_be_checked()
    empathy.get_by_role("button", name="Link this moment").click()
    empathy.get_by_label("Comment").fill("Very patient here.")
    expect(draft.get_by_role("status")).to_have_text("Draft saved: only you see it.")
    sam.reload()
    expect(empathy.get_by_label("Comment")).to_have_value("Very patient here.")
    draft.get_by_role("button", name="Finish review").click()
    expect(draft.get_by_role("status")).to_contain_text("Answer every question first; missing: 3.")
    draft.get_by_role("group", name="Said that it is recorded?").get_by_text("No", exact=True).click()
    look(sam, "draft")
    draft.get_by_role("button", name="Finish review").click()
    cards = sam.locator("#scorecards")
    expect(cards.locator("details[data-review] summary")).to_contain_text("0.0 % Service calls, by sam")

    ada = enter(browser, office_url, "ada", dark=True)
    begin(ada, office_url)
    draft = ada.get_by_role("form", name="Your review: Service calls")
    for question, answer in (
        ("Greeted the caller?", "Yes"),
        ("Empathy", "2"),
        ("Said that it is recorded?", "Yes"),
    ):
        draft.get_by_role("group", name=question).get_by_text(answer, exact=True).click()
    look(ada, "draft-dark")
    draft.get_by_role("button", name="Finish review").click()
    compared = ada.get_by_role("region", name="Comparison of reviews: Service calls")
    expect(compared).to_contain_text("33.3 % agreement")
    expect(compared.get_by_role("row", name="Empathy")).to_contain_text("differs by 2")
    expect(compared.get_by_role("row", name="Greeted")).not_to_contain_text("differs")
    look(ada, "comparison-dark")
    expect(cards).to_contain_text("33.3 % agreement")  # on the page that sam has open

    maria = enter(browser, office_url, "maria")
    maria.goto(f"{office_url}/calls/{DONE}")
    review = maria.locator("details[data-review]", has_text="by sam")
    review.locator("summary").click()
    expect(review).to_contain_text("Very patient here.")
    expect(maria.locator("call-review[data-ready]")).to_be_attached()
    moment = review.get_by_title("Play from here")
    linked_ms = 1000 * float((moment.get_attribute("href") or "").removeprefix("#t="))
    assert linked_ms >= 900
    moment.click()
    maria.wait_for_function(f"() => document.querySelector('call-review').dataset.positionMs >= {linked_ms}")
    assert maria.get_by_role("region", name="Comparison").count() == 0
    assert maria.get_by_role("button", name="Start review").count() == 0
    other = maria.locator("details[data-review]", has_text="by ada")
    other.locator("summary").click()
    half_written = other.get_by_label("Reason for the dispute")
    half_written.fill("Not sent yet.")
    review.get_by_label("Reason for the dispute").fill("I said it at the very beginning.")
    review.get_by_role("button", name="Dispute this review").click()
    expect(review).to_contain_text("Disputed by maria: I said it at the very beginning.")
    expect(half_written).to_have_value("Not sent yet.")
    look(maria, "agent")

    expect(cards).to_contain_text("Another supervisor resolves this dispute.")
    half_written.focus()
    ada.goto(f"{office_url}/scorecards")
    look(ada, "disputed-dark")
    ada.get_by_role("link", name="Service calls, by sam").click()
    resolve = ada.get_by_role("form", name="Resolve the dispute")
    resolve.get_by_label("Explanation for the agent").fill("You did, before the greeting.")
    resolve.get_by_text("Change points").click()
    resolve.get_by_role("group", name="Said that it is recorded?").get_by_text("Yes", exact=True).click()
    resolve.get_by_role("button", name="Save changed points").click()
    changed = ada.locator("details[data-review]", has_text="by sam")
    expect(changed).to_contain_text("Changed by ada: You did, before the greeting.")
    expect(changed.get_by_text("before: 0.0 %")).to_be_visible()
    expect(review).to_contain_text(
        "Changed by ada: You did, before the greeting."
    )  # while maria writes below it
    maria.keyboard.press("End")
    maria.keyboard.type(" Nearly.")
    expect(half_written).to_have_value("Not sent yet. Nearly.")

    sam.goto(f"{office_url}/scorecards/results?from=2026-11-01&to=2026-11-30")
    by_agent = sam.get_by_role("region", name="Mean scores by agent and month")
    expect(by_agent.get_by_role("row", name="maria")).to_contain_text("86.7 %")
    expect(sam.get_by_role("region", name="Mean points by question")).to_contain_text("60.0 %")
    expect(by_agent.get_by_role("columnheader", name="Trend")).to_be_visible()
    look(sam, "results")
    expect(sam.locator("scorecard-results")).to_have_attribute("data-zone", "Europe/Berlin")
    csv = sam.get_by_role("link", name="Download CSV")
    assert "Berlin" in (csv.get_attribute("href") or "")
    ada.goto(f"{office_url}/scorecards/results?from=2026-11-01&to=2026-11-30")
    look(ada, "results-dark")
    for page in (sam, ada, maria):
        page.context.close()


def test_draft_is_saved_and_finished_although_responses_are_lost(browser: Browser, base_url: str) -> None:
    context = browser.new_context()
    page, other = context.new_page(), context.new_page()
    page.route(
        "**/events*", lambda route: route.abort()
    )  # so that only its own requests tell this page what happened
    make_scorecard(page, base_url)
    begin(page, base_url)
    other.goto(f"{base_url}/calls/{DONE}")
    expect(other.get_by_role("button", name="Finish review")).to_be_visible()
    draft = page.get_by_role("form", name="Your review: Service calls")

    def lost(route: Route) -> None:
        if route.request.method in ("PUT", "POST"):
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/scorecards/**", lost)
    comment = draft.get_by_label("Comment").first
    with page.expect_event("requestfailed"):
        comment.fill("First ")
    expect(draft.get_by_role("status")).to_contain_text("Trying again")
    comment.fill("First and second")
    page.unroute("**/scorecards/**")
    expect(draft.get_by_role("status")).to_have_text("Draft saved: only you see it.")
    for question in ("Greeted the caller?", "Said that it is recorded?"):
        draft.get_by_role("group", name=question).get_by_text("Yes", exact=True).click()
    draft.get_by_role("group", name="Empathy").get_by_text("2", exact=True).click()
    expect(draft.get_by_role("status")).to_have_text("Draft saved: only you see it.")
    page.route("**/scorecards/*/finish", lost)
    draft.get_by_role("button", name="Finish review").click()
    expect(draft.get_by_role("status")).to_contain_text("cannot be reached")
    expect(other.locator("#scorecards details[data-review]")).to_be_visible()
    expect(other.get_by_role("button", name="Finish review")).to_have_count(0)
    page.unroute("**/scorecards/*/finish")
    draft.get_by_role("button", name="Finish review").click()
    review = page.locator("#scorecards details[data-review]")
    review.locator("summary").click()
    expect(review).to_contain_text("First and second")
    context.close()


def test_suggestion_is_an_answer_only_when_it_is_accepted(page: Page, place: Seed) -> None:
    def suggested(question: int, answer: str, *turns: int) -> dict[str, object]:
        return {"question": question, "answer": answer, "reason": "Said <b>so</b>.", "turns": turns}

    reply = {
        "answers": [
            suggested(1, "yes", 1, 2),
            suggested(2, "4", 3),
            suggested(3, "no", 1),
            suggested(3, "yes"),
        ]
    }
    need_axe()
    with asking(place, completion(reply), demo=True) as (app, _), serving(app, place) as url:
        make_scorecard(page, url)
        begin(page, url)
        draft = page.get_by_role("form", name="Your review: Service calls")
        draft.get_by_role("group", name="3. Said that it is recorded?").get_by_text("Yes", exact=True).click()
        draft.get_by_role("button", name="Suggest answers").click()
        expect(draft).to_contain_text("2 suggestions by language model test-model")
        expect(draft).to_contain_text("1 question that you have answered keeps your answer.")
        expect(draft).to_contain_text("Left out without a real turn or a possible answer: 1.")
        greeted = draft.get_by_role("group", name="Suggestion: Greeted the caller?")
        expect(greeted).to_contain_text("Suggested Yes Said <b>so</b>.")
        expect(greeted.get_by_role("link")).to_have_count(2)
        expect(draft.get_by_role("radio", checked=True)).to_have_count(1)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            look(page, f"suggestions-{scheme}")
        draft.get_by_role("button", name="Dismiss: Empathy").click()
        with page.expect_response(lambda response: response.request.method == "PUT"):
            draft.get_by_role("button", name="Accept: Greeted the caller?").click()
        page.reload()
        expect(draft.get_by_role("radio", checked=True)).to_have_count(2)
        expect(
            draft.get_by_role("group", name="1. Greeted the caller?").get_by_title("Play from here")
        ).to_have_count(2)
        expect(draft.locator(".suggestion")).to_have_count(0)
        page.goto("about:blank")  # the server ends first


def test_draft_keeps_what_was_typed_while_the_server_fails(browser: Browser, base_url: str) -> None:
    context = browser.new_context()
    page, other = context.new_page(), context.new_page()
    page.route(
        "**/events*", lambda route: route.abort()
    )  # so that only its own requests tell this page what happened
    make_scorecard(page, base_url)
    begin(page, base_url)
    other.goto(f"{base_url}/calls/{DONE}")
    expect(other.get_by_role("button", name="Finish review")).to_be_visible()
    draft = page.get_by_role("form", name="Your review: Service calls")

    def unreachable(route: Route) -> None:
        if route.request.method == "PUT":
            route.fulfill(
                status=503,
                content_type="application/json",
                body='{"error": {"code": "x", "message": "Down."}}',
            )
        else:
            route.continue_()

    page.route("**/scorecards/*", unreachable)
    comment = draft.get_by_label("Comment").first
    comment.fill("Not to be lost.")
    expect(draft.get_by_role("status")).to_contain_text("Trying again; what you typed is kept on this page.")
    expect(comment).to_have_value("Not to be lost.")
    page.unroute("**/scorecards/*")
    expect(draft.get_by_role("status")).to_have_text("Draft saved: only you see it.")
    page.reload()
    expect(comment).to_have_value("Not to be lost.")
    page.close()
