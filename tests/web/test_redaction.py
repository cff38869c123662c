"""Redacted calls by API and page: what is masked and silenced for whom, adding and removing, and what waits to be redacted."""

import io
from typing import Any

import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient

from callreel.domain.access import Scope
from callreel.store.db.tables import calls as calls_table
from tests.support.seed import DONE, LIVE, Seed
from tests.support.spoken_card import FIRST_MS, LAST_MS, MASKED, OPTIONS, SAID, redactor, say_card
from tests.web.conftest import As, MakeApp, bearer

API = f"/api/v1/calls/{DONE}"
PAGE = f"/calls/{DONE}"
WAV = f"{PAGE}/layers/cloud.wav"
EVERYWHERE = (
    API, f"{API}?words=true&machine=true", f"{API}/difference", f"{PAGE}/transcript.txt", f"{PAGE}/transcript.csv",
    f"{PAGE}/transcript.json", PAGE,
)  # fmt: skip


@pytest.fixture
def redacted(place: Seed) -> Seed:
    """The installation after the seeded call was redacted; originals are kept."""
    say_card(place)
    with redactor(place) as (stage, _):
        assert stage.redact(DONE) == 1
        assert stage.redact(DONE) == 0, "redacting again finds nothing new"
    return place


def sound(body: bytes) -> Any:
    return soundfile.read(io.BytesIO(body), dtype="int16")[0]


def test_text_is_masked_everywhere_unless_the_original_is_wanted(redacted: Seed, signed_in: As) -> None:
    sam, maria = signed_in("sam"), signed_in("maria")
    for address in EVERYWHERE:
        end = "&original=true" if "?" in address else "?original=true"
        for person in (sam, maria):
            text = person.get(address).text
            assert "4111" not in text and "[card number]" in text, address
        assert "4111" in sam.get(address + end).text, address
        assert maria.get(address + end).status_code == 403, address
    call = sam.get(f"{API}?words=true").json()
    assert call["turns"][0]["text"] == call["live_turns"][0]["text"] == MASKED
    assert [word.get("entity") for word in call["turns"][0]["words"]] == [None, "card_number", None]
    [found] = call["redaction"]["redactions"]
    assert (found["role"], found["entity"], found["by"]) == ("technician", "card_number", None)
    assert (found["start_ms"], found["end_ms"]) == (FIRST_MS, LAST_MS)


def test_search_and_events_never_have_redacted_words(redacted: Seed, signed_in: As) -> None:
    sam = signed_in("sam")
    assert sam.get("/api/v1/calls", params={"q": "4111"}).json()["calls"] == []
    [listed] = sam.get("/api/v1/calls", params={"q": "thanks"}).json()["calls"]
    assert listed["hits"][0]["parts"][0]["text"].startswith("card [card number]")
    with sam.stream("GET", f"{PAGE}/events?kinds=final", headers={"Last-Event-ID": "0"}) as answer:
        lines = [line for line, _ in zip(answer.iter_lines(), range(20), strict=False)]
    assert any(MASKED in line for line in lines) and not any("4111" in line for line in lines)


