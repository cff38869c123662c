"""The documentation's pictures of pages about many calls: a scorecard, a review, a week, the dashboard, and what a language model
answered.

Taken by `make pictures` only: other tests test these pages.
"""

from pathlib import Path
from typing import Any

import pytest
from benchmarks.lists import AGENTS, fill
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import update

from callreel.domain.call import Role
from callreel.domain.label import LabelColor
from callreel.domain.measures import CallSpeech, Span, measure
from callreel.store.calls import labels, measures
from callreel.store.db import tables
from callreel.store.insight import instructions
from callreel.store.insight.instructions import InstructionsRow
from tests.end_to_end.album import PICTURES, Album
from tests.support.language_model import analysing, asking, completion, said, sentences, sounds
from tests.support.seed import NOON, Seed, at
from tests.web.chromium import serving
from tests.web.spoken_call import SPOKEN, add_spoken_call, spoken_lines

pytest_plugins = ("tests.web.chromium",)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(120),
    pytest.mark.slow,
    pytest.mark.skipif(not PICTURES, reason="takes pictures for the documentation: make pictures"),
]

CALLS = 2_500
PEOPLE = ("maria", "zoe", "tom")
TOPICS = (
    "left gauge, valve, pressure",
    "library elevator, red light",
    "boiler, pilot flame",
    "invoice, March",
    "",
)
LABELS = {1: "Repair", 2: "Complaint"}
QUESTIONS = (
    ("Greeted the caller?", "yes_no"),
    ("Understood the problem", "scale"),
    ("Said when somebody comes?", "yes_no"),
    ("What could be better?", "text"),
)


@pytest.fixture
def year(place: Seed) -> Seed:
    """Calls of a year, and one of two recorded voices with its measures."""
    fill(place.database, CALLS)
    add_spoken_call(place)
    lines = spoken_lines()
    speech = {
        role: [Span(line.start_ms, line.end_ms) for line in lines if line.role is role] for role in Role
    }
    with place.database.write() as conn:
        for part, name in enumerate(PEOPLE):
            conn.execute(
                update(tables.calls)
                .where(tables.calls.c.agent.in_(AGENTS[part :: len(PEOPLE)]))
                .values(agent=name)
            )
        for digit in range(16):
            ends = tables.topics.c.call_id.like(f"%{digit:x}")
            conn.execute(update(tables.topics).where(ends).values(text=TOPICS[digit % len(TOPICS)]))
        for label_id, label in LABELS.items():
            conn.execute(update(tables.labels).where(tables.labels.c.id == label_id).values(name=label))
        measures.put(
            conn, SPOKEN, at(2_400), measure(CallSpeech(speech, 0, lines[-1].end_ms, ringing_ms=3_000), 5_000)
        )
    return place


@pytest.fixture
def album(tmp_path: Path) -> Album:
    return Album(tmp_path)


def test_week_and_dashboard(year: Seed, page: Page, base_url: str, album: Album) -> None:
    page.set_viewport_size({"width": 1200, "height": 1100})
    page.goto(f"{base_url}/report?week=2026-W47")
    busiest = page.get_by_role("heading", name="Busiest hours")
    album.take(page, "week", [page.get_by_role("heading", name="Week 2026-W47"), busiest])
    page.goto(f"{base_url}/statistics")
    expect(page.locator("svg").first).to_be_visible()
    album.take(page, "dashboard", [page.locator("svg").first])
    page.set_viewport_size({"width": 1200, "height": 600})
    by_agent = page.locator("caption", has_text="Calls by agent")
    by_agent.evaluate("caption => scrollTo(0, caption.getBoundingClientRect().top + scrollY - 30)")
    album.take(page, "trends", [by_agent, page.locator("svg.trend")], scrolled=True)
    assert len(album.checked()) == 6


def fill_in_scorecard(page: Page, url: str) -> None:
    page.goto(f"{url}/scorecards")
    expect(page.locator("score-cards form[inert]")).to_have_count(0)
    page.get_by_label("Name", exact=True).fill("Service calls")
    for number, (text, kind) in enumerate(QUESTIONS):
        if number:
            page.get_by_role("button", name="Add question").click()
        question = page.get_by_role("group", name=f"Question {number + 1}")
        question.get_by_label("Question", exact=True).fill(text)
        question.get_by_label("Answer").select_option(kind)
    page.get_by_role("group", name="Question 3").get_by_label("Critical").check()


def begin_review(page: Page, url: str) -> Locator:
    """Add the scorecard that is filled in, and begin a review with it; its form."""
    page.get_by_role("button", name="Add scorecard").click()
    expect(page.locator("[data-cards]")).to_contain_text("version 1")
    page.goto(f"{url}/calls/{SPOKEN}")
    expect(page.locator("call-review[data-ready]")).to_be_attached()
    page.get_by_role("button", name="Start review").click()
    return page.get_by_role("form", name="Your review: Service calls")


