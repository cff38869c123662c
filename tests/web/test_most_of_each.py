"""What a person may add again and again is bounded, and so are the answers that show it."""

from collections.abc import AsyncIterator

import pytest

from callreel.domain.note import MOST_NOTES, NoteKind
from callreel.review import corrections
from callreel.store.calls import notes
from callreel.store.people import sessions
from callreel.web.api import live_events, softphone, tokens
from callreel.web.api.live_events import OpenStreams, TooManyStreamsError
from tests.support.seed import DONE, NOON, Seed
from tests.web.conftest import As

NOTE = {"kind": "note", "at_ms": 1, "text": "one more"}


def test_call_has_at_most_1000_notes(signed_in: As, place: Seed) -> None:
    browser = signed_in("maria")
    with place.database.write() as conn:
        for number in range(MOST_NOTES - notes.counts(conn, [DONE]).get(DONE, 0) - 1):
            notes.add(conn, DONE, NoteKind.NOTE, number, "a note", "maria", NOON)
    assert browser.post(f"/api/v1/calls/{DONE}/notes", json=NOTE).status_code == 201
    answer = browser.post(f"/api/v1/calls/{DONE}/notes", json=NOTE)
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        422, "A call has at most 1000 marks and notes.",
    )  # fmt: skip


def test_revisions_are_listed_by_page_and_end(signed_in: As, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "MOST_REVISIONS", 5)
    browser = signed_in("maria")
    address = f"/api/v1/calls/{DONE}/revisions"
    answers = [
        browser.post(address, json={"base": base, "changes": [{"turn": 0, "text": f"text {base}"}]})
        for base in range(6)
    ]
    assert [answer.status_code for answer in answers] == [201] * 5 + [409]
    listed, before = list[int](), ""
    for _ in range(3):
        page = browser.get(f"{address}?limit=2{before}").json()
        listed += [one["number"] for one in page["revisions"]]
        before = f"&before={page['next_before']}"
    assert listed == [5, 4, 3, 2, 1] and page["next_before"] is None
    assert browser.get(f"{address}?limit=51").status_code == 422


async def test_person_has_a_bounded_number_of_live_streams(
    signed_in: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_events, "MOST_STREAMS", 2)

    async def events() -> AsyncIterator[str]:
        while True:
            yield "an event"

    opened = OpenStreams()
    first, second = (opened.counted("maria", events()) for _ in range(2))
    assert [await anext(first), await anext(second)] == ["an event"] * 2
    with pytest.raises(TooManyStreamsError):
        opened.counted("maria", events())
    assert await anext(opened.counted("zoe", events())) == "an event"
    await first.aclose()  # type: ignore[attr-defined]  # a generator
    assert await anext(opened.counted("maria", events())) == "an event"
    monkeypatch.setattr(live_events, "MOST_STREAMS", 0)
    answer = signed_in("maria").get("/events")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "11")


def test_person_has_a_bounded_number_of_tokens(signed_in: As, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST_TOKENS", 2)
    browser = signed_in("maria")
    wanted = {"name": "tool", "scopes": ["calls:read"]}
    statuses = [browser.post("/api/v1/tokens", json=wanted).status_code for _ in range(3)]
    assert statuses == [201, 201, 409]
    first = browser.get("/api/v1/tokens").json()["tokens"][0]["id"]
    assert browser.delete(f"/api/v1/tokens/{first}").status_code == 204
    assert browser.post("/api/v1/tokens", json=wanted).status_code == 201


def test_phone_book_is_bounded(signed_in: As, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softphone, "MOST_TECHNICIANS", 1)
    browser = signed_in("sam")
    answers = [
        browser.post("/api/v1/technicians", json={"name": f"Lee {last}", "number": f"+1212555017{last}"})
        for last in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 409]


def test_oldest_session_of_a_person_ends_when_there_are_too_many(
    signed_in: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_SESSIONS", 2)
    first, other = signed_in("maria"), signed_in("zoe")
    second, third = signed_in("maria"), signed_in("maria")
    assert [one.get("/api/v1/calls").status_code for one in (first, second, third, other)] == [
        401, 200, 200, 200,
    ]  # fmt: skip
