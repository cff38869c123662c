"""Correcting a transcript by the API: revisions, conflicts, search, exports, and the machine's text that stays."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from fastapi.testclient import TestClient

from callreel.domain.events import EventKind
from callreel.domain.note import NoteKind
from callreel.domain.transcript import TranscriptKind, Turn
from callreel.review import corrections
from callreel.review.turn_edits import Change, corrected
from callreel.store.calls import live_events, notes
from callreel.store.transcripts import transcripts
from tests.support.seed import DONE, LIVE, NOON, SAID, Seed
from tests.web.conftest import As

REVISIONS = f"/api/v1/calls/{DONE}/revisions"


def correct(browser: TestClient, base: int, *changes: dict[str, Any]) -> Any:
    return browser.post(REVISIONS, json={"base": base, "changes": list(changes)})


def texts(browser: TestClient, name: str = "turns") -> list[str]:
    call = browser.get(f"/api/v1/calls/{DONE}?machine=true").json()
    return [turn["text"] for turn in call[name]]


def test_word_turn_and_role_are_corrected(signed_in: As, place: Seed) -> None:
    maria = signed_in("maria")
    machine = texts(maria)
    assert maria.get(f"/api/v1/calls/{DONE}").json()["revision"] is None
    first = correct(
        maria, 0, {"turn": 3, "word": 2, "text": "sixty"}, {"turn": 4, "text": "then shut the valve"}
    )
    assert first.status_code == 201, first.text
    assert first.json()["number"] == 1
    second = signed_in("sam")
    assert correct(second, 1, {"turn": 0, "role": "technician"}, {"turn": 1, "text": ""}).status_code == 201
    call = maria.get(f"/api/v1/calls/{DONE}?machine=true").json()
    assert [turn["text"] for turn in call["machine_turns"]] == machine
    assert texts(maria) == [
        machine[0],
        machine[2],
        "it says sixty two and it is falling slowly",
        "then shut the valve",
    ]
    assert call["turns"][0]["role"] == "technician"
    assert (call["revision"]["number"], call["revision"]["by"]) == (2, "sam")
    history = maria.get(REVISIONS).json()["revisions"]
    assert [(row["number"], row["by"]) for row in history] == [(2, "sam"), (1, "maria")]
    assert history[1]["changes"] == [
        {"turn": 3, "word": 2, "text": "sixty"},
        {"turn": 4, "text": "then shut the valve"},
    ]
    # Places are those of the revision that was looked at: turn 1 is now the machine's third.
    assert correct(maria, 2, {"turn": 1, "word": 0, "text": "could"}).status_code == 201
    assert texts(maria)[1].startswith("could you read me")
    with place.database.read() as conn:
        events = [e for e in live_events.after(conn, DONE, 0, 99) if e.kind is EventKind.TRANSCRIPT]
    assert [event.data for event in events[-2:]] == [
        {"kind": "final", "turns": 4, "revision": 2},
        {"kind": "final", "turns": 4, "revision": 3},
    ]


def test_correction_of_an_older_revision_conflicts(signed_in: As) -> None:
    maria = signed_in("maria")
    assert correct(maria, 0, {"turn": 0, "text": "one"}).status_code == 201
    late = correct(maria, 0, {"turn": 0, "text": "two"})
    assert late.status_code == 409
    assert late.json()["error"]["code"] == "conflict"
    assert texts(maria)[0] == "one"
    assert correct(maria, 2, {"turn": 0, "text": "two"}).status_code == 409


def test_corrections_are_searched_and_exported_at_once(ada: TestClient) -> None:
    def found(word: str) -> int:
        return len(ada.get("/api/v1/calls", params={"q": word}).json()["calls"])

    assert (found("forty"), found("sixty")) == (1, 0)
    correct(ada, 0, {"turn": 3, "word": 2, "text": "sixty"})
    assert (found("forty"), found("sixty")) == (0, 1)
    assert "sixty two" in ada.get(f"/calls/{DONE}/transcript.srt").text
    assert "revision 1 by ada" in ada.get(f"/calls/{DONE}/transcript.txt").text
    difference = ada.get(f"/api/v1/calls/{DONE}/difference").json()["difference"]
    replaced = [run for run in difference if run["op"] == "replace"]
    assert [([w["text"] for w in run["live"]], [w["text"] for w in run["final"]]) for run in replaced] == [
        (["forty"], ["sixty"])
    ]


def test_repeated_transcription_keeps_corrections(ada: TestClient, place: Seed) -> None:
    correct(ada, 0, {"turn": 0, "text": "corrected"})
    with place.database.write() as conn:
        transcripts.put(conn, DONE, TranscriptKind.FINAL, "faster-whisper", "tiny.en", [])
        transcripts.put(conn, DONE, TranscriptKind.FINAL, "another", "", [])
    assert texts(ada)[0] == "corrected"
    assert texts(ada, "machine_turns") == [text for _, _, text, _ in SAID]
    assert len(ada.get("/api/v1/calls", params={"q": "corrected"}).json()["calls"]) == 1


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [{"turn": 5, "text": "x"}],
        [{"turn": 0}],
        [{"turn": 0, "word": 99, "text": "x"}],
        [{"turn": 0, "role": "judge"}],
        [{"turn": 0, "text": "x"}, {"turn": 0, "text": "y"}],
        [{"turn": 0, "text": "x", "start_ms": 7}],
    ],
)
def test_invalid_corrections_are_refused(ada: TestClient, changes: list[dict[str, Any]]) -> None:
    assert correct(ada, 0, *changes).status_code == 422
    assert ada.get(REVISIONS).json()["revisions"] == []


def test_a_call_without_a_final_transcript(ada: TestClient) -> None:
    body = {"base": 0, "changes": [{"turn": 0, "text": "x"}]}
    assert ada.post(f"/api/v1/calls/{LIVE}/revisions", json=body).status_code == 409
    assert ada.post("/api/v1/calls/ffffffffffff/revisions", json=body).status_code == 404
    ops = {run["op"] for run in ada.get(f"/api/v1/calls/{LIVE}/difference").json()["difference"]}
    assert ops == {"delete"}


def test_a_call_gets_a_language_by_code_or_name_or_none(ada: TestClient) -> None:
    where = f"/api/v1/calls/{DONE}/language"
    for wanted, code in (("German", "de"), ("fr", "fr"), ("", None)):
        assert ada.put(where, json={"language": wanted}).json() == {"language": code}
        assert ada.get(f"/api/v1/calls/{DONE}").json()["language"] == code
    refused = ada.put(where, json={"language": "germn"})
    assert refused.status_code == 422 and "did you mean german" in refused.text
    assert ada.put("/api/v1/calls/ffffffffffff/language", json={"language": "de"}).status_code == 404


def test_words_are_aligned_outside_the_write_transaction(
    ada: TestClient, place: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def while_aligning(turns: Sequence[Turn], changes: Iterable[Change]) -> dict[int, Turn | None]:
        with place.database.write() as conn:  # would wait for itself inside the transaction
            notes.add(conn, DONE, NoteKind.MARK, 1, "", "sam", NOON)
        return corrected(turns, changes)

    monkeypatch.setattr(corrections, "corrected", while_aligning)
    assert correct(ada, 0, {"turn": 0, "text": "good evening"}).status_code == 201