def test_scorecard_and_review(year: Seed, page: Page, base_url: str, album: Album) -> None:
    page.set_viewport_size({"width": 1200, "height": 1100})
    fill_in_scorecard(page, base_url)
    album.take(page, "scorecard", [page.get_by_role("group", name="Question 1")])
    form = begin_review(page, base_url)
    form.get_by_role("group", name="Greeted the caller?").get_by_text("Yes", exact=True).click()
    page.locator('[data-view="final"] .turn .word').nth(12).click()
    understood = form.get_by_role("group", name="Understood the problem")
    understood.get_by_text("4", exact=True).click()
    understood.get_by_role("button", name="Link this moment").click()
    understood.get_by_label("Comment").fill("Asked at once whether people are inside.")
    form.get_by_role("group", name="Said when somebody comes?").get_by_text("Yes", exact=True).click()
    expect(form.get_by_role("status")).to_have_text("Draft saved: only you see it.")
    album.take(page, "review", [form.get_by_role("group", name="Greeted the caller?")])
    assert len(album.checked()) == 4


SUGGESTED: dict[str, Any] = {
    "answers": [
        {"question": 1, "answer": "yes", "reason": "Says a greeting and a name first.", "turns": [1]},
        {"question": 2, "answer": "4", "reason": "Asks whether people are inside, and where the switch is.", "turns": [3, 7]},
        {"question": 3, "answer": "yes", "reason": "Half an hour is promised.", "turns": [9]},
    ]
}  # fmt: skip


def test_suggested_answers(place: Seed, page: Page, album: Album) -> None:
    add_spoken_call(place)
    with asking(place, completion(SUGGESTED), demo=True) as (app, _), serving(app, place) as url:
        page.set_viewport_size({"width": 1200, "height": 1100})
        fill_in_scorecard(page, url)
        form = begin_review(page, url)
        form.get_by_role("button", name="Suggest answers").click()
        suggestion = form.get_by_role("group", name="Suggestion: Greeted the caller?")
        album.take(page, "suggestions", [form.get_by_role("button", name="Suggest answers"), suggestion])
        page.goto("about:blank")  # the server ends first
    assert len(album.checked()) == 2


ELEVATOR: dict[str, Any] = {
    "summary": said("The elevator in the library stands still with a red light; the power is off, no one is inside.", 2, 4, 8),
    "reason": said("The elevator in the library does not move.", 2),
    "outcome": said("The technician is on the way.", 9, 11),
    "action_items": [
        {**said("Come to the library.", 9), "owner": "technician", "due": "in half an hour"},
        {**said("Wait at the front door.", 10), "owner": "agent", "due": None},
    ],
    "labels": [],
    "sentiment": [
        sounds("agent", "neutral", "Reports the fault.", 2), sounds("agent", "positive", "Thanks and waits.", 10),
        sounds("technician", "neutral", "Asks whether people are inside.", 3),
        sounds("technician", "negative", "Warns of the danger at the doors.", 5),
        sounds("technician", "positive", "Says that it is very good.", 9),
    ],
}  # fmt: skip
ANSWERED = sentences(
    said("The elevator in the library does not move, and a red light is on.", 2, 4),
    said("The power was switched off at the wall behind the green door.", 7, 8),
    said("The technician promised to be there in half an hour.", 9),
)


def test_analysis_and_question(place: Seed, page: Page, album: Album) -> None:
    add_spoken_call(place)
    with place.database.write() as conn:
        label = labels.add(conn, "Breakdown", LabelColor.ORANGE)
        labels.attach(conn, SPOKEN, label.id, "maria", NOON)
        text = "Say which device failed, and whether people are in danger."
        instructions.add(conn, InstructionsRow(label.id, 1, text, "sam", NOON))
    with analysing(place, completion(ELEVATOR)) as (stage, _):
        stage.analyse(SPOKEN, "a")
    with asking(place, ANSWERED, demo=True) as (app, _), serving(app, place) as url:
        page.set_viewport_size({"width": 1200, "height": 1100})
        page.goto(f"{url}/calls/{SPOKEN}")
        expect(page.locator("call-review[data-ready]")).to_be_attached()
        card = page.locator("#analysis")
        page.set_viewport_size({"width": 1200, "height": 1300})
        album.take(page, "analysis", [card.get_by_text("By language model")])
        page.set_viewport_size({"width": 1200, "height": 1100})
        page.goto(f"{url}/ask?q=elevator")
        page.get_by_label("Question").fill("Which elevator failed, and what was promised?")
        page.get_by_role("button", name="Ask").click()
        page.set_viewport_size({"width": 1200, "height": 900})
        album.take(page, "ask", [page.get_by_role("region", name="Answer")])
        page.goto(f"{url}/labels")
        page.get_by_role("button", name="Instructions of Breakdown").click()
        page.set_viewport_size({"width": 1200, "height": 700})
        album.take(page, "instructions", [page.get_by_role("button", name="Save instructions")])
        page.goto("about:blank")  # the server ends first
    assert len(album.checked()) == 6
