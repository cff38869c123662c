"""The JSON API: its shape, its pages, its errors."""

from fastapi.testclient import TestClient

from tests.support.seed import ABSENT, DONE, LIVE, NUMBER, SUSPECT, Seed


def test_list_is_newest_first_and_pages(ada: TestClient) -> None:
    first = ada.get("/api/v1/calls?limit=3").json()
    assert [call["call_id"] for call in first["calls"]] == [LIVE, ABSENT, SUSPECT]
    rest = ada.get("/api/v1/calls", params={"before": first["next_before"]}).json()
    assert [call["call_id"] for call in rest["calls"]] == [DONE]
    assert rest["next_before"] is None


def test_one_call_has_all_its_fields(ada: TestClient) -> None:
    call = ada.get(f"/api/v1/calls/{DONE}").json()
    assert call["call_sid"] == "CA0123456789ab0123456789ab00000000"
    assert (call["state"], call["direction"], call["agent"]) == ("closed", "outgoing", "maria")
    assert (call["number"], call["verdict"], call["reasons"]) == (NUMBER, "verified", [])
    assert call["turns"][1] == {
        "role": "technician",
        "start_ms": 4200,
        "end_ms": 7000,
        "text": "hello i am in front of the unit on the roof",
        "confidence": 0.84,
        "fallback_engine": "",
    }
    assert [turn["text"] for turn in call["live_turns"]] == [turn["text"] for turn in call["turns"]]
    assert call["recording"]["state"] == "stored"
    assert call["transcript"]["engine"] == "faster-whisper"
    layer = call["layers"][0]
    assert (layer["layer"], layer["role"], layer["rate_hz"], layer["channels"]) == (
        "live_8k",
        "agent",
        8000,
        1,
    )
    assert len(layer["sha256"]) == 64
    assert call["cost"]["currency"] == "USD"
    assert call["cost"]["total"] == 0.049


def test_words_are_included_on_request(ada: TestClient) -> None:
    call = ada.get(f"/api/v1/calls/{DONE}?words=true").json()
    assert call["turns"][0]["words"] == [
        {"text": "good", "start_ms": 900, "end_ms": 1200, "confidence": 0.91}
    ]


def test_a_live_call_has_its_finals_and_no_cost(ada: TestClient) -> None:
    call = ada.get(f"/api/v1/calls/{LIVE}").json()
    assert (call["state"], call["duration_ms"], call["cost"], call["verdict"]) == ("live", None, None, None)
    assert call["turns"] == []
    assert len(call["live_turns"]) == 3


def test_carrier_error_code_is_reported(ada: TestClient) -> None:
    call = ada.get(f"/api/v1/calls/{ABSENT}").json()
    assert call["recording"]["state"] == "absent"
    assert call["recording"]["error_code"] == 16101
    assert call["reasons"][0]["code"] == "cloud_absent"


def test_errors_have_one_shape(ada: TestClient) -> None:
    for path, status, code in (
        ("/api/v1/calls/ffffffffffff", 404, "not_found"),
        ("/api/v1/nothing", 404, "not_found"),
        ("/api/v1/calls?limit=0", 422, None),
        ("/api/v1/calls?before=yesterday", 422, None),
    ):
        answer = ada.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == status
        error = answer.json()["error"]
        assert set(error) == {"code", "message"}
        assert code is None or error["code"] == code
    assert ada.delete("/api/v1/calls").json()["error"]["code"] == "method_not_allowed"


def test_health_needs_no_sign_in_and_reveals_nothing(stranger: TestClient, place: Seed) -> None:
    assert stranger.get("/health").json() == {"status": "ok"}
