"""The requests of the review page: peaks, downloads, statistics; and the events that each role receives."""

import csv
import json

import pytest
from fastapi.testclient import TestClient

from callreel.domain.events import EventKind
from tests.support.seed import ABSENT, DONE, LIVE, NUMBER, SUSPECT, Seed, record
from tests.web.conftest import As


@pytest.mark.parametrize(("layer", "duration_ms"), [("cloud", 2500), ("live_8k", 2400), ("live_16k", 2400)])
def test_peaks_of_each_layer(ada: TestClient, place: Seed, layer: str, duration_ms: int) -> None:
    path = f"/api/v1/calls/{DONE}/peaks?layer={layer}&per_second=20"
    body = ada.get(path).json()
    assert (body["per_second"], body["duration_ms"]) == (20, duration_ms)
    assert [channel["role"] for channel in body["channels"]] == ["agent", "technician"]
    for channel in body["channels"]:
        assert len(channel["peaks"]) == duration_ms // 50
        assert set(channel["peaks"]) == {0.092}
    kept = sorted((place.blobs.root / "peaks").rglob("*.json"))
    files = ada.get(f"/api/v1/calls/{DONE}").json()["layers"]
    assert len(kept) == len({file["sha256"] for file in files if file["layer"] == layer})
    assert ada.get(path).json() == body


def test_peaks_of_a_growing_layer_are_not_cached(ada: TestClient, place: Seed) -> None:
    assert ada.get(f"/api/v1/calls/{LIVE}/peaks?layer=live_8k").json()["duration_ms"] == 1200
    assert not list((place.blobs.root / "peaks").rglob("*"))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/api/v1/calls/{SUSPECT}/peaks", 404),
        ("/api/v1/calls/ffffffffffff/peaks", 404),
        (f"/api/v1/calls/{DONE}/peaks?layer=vinyl", 422),
        (f"/api/v1/calls/{DONE}/peaks?per_second=0", 422),
        (f"/api/v1/calls/{DONE}/peaks?per_second=101", 422),
        (f"/api/v1/calls/{DONE}/peaks?per_second=7", 422),
    ],
)
def test_invalid_peak_requests_are_refused(ada: TestClient, path: str, status: int) -> None:
    assert ada.get(path).status_code == status


@pytest.mark.parametrize(
    ("ending", "media_type", "holds"),
    [
        ("txt", "text/plain", "[0:00:04] Technician: hello i am in front"),
        ("srt", "application/x-subrip", "00:00:04,200 --> "),
        ("vtt", "text/vtt", "<v Technician>hello i am in front"),
        ("csv", "text/csv", "4200,7000,technician,Technician,hello i am in front"),
        ("json", "application/json", '"text": "hello i am in front'),
    ],
)
def test_transcripts_are_downloaded(ada: TestClient, ending: str, media_type: str, holds: str) -> None:
    answer = ada.get(f"/calls/{DONE}/transcript.{ending}")
    assert answer.headers["content-type"].partition(";")[0] == media_type
    assert answer.headers["content-disposition"] == f'attachment; filename="transcript_{DONE}.{ending}"'
    assert holds in answer.text
    assert ada.get(f"/calls/{LIVE}/transcript.{ending}").status_code == 200
    assert ada.get(f"/calls/ffffffffffff/transcript.{ending}").status_code == 404


def test_downloads_name_their_kind_and_engine(ada: TestClient) -> None:
    body = json.loads(ada.get(f"/calls/{DONE}/transcript.json").text)
    assert body["call"]["number"] == NUMBER
    assert body["transcript"] == {
        "kind": "final",
        "engine": "faster-whisper",
        "model": "tiny.en",
        "revision": None,
    }
    assert json.loads(ada.get(f"/calls/{LIVE}/transcript.json").text)["transcript"]["kind"] == "live"
    assert "Transcript: live, not final" in ada.get(f"/calls/{LIVE}/transcript.txt").text
    assert len(list(csv.reader(ada.get(f"/calls/{DONE}/transcript.csv").text.splitlines()))) == 6
    assert ada.get(f"/calls/{DONE}/transcript.pdf").status_code == 422


def test_statistics_count_each_day(ada: TestClient) -> None:
    body = ada.get("/api/v1/statistics?from=2026-11-21&to=2026-11-23").json()
    assert [day["date"] for day in body["days"]] == ["2026-11-21", "2026-11-22", "2026-11-23"]
    day = body["days"][1]
    assert (day["calls"], day["verdicts"]) == (
        4,
        {"verified": 1, "explained": 1, "suspect": 1, "imported": 0, "none": 1},
    )
    assert day["speech_ms"] == {"agent": 8400, "technician": 5600}
    assert (day["carrier_minutes"], day["minutes"]) == (2, 63.3)
    assert day["cost"] == pytest.approx(sum(call_cost(ada, call) for call in (DONE, SUSPECT, ABSENT)))
    assert body["days"][0]["calls"] == body["days"][2]["calls"] == 0
    assert body["total"] == {name: value for name, value in day.items() if name != "date"}
    layers = ada.get(f"/api/v1/calls/{DONE}").json()["layers"]
    assert day["storage_bytes"] > sum(layer["size_bytes"] for layer in layers)


def call_cost(browser: TestClient, call_id: str) -> float:
    return float(browser.get(f"/api/v1/calls/{call_id}").json()["cost"]["total"])


def test_day_begins_in_the_requested_time_zone(ada: TestClient) -> None:
    query = {"from": "2026-11-22", "to": "2026-11-23", "zone": "Pacific/Kiritimati"}
    body = ada.get("/api/v1/statistics", params=query).json()
    assert (body["zone"], [day["calls"] for day in body["days"]]) == ("Pacific/Kiritimati", [0, 4])


def test_agents_get_statistics_of_their_own_calls(signed_in: As) -> None:
    query = {"from": "2026-11-22", "to": "2026-11-22"}
    body = {
        name: signed_in(name).get("/api/v1/statistics", params=query).json()["total"]
        for name in ("maria", "zoe")
    }
    assert (body["maria"]["calls"], body["zoe"]["calls"]) == (3, 0)
    assert body["zoe"]["storage_bytes"] == body["zoe"]["cost"] == 0


@pytest.mark.parametrize(
    "query",
    [
        "from=2026-11-23&to=2026-11-22",
        "from=2020-01-01&to=2026-01-01",
        "zone=Mars/One",
        "zone=../etc",
        "to=x",
    ],
)
def test_invalid_statistics_requests_are_refused(ada: TestClient, query: str) -> None:
    assert ada.get(f"/api/v1/statistics?{query}").status_code == 422


def test_agents_get_events_of_own_calls_only(signed_in: As, place: Seed) -> None:
    record(place, SUSPECT, EventKind.VERDICT, verdict="suspect")
    place.bus.close()
    body = {name: signed_in(name).get("/events?after=0").text for name in ("sam", "maria", "zoe")}
    assert SUSPECT in body["sam"] and DONE in body["sam"]
    assert DONE in body["maria"] and SUSPECT not in body["maria"]
    assert "call_id" not in body["zoe"]
