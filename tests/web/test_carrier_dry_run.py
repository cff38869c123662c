"""Unsigned requests from this machine: dry runs in demo mode, refused in production and through a tunnel."""

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from tests.web.carrier_side import CALLBACKS, CarrierSide, carrier_side, stored

HERE = ("127.0.0.1", 50_000)
VOICE = b"To=+12125550123&From=client:ada"
RECORDING = (
    b"RecordingSid=RE00000000000000000000000000000007&CallSid=CA00000000000000000000000000000007"
    b"&RecordingStatus=completed&RecordingDuration=41&RecordingChannels=2&RecordingTrack=both"
    b"&RecordingUrl=https://api.twilio.com/x"
)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def side(caplog: pytest.LogCaptureFixture) -> Iterator[CarrierSide]:
    caplog.set_level(logging.INFO)
    with carrier_side() as made:
        state = made.client.app.state  # type: ignore[attr-defined]
        state.carrier = replace(state.carrier, dry_runs=True)
        yield made


def curl(side: CarrierSide, path: str, body: bytes, **headers: str) -> tuple[int, str]:
    """What `curl -X POST -d BODY` on this machine sends."""
    client = TestClient(side.client.app, base_url="http://localhost:8000", client=HERE)
    answer = client.post(path, content=body, headers=FORM | headers)
    return answer.status_code, answer.text


def test_voice_dry_run_prints_the_twiml_and_stores_nothing(
    side: CarrierSide, caplog: pytest.LogCaptureFixture
) -> None:
    status, twiml = curl(side, "/twilio/voice", VOICE)
    assert status == 200
    for part in ("<Recording ", 'channels="dual"', "<Stream ", ">+12125550123</Number>"):
        assert part in twiml
    status, incoming = curl(side, "/twilio/voice", b"To=+15551234567&From=+12125550123")
    assert (status, "<Recording " in incoming, "<Client " in incoming) == (200, True, True)
    assert stored(side) == {}
    assert caplog.text.count("dry run: TwiML generated, no call stored") == 2
    assert "5550123" not in caplog.text


def test_callback_dry_run_is_logged_and_stores_nothing(
    side: CarrierSide, caplog: pytest.LogCaptureFixture
) -> None:
    assert curl(side, "/twilio/recording-status", RECORDING) == (204, "")
    [record] = [each for each in caplog.records if "recording callback" in each.getMessage()]
    assert record.getMessage() == "dry run: recording callback not stored"
    fields = vars(record)
    assert (fields["recording_sid"], fields["duration_s"], fields["channels"]) == (
        "RE" + "0" * 31 + "7",
        41,
        2,
    )
    assert (fields["track"], fields["url"]) == ("both", "https://api.twilio.com/x")
    for path in CALLBACKS:
        assert curl(side, path, b"CallSid=CA1")[0] == 204
    assert (stored(side), side.woken, side.legs, side.streams) == ({}, [], [], [])


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Twilio-Signature": "wrong"},
        {"X-Forwarded-For": "203.0.113.7"},
        {"Forwarded": "for=203.0.113.7"},
        {"Host": "tunnel.example.com"},
        {"Origin": "https://elsewhere.example.com"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_request_that_is_not_of_this_machine_is_refused(side: CarrierSide, headers: dict[str, str]) -> None:
    assert curl(side, "/twilio/voice", VOICE, **headers)[0] == 403
    assert curl(side, "/twilio/recording-status", RECORDING, **headers)[0] == 403


def test_client_elsewhere_is_refused(side: CarrierSide) -> None:
    client = TestClient(side.client.app, base_url="http://localhost:8000", client=("203.0.113.7", 1))
    assert client.post("/twilio/voice", content=VOICE, headers=FORM).status_code == 403


def test_production_refuses_dry_runs(side: CarrierSide) -> None:
    state = side.client.app.state  # type: ignore[attr-defined]
    state.carrier = replace(state.carrier, dry_runs=False)
    assert curl(side, "/twilio/voice", VOICE)[0] == 403
    assert curl(side, "/twilio/recording-status", RECORDING)[0] == 403


def test_consent_routes_have_no_dry_run(side: CarrierSide) -> None:
    assert curl(side, "/twilio/consent/answer", b"CallSid=CA1&Digits=1")[0] == 403