def test_audio_is_silent_in_redacted_stretches_of_every_layer(redacted: Seed, signed_in: As) -> None:
    sam = signed_in("sam")
    for layer in sam.get(API).json()["layers"]:
        original = sam.get(layer["url"] + "?original=true")
        redacted_file = sam.get(layer["url"])
        assert len(original.content) == len(redacted_file.content)
        assert original.headers["etag"] != redacted_file.headers["etag"]
        rate, before, after = layer["rate_hz"], sound(original.content), sound(redacted_file.content)
        first, last = FIRST_MS * rate // 1000, LAST_MS * rate // 1000
        assert not after[first:last].any() and before[first:last].any()
        if layer["layer"].startswith("cloud"):  # the seeded live layers were not aligned
            margin = OPTIONS.margin_ms * rate // 1000
            assert np.array_equal(after[: first - margin], before[: first - margin])
            assert np.array_equal(after[last + margin :], before[last + margin :])
    part = sam.get(WAV, headers={"Range": "bytes=20000-39999"})
    assert (part.status_code, part.content) == (206, sam.get(WAV).content[20000:40000])
    peaks = sam.get(f"{API}/peaks").json()["channels"][0]["peaks"]
    assert peaks[FIRST_MS // 50 : LAST_MS // 50] == [0.0] * 24 and peaks[0] > 0
    assert sam.get(f"{API}/peaks?original=true").json()["channels"][0]["peaks"][20] > 0
    maria = signed_in("maria")
    assert maria.get(f"{WAV}?original=true").status_code == 403
    assert maria.get(f"{API}/peaks?original=true").status_code == 403


def test_token_needs_the_scope_for_originals(redacted: Seed, stranger: TestClient) -> None:
    reads = bearer(redacted, "sam", Scope.READ_CALLS)
    assert stranger.get(f"{API}?original=true", headers=reads).status_code == 403
    originals = bearer(redacted, "sam", Scope.READ_CALLS, Scope.READ_ORIGINALS)
    assert SAID in stranger.get(f"{API}?original=true", headers=originals).text
    of_agent = bearer(redacted, "maria", Scope.READ_CALLS, Scope.READ_ORIGINALS)
    assert stranger.get(f"{API}?original=true", headers=of_agent).status_code == 403


def test_supervisor_adds_and_removes_redactions(redacted: Seed, signed_in: As) -> None:
    sam, maria = signed_in("sam"), signed_in("maria")
    [found] = sam.get(API).json()["redaction"]["redactions"]
    wanted = {"role": "technician", "start_ms": 1_800, "end_ms": 2_100}
    assert maria.post(f"{API}/redactions", json=wanted).status_code == 403
    assert maria.delete(f"{API}/redactions/{found['id']}").status_code == 403
    assert sam.post(f"{API}/redactions", json={**wanted, "end_ms": 5}).status_code == 409
    assert sam.post(f"/api/v1/calls/{LIVE}/redactions", json=wanted).status_code == 409
    made = sam.post(f"{API}/redactions", json=wanted)
    assert made.status_code == 201
    assert sam.get(API).json()["turns"][0]["text"] == "card [card number] [redacted]"
    assert sam.delete(f"{API}/redactions/{found['id']}").status_code == 204
    assert sam.delete(f"{API}/redactions/{found['id']}").status_code == 404
    call = sam.get(API).json()
    assert call["turns"][0]["text"] == "card 4111 1111 1111 1111 [redacted]"
    assert [one["removed_by"] for one in call["redaction"]["redactions"]] == ["sam", None]
    assert len(sam.get("/api/v1/calls", params={"q": "4111"}).json()["calls"]) == 1
    with redactor(redacted) as (stage, _):
        assert stage.redact(DONE) == 0, "what a person removed is not found again"
    form = {"role": "technician", "start_s": "0.3", "end_s": "0.6", "entity": "name"}
    assert sam.post(f"{PAGE}/redactions", data=form).headers["location"] == f"{PAGE}#redaction"
    assert sam.get(API).json()["turns"][0]["text"].startswith("[name] 4111")
    gone = sam.post(f"{PAGE}/redactions/{made.json()['id']}/remove")
    assert gone.status_code == 303 and "thanks" in sam.get(API).text


def test_correction_of_a_masked_turn_keeps_the_mask(redacted: Seed, signed_in: As) -> None:
    maria = signed_in("maria")
    change = {"turn": 0, "word": 2, "text": "bye"}
    assert maria.post(f"{API}/revisions", json={"base": 0, "changes": [change]}).status_code == 201
    call = maria.get(f"{API}?machine=true").json()
    assert call["turns"][0]["text"] == "card [card number] bye"
    assert call["machine_turns"][0]["text"] == MASKED
    history = maria.get(f"{API}/revisions").json()["revisions"]
    assert history[0]["changes"][0]["text"] == "bye"


def test_call_that_awaits_redaction_shows_neither_text_nor_audio(
    place: Seed, signed_in: As, make_app: MakeApp
) -> None:
    say_card(place)
    with place.database.write() as conn:
        conn.execute(calls_table.update().values(redaction_awaited=True))
    say_card(place)
    sam = signed_in("sam")
    call = sam.get(API).json()
    assert call["redaction"]["withheld"] is True and call["turns"] == call["live_turns"] == []
    assert "4111" not in sam.get(f"{PAGE}/transcript.txt").text
    assert [sam.get(address).status_code for address in (WAV, f"{API}/peaks")] == [409, 409]
    assert sam.get("/api/v1/calls", params={"q": "thanks"}).json()["calls"] == []
    with sam.stream("GET", f"{PAGE}/events?kinds=final") as answer:
        lines = [line for line, _ in zip(answer.iter_lines(), range(10), strict=False)]
    assert any('"withheld":true' in line for line in lines) and "4111" not in "".join(lines)
    assert SAID in sam.get(f"{API}?original=true").text
    assert sam.get(f"/api/v1/calls/{LIVE}").json()["live_turns"], "a live call is shown as it is"
    with redactor(place) as (stage, _):
        stage.redact(DONE)
    assert MASKED in sam.get(API).text and sam.get(WAV).status_code == 200
