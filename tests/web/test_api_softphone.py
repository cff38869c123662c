"""The softphone's API: missing settings, personal tokens, typed numbers, technicians."""

import jwt
import pytest
from fastapi.testclient import TestClient

from callreel.twilio.dial_policy import DialPolicy
from callreel.web.app import WebOptions
from callreel.web.options import SoftphoneOptions
from tests.support.seed import NUMBER, Seed
from tests.web.conftest import As, MakeApp, enter

READY = SoftphoneOptions(
    account_sid="AC" + "1" * 32,
    api_key_sid="SK" + "2" * 32,
    api_key_secret="a secret that is long enough to sign",
    application_sid="AP" + "3" * 32,
    caller_id="+12125550100",
)


@pytest.fixture
def ready(make_app: MakeApp, place: Seed) -> TestClient:
    """Zoe's browser where calls can be placed."""
    options = WebOptions(softphone=READY, dial_policy=DialPolicy.for_caller_id("+12125550100"))
    return enter(TestClient(make_app(options), base_url="https://calls.example"), place, "zoe")


def test_missing_settings_are_described(ada: TestClient) -> None:
    state = ada.get("/api/v1/softphone").json()
    assert state["ready"] is False
    assert len(state["missing"]) == 5
    assert state["missing"][0] == "TWILIO_ACCOUNT_SID, the carrier account"
    refused = ada.post("/api/v1/softphone/token")
    assert refused.status_code == 409
    assert "TWILIO_API_KEY_SID" in refused.json()["error"]["message"]


@pytest.mark.parametrize("name", ["zoe", "sam"])
def test_missing_settings_are_named_to_administrators_only(signed_in: As, name: str) -> None:
    browser = signed_in(name)
    answers = [browser.get("/api/v1/softphone"), browser.post("/api/v1/softphone/token")]
    assert [answer.status_code for answer in answers] == [200, 409]
    assert answers[0].json()["ready"] is False and answers[0].json()["missing"] == []
    assert not any("TWILIO" in answer.text for answer in answers)


def test_access_token_is_personal_and_short_lived(ready: TestClient) -> None:
    assert ready.get("/api/v1/softphone").json() == {
        "ready": True,
        "missing": [],
        "identity": "zoe",
        "local": None,
        "may_skip_recording": True,
    }
    answer = ready.post("/api/v1/softphone/token", json={"identity": "ada"})
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    claims = jwt.decode(
        body["token"], READY.api_key_secret, algorithms=["HS256"], options={"verify_nbf": False}
    )
    assert claims["grants"]["identity"] == body["identity"] == "zoe"
    assert claims["exp"] - claims["nbf"] == body["ttl_s"] == 600
    assert READY.api_key_secret not in answer.text


def test_demo_softphone_names_the_local_signalling_host(make_app: MakeApp) -> None:
    phone = SoftphoneOptions(
        **{**{name: getattr(READY, name) for name in READY.__slots__}, "local_signal": "127.0.0.1:9"}
    )
    demo = TestClient(make_app(WebOptions(demo=True, softphone=phone)), base_url="http://localhost")
    state = demo.get("/api/v1/softphone").json()
    assert state["local"] == {"signal_host": "127.0.0.1:9", "sounds": "/static/sounds/"}
    assert state["identity"] == "agent"


@pytest.mark.parametrize(
    ("raw", "e164"),
    [("(212) 555-0123", "+12125550123"), ("+1 212 555 0123", "+12125550123"), ("911", None), ("+4930123456", None),
     ("hello", None), ("", None)],
)  # fmt: skip
def test_number_check_uses_the_dial_policy(ready: TestClient, raw: str, e164: str | None) -> None:
    body = ready.post("/api/v1/numbers", json={"raw": raw}).json()
    assert (body["valid"], body["e164"]) == (e164 is not None, e164)
    assert (body["international"] is None) == (e164 is None)
    assert bool(body["reason"]) == (e164 is None)


def test_technicians_are_listed_with_recent_numbers(signed_in: As) -> None:
    sam, maria, zoe = (signed_in(name) for name in ("sam", "maria", "zoe"))
    made = sam.post("/api/v1/technicians", json={"name": "Roof unit", "number": "212-555-0123"})
    assert made.status_code == 201
    technician = made.json()
    assert technician["number"] == NUMBER
    body = maria.get("/api/v1/technicians").json()
    assert body["named"] == [technician]
    assert [(row["number"], row["name"]) for row in body["recent"]] == [(NUMBER, "Roof unit")]
    assert zoe.get("/api/v1/technicians").json()["recent"] == []
    path = f"/api/v1/technicians/{technician['id']}"
    assert sam.patch(path, json={"name": "Cellar"}).json() == {**technician, "name": "Cellar"}
    assert sam.post("/api/v1/technicians", json={"name": "Other", "number": NUMBER}).status_code == 409
    assert sam.post("/api/v1/technicians", json={"name": "Police", "number": "911"}).status_code == 422
    assert sam.patch(path, json={"number": "+99"}).status_code == 422
    assert sam.patch("/api/v1/technicians/99", json={"name": "x"}).status_code == 404
    assert sam.delete(path).status_code == 204
    assert sam.delete(path).status_code == 404
