"""*Download all*: what the ZIP file has for whom, its entry in the audit trail, and what is refused."""

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from callreel.store.audit import accesses
from callreel.store.db.tables import calls
from callreel.web.app import WebOptions
from tests.support.rows import audit_entries
from tests.support.seed import DONE, LIVE, SAID, Seed
from tests.support.spoken_card import MASKED, redactor, say_card
from tests.support.spoken_card import SAID as CARD
from tests.web.conftest import As, MakeApp, enter

ZIP = f"/calls/{DONE}/all.zip"
FOLDER = f"call_2026-11-22_{DONE}"
TEXTS = {f"transcript.{ending}" for ending in ("txt", "srt", "vtt", "json", "csv")} | {"call.vcon"}


def opened(body: bytes) -> zipfile.ZipFile:
    made = zipfile.ZipFile(io.BytesIO(body))
    assert made.testzip() is None
    return made


def test_agent_downloads_everything_of_an_own_call(signed_in: As, place: Seed) -> None:
    maria = signed_in("maria")
    assert f'href="{ZIP}"' in maria.get(f"/calls/{DONE}").text
    answer = maria.get(ZIP)
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == f'attachment; filename="{FOLDER}.zip"'
    assert answer.headers["content-length"] == str(len(answer.content))
    files = maria.get(f"/api/v1/calls/{DONE}").json()["layers"]
    with opened(answer.content) as made:
        expected = {file["path"] for file in files} | TEXTS
        assert set(made.namelist()) == {f"{FOLDER}/{name}" for name in expected}
        for file in files:
            assert made.read(f"{FOLDER}/{file['path']}") == maria.get(file["url"]).content
        assert SAID[0][2] in made.read(f"{FOLDER}/transcript.srt").decode()
        assert json.loads(made.read(f"{FOLDER}/call.vcon"))["vcon"] == "0.4.0"
    accesses.settle(place.database, datetime.now(UTC) + timedelta(hours=1))
    [entry] = [one for one in audit_entries(place.database) if one.subject.endswith(", transcript")]
    assert (entry.action, entry.actor, entry.call_id) == ("downloaded", "maria", DONE)
    assert entry.subject.split(", ")[:-1] == [file["url"].split("/")[-1][:-4] for file in files]
    assert entry.details["sent_ms"] == [[0, 2500]]


def test_redacted_call_is_redacted_in_the_zip_file(signed_in: As, place: Seed) -> None:
    say_card(place)
    sam, maria = signed_in("sam"), signed_in("maria")
    with redactor(place) as (stage, _):
        stage.redact(DONE)
    with opened(maria.get(ZIP).content) as made:
        assert MASKED in made.read(f"{FOLDER}/transcript.txt").decode()
        assert not any(b"4111" in made.read(name) for name in made.namelist())
        for file in maria.get(f"/api/v1/calls/{DONE}").json()["layers"]:
            assert made.read(f"{FOLDER}/{file['path']}") == maria.get(file["url"]).content
    assert maria.get(f"{ZIP}?original=true").status_code == 403
    with opened(sam.get(f"{ZIP}?original=true").content) as made:
        assert CARD in made.read(f"{FOLDER}_original/transcript.txt").decode()
    assert f'href="{ZIP}?original=true"' in sam.get(f"/calls/{DONE}?original=true").text


def test_zip_file_is_refused_while_it_would_be_incomplete(ada: TestClient, place: Seed) -> None:
    live = ada.get(f"/calls/{LIVE}/all.zip")
    assert live.status_code == 409 and "still live" in live.json()["error"]["message"]
    assert "all.zip" not in ada.get(f"/calls/{LIVE}").text
    [first, *_] = ada.get(f"/api/v1/calls/{DONE}").json()["layers"]
    place.blobs.path(first["path"]).unlink()
    missing = ada.get(ZIP, headers={"Accept": "text/html"})
    assert missing.status_code == 404
    assert "The file of the layer live_8k-agent is missing." in missing.text
    with place.database.write() as conn:
        conn.execute(update(calls).where(calls.c.id == DONE).values(redaction_awaited=True))
    assert "withheld until" in ada.get(ZIP).json()["error"]["message"]
    assert "all.zip" not in ada.get(f"/calls/{DONE}").text
    assert ada.get("/calls/ffffffffffff/all.zip").status_code == 404


@pytest.mark.parametrize("accept", ["text/html", "*/*"])
def test_zip_file_needs_a_reason_where_playback_does(make_app: MakeApp, place: Seed, accept: str) -> None:
    app = make_app(WebOptions(playback_reason=True))
    sam = enter(TestClient(app, base_url="https://calls.example"), place, "sam")
    refused = sam.get(ZIP, headers={"Accept": accept})
    assert refused.status_code == 403 and "Give a reason" in refused.text
    assert ("<h1>" in refused.text) == (accept == "text/html")
    assert "all.zip" not in sam.get(f"/calls/{DONE}").text
    sam.post(f"/calls/{DONE}/reason", data={"reason": "ticket 4711"})
    assert sam.get(ZIP).status_code == 200
