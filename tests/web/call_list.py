"""Calls as the API lists them, and what tests of several lists add to them: labels and measures."""

from typing import Any

from fastapi.testclient import TestClient

from callreel.domain.call import Role
from callreel.domain.measures import CallSpeech, Span, measure
from callreel.store.calls import measures
from tests.support.seed import ABSENT, SUSPECT, Seed, at

LABELS = "/api/v1/labels"


def ids(browser: TestClient, **params: str) -> list[str]:
    answer = browser.get("/api/v1/calls", params=params)
    assert answer.status_code == 200, answer.text
    return [call["call_id"] for call in answer.json()["calls"]]


def new_label(browser: TestClient, name: str = "complaint", color: str = "red") -> int:
    answer = browser.post(LABELS, json={"name": name, "color": color})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def attach(browser: TestClient, call_id: str, label_id: int) -> Any:
    answer = browser.put(f"/api/v1/calls/{call_id}/labels/{label_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()["labels"]


def add_measures(place: Seed) -> None:
    """The suspect call has an interruption by its agent and long silences; the absent one is silent."""
    speech = {Role.AGENT: [Span(10_000, 30_000)], Role.TECHNICIAN: [Span(1_000, 12_000)]}
    with place.database.write() as conn:
        found = measure(CallSpeech(speech, 0, 90_000, ringing_ms=4_000), silence_limit_ms=5_000)
        measures.put(conn, SUSPECT, at(600), found)
        measures.put(conn, ABSENT, at(1_200), measure(CallSpeech({}, 0, 3_000), silence_limit_ms=5_000))
