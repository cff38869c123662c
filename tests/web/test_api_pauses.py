"""Pausing a call by API: who may, and what the answers, the call, its page and its exports say."""

import asyncio
import json

import pytest

from callreel.domain.access import Scope
from callreel.domain.ids import CallId
from callreel.domain.pause import PauseCause, PauseEnd
from callreel.ingest.pause_control import PauseControl
from callreel.store.calls import pauses
from tests.support.seed import DONE, LIVE, NOON, Seed
from tests.web.conftest import As, bearer

PAUSE, RESUME = f"/api/v1/calls/{LIVE}/pause", f"/api/v1/calls/{LIVE}/resume"


def test_a_live_call_is_paused_and_resumed(signed_in: As, place: Seed) -> None:
    with place.database.write() as conn:  # no process has its stream, so nothing confirms
        conn.exec_driver_sql("DELETE FROM streams")
    maria = signed_in("maria")
    paused = maria.post(PAUSE).json()
    assert (paused["paused"], paused["silent"], paused["by"], paused["cause"]) == (
        True,
        False,
        "maria",
        "person",
    )
    assert (paused["carrier"], paused["call_id"]) == ("refused", LIVE)
    assert "no carrier credentials are set" in paused["warning"]
    assert maria.post(PAUSE, json={"cause": "field"}).json()["id"] == paused["id"]
    (listed,) = maria.get(f"/api/v1/calls/{LIVE}").json()["pauses"]
    assert listed["paused"] and listed["began_at"] and listed["ended_at"] is None
    resumed = maria.post(RESUME, json={"cause": "field"}).json()
    assert (resumed["paused"], resumed["ended_by"]) == (False, "field")
    assert maria.post(RESUME).status_code == 409


def test_silence_waits_for_no_thread_and_no_row(
    signed_in: As, place: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request announces the pause on the event loop; the thread that stores the row repeats it."""
    announced: list[tuple[bool, int]] = []

    def announce(control: PauseControl, call_id: CallId, announcement: str = "") -> str:
        with place.database.read() as conn:
            announced.append(
                (asyncio.events._get_running_loop() is not None, len(pauses.of_call(conn, call_id)))
            )
        return announcement or "one"

    monkeypatch.setattr(PauseControl, "announce", announce)
    with place.database.write() as conn:
        conn.exec_driver_sql("DELETE FROM streams")
    maria = signed_in("maria")
    assert maria.post(PAUSE, json={"cause": "no such cause"}).status_code == 422 and not announced
    assert maria.post(PAUSE).status_code == 200
    assert announced == [(True, 0), (False, 0)]


@pytest.mark.parametrize(
    ("name", "status"), [("maria", 200), ("sam", 200), ("zoe", 404), ("token", 200), ("reading token", 403)]
)
def test_agents_pause_own_calls_and_supervisors_all(
    signed_in: As, place: Seed, name: str, status: int
) -> None:
    with place.database.write() as conn:
        conn.exec_driver_sql("DELETE FROM streams")
    headers = {}
    if "token" in name:
        scopes = [Scope.READ_CALLS] if name == "reading token" else [Scope.READ_CALLS, Scope.WRITE_CALLS]
        headers = bearer(place, "sam", *scopes)
    browser = signed_in("zoe" if headers else name)
    browser.cookies.clear() if headers else None
    assert browser.post(PAUSE, headers=headers).status_code == status
    assert browser.post(RESUME, headers=headers).status_code == status


def test_requests_that_cannot_pause(signed_in: As) -> None:
    sam = signed_in("sam")
    answer = sam.post(f"/api/v1/calls/{DONE}/pause")
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        409,
        "The call is over, so there is nothing to pause.",
    )
    assert sam.post(f"/api/v1/calls/{DONE}/resume").status_code == 409
    for body in ({"cause": "phrase"}, {"by": "x"}):
        assert sam.post(PAUSE, json=body).status_code == 422
    assert sam.post("/api/v1/calls/ffffffffffff/pause").status_code == 404


def test_pauses_are_in_exports_and_on_the_page(signed_in: As, place: Seed) -> None:
    with place.database.write() as conn:
        row, _ = pauses.begin(conn, LIVE, PauseCause.PERSON, "maria", NOON)
        assert row is not None
        pauses.end(conn, LIVE, PauseEnd.LIMIT, NOON)
        pauses.change(conn, row.id, start_ms=1_000, end_ms=61_000, call_id=DONE)
    sam = signed_in("sam")
    (listed,) = sam.get(f"/api/v1/calls/{DONE}").json()["pauses"]
    start_ms = listed["start_ms"]
    files = {
        ending: sam.get(f"/calls/{DONE}/transcript.{ending}").text for ending in ("txt", "srt", "vtt", "csv")
    }
    assert all(file.count("[recording paused]") == 1 for file in files.values())
    assert f"{start_ms},{listed['end_ms']},,,[recording paused]," in files["csv"]
    assert ": [recording paused]" not in files["srt"] and "<v" not in files["vtt"].split("[recording")[0][-5:]
    assert json.loads(sam.get(f"/calls/{DONE}/transcript.json").text)["pauses"] == [listed]
    page = sam.get(f"/calls/{DONE}").text
    assert "Recording paused" in page and "by maria; it ended at its maximum length" in page
