import asyncio
import json
from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import Message
from twilio.request_validator import RequestValidator

from callreel.cluster.group_commit import Written
from callreel.domain.events import LiveEvent
from callreel.domain.ids import CallId
from callreel.ingest.callback_intake import CallbackIntake
from callreel.ingest.voice_request import VoiceRequestHandler
from callreel.runtime.counters import Counters
from callreel.simulator.calls.twiml_reader import read_twiml
from callreel.simulator.calls.twiml_script import Dial, DialNumber, Say
from callreel.web.app import WebContext, WebOptions, create_app
from callreel.web.carrier import webhooks
from callreel.web.carrier.webhooks import MAX_FORM_BYTES, CarrierServices
from tests.support.installation import answering, leg
from tests.web.carrier_side import (
    AUTH_TOKEN,
    CALLBACKS,
    KEY_SID,
    LEG,
    PUBLIC,
    ROUTES,
    STREAM,
    VOICE,
    CarrierSide,
    carrier_side,
    consenting,
    signature_check,
    signed,
    signed_with_shared_key,
    stored,
)

CALL = CallId("000000000001")


@pytest.fixture
def side() -> Iterator[CarrierSide]:
    with carrier_side() as made:
        yield made


@pytest.fixture
def called(side: CarrierSide) -> CarrierSide:
    """After the voice request of a call."""
    assert side.post("/twilio/voice", VOICE)[0] == 200
    return side


# Valid requests


def test_voice_request_is_answered_with_twiml(side: CarrierSide) -> None:
    answer = side.client.post("/twilio/voice", data=VOICE, headers=signed("/twilio/voice", VOICE))
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/xml")
    (dial,) = (verb for verb in read_twiml(answer.text).verbs if isinstance(verb, Dial))
    (target,) = dial.targets
    assert isinstance(target, DialNumber) and target.number == "+12125550123"
    assert side.installation.call(CALL).agent == "ada"


def test_forbidden_number_is_refused_in_twiml(side: CarrierSide) -> None:
    status, text = side.post("/twilio/voice", {**VOICE, "To": "+19005550123"})
    assert status == 200 and isinstance(read_twiml(text).verbs[0], Say)
    assert stored(side) == {}


@pytest.mark.parametrize("path", CALLBACKS)
def test_callback_gets_204_and_a_repeat_too(called: CarrierSide, path: str) -> None:
    assert called.post(path, CALLBACKS[path]) == (204, "")
    rows = stored(called)
    assert called.post(path, CALLBACKS[path]) == (204, "")
    assert stored(called) == rows and rows["callbacks"] == 1
    assert called.counters.snapshot() == {"callbacks_taken": 2}
    set_off = (len(called.woken), called.streams, called.legs)
    assert (
        set_off
        == {
            "/twilio/recording-status": (1, [], []),
            "/twilio/stream-status": (0, [STREAM["StreamSid"]], []),
            "/twilio/call-status": (0, [], [CALL]),
        }[path]
    )


@pytest.mark.parametrize("path", CALLBACKS)
def test_callback_of_an_unknown_call_is_accepted(side: CarrierSide, path: str) -> None:
    assert side.post(path, CALLBACKS[path]) == (204, "")
    assert (side.woken, side.legs) == ([], [])


@pytest.mark.parametrize("path", ROUTES)
def test_shared_key_with_sha256_is_accepted(called: CarrierSide, path: str) -> None:
    form = ROUTES[path]
    status, _ = called.post(path, form, signed_with_shared_key(path, form))
    assert status in (200, 204)


def test_signature_of_the_official_library_is_accepted(side: CarrierSide) -> None:
    """Independent of our own signing; empty fields are signed too."""
    form = {**VOICE, "CallerName": "", "FromCity": "", "Digits": ""}
    signature = RequestValidator(AUTH_TOKEN).compute_signature(f"{PUBLIC}/twilio/voice", form)
    status, _ = side.post("/twilio/voice", form, {"X-Twilio-Signature": signature})
    assert status == 200


def test_empty_fields_are_part_of_what_is_signed(side: CarrierSide) -> None:
    with_empty = {**VOICE, "CallerName": ""}
    assert side.post("/twilio/voice", with_empty)[0] == 200
    assert side.post("/twilio/voice", with_empty, signed("/twilio/voice", {**with_empty, "X": ""}))[0] == 403


def test_signature_covers_the_query_string(called: CarrierSide) -> None:
    path = "/twilio/call-status?from=here&empty="
    assert called.post(path, LEG)[0] == 204
    assert called.post(path, LEG, signed("/twilio/call-status", LEG))[0] == 403


def test_special_characters_in_fields_are_preserved(side: CarrierSide) -> None:
    form = {**VOICE, "From": "client:ada lovelace+1&co=ü", "Note": "50%=a+b"}
    assert side.post("/twilio/voice", form)[0] == 200
    assert side.installation.call(CALL).agent == "ada lovelace+1&co=ü"


# Requests of others


FORGED = {
    "missing": {},
    "empty": {"X-Twilio-Signature": ""},
    "nonsense": {"X-Twilio-Signature": "nonsense"},
}


@pytest.mark.parametrize(
    "how", [*FORGED, "another secret", "another path", "another field", "unknown key", "sha1 as sha256"]
)
def test_request_with_an_invalid_signature_gets_403_and_is_counted(
    side: CarrierSide, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    for path, form in ROUTES.items():
        headers = forged(how, path, form)
        assert side.post(path, form, headers) == (
            403,
            '{"error":{"code":"forbidden","message":"The signature is missing or wrong."}}',
        )
    assert stored(side) == {}
    assert side.counters.snapshot() == {"webhooks_refused": len(ROUTES)}
    assert "+12125550123" not in caplog.text and caplog.text.count("webhook refused path=") == len(ROUTES)


def test_refused_caller_on_this_machine_gets_the_reason_and_the_address(side: CarrierSide) -> None:
    local = TestClient(side.client.app, client=("127.0.0.1", 50_000))
    message = local.post("/twilio/voice", data=dict(VOICE)).json()["error"]["message"]
    assert "X-Twilio-Signature is missing" in message and f"{PUBLIC}/twilio/voice" in message
    assert "callreel doctor" in message and VOICE["To"] not in message


def forged(how: str, path: str, form: Mapping[str, str]) -> Mapping[str, str]:
    by_sha256 = {"X-Twilio-Webhooks-Signature-Settings": f"key={KEY_SID},algorithm=HMAC-SHA256"}
    other_key = {"X-Twilio-Webhooks-Signature-Settings": "key=other,algorithm=HMAC-SHA256"}
    ways: dict[str, Mapping[str, str]] = {
        **FORGED,
        "another secret": signed(path, form, "guess"),
        "another path": signed("/twilio/other", form),
        "another field": signed(path, {**form, "CallSid": leg(2)}),
        "unknown key": {**signed_with_shared_key(path, form), **other_key},
        "sha1 as sha256": {**signed(path, form), **by_sha256},
    }
    return ways[how]


def test_host_header_is_ignored_in_signatures(side: CarrierSide) -> None:
    headers = {**signed("/twilio/voice", VOICE), "Host": "elsewhere.example", "X-Forwarded-Proto": "http"}
    assert side.post("/twilio/voice", VOICE, headers)[0] == 200


def test_only_posts_are_answered(side: CarrierSide) -> None:
    for path in ROUTES:
        assert side.client.get(path).status_code == 405


# Requests that cannot be read


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("damage", ["CallSid", "AccountSid", "everything"])
def test_signed_form_without_a_required_field_gets_400(side: CarrierSide, path: str, damage: str) -> None:
    form = {name: value for name, value in ROUTES[path].items() if damage not in (name, "everything")}
    status, text = side.post(path, form)
    assert status == 400 and json.loads(text)["error"]["code"] == "bad_request"
    assert "no " in text and stored(side) == {}


@pytest.mark.parametrize("path", ROUTES)
def test_signed_form_with_an_invalid_id_gets_400(side: CarrierSide, path: str) -> None:
    status, text = side.post(path, {**ROUTES[path], "CallSid": "../../etc/passwd"})
    assert status == 400 and "Expected an id of the carrier in CallSid" in text and "passwd" not in text
    assert stored(side) == {}


@pytest.mark.parametrize("body", [b"\xff\xfe=1", b"no form at all", b"&&&", b"a=1&b"])
def test_body_that_is_no_form_is_refused(side: CarrierSide, body: bytes) -> None:
    for path in ROUTES:
        status, _ = side.post_bytes(path, body, signed(path, {}))
        assert status in (400, 403)
    assert stored(side) == {}


@pytest.mark.parametrize("path", ROUTES)
def test_body_that_is_too_large_gets_413(side: CarrierSide, path: str) -> None:
    form = {**ROUTES[path], "More": "x" * MAX_FORM_BYTES}
    status, text = side.post(path, form)
    assert (status, json.loads(text)["error"]) == (
        413,
        {"code": "too_large", "message": f"A form has at most {MAX_FORM_BYTES} bytes."},
    )
    assert stored(side) == {}


def test_largest_body_is_taken(called: CarrierSide) -> None:
    padding = MAX_FORM_BYTES - len(urlencode({**LEG, "More": ""}))
    assert called.post("/twilio/call-status", {**LEG, "More": "x" * padding})[0] == 204


def test_endless_body_is_not_read_to_its_end(side: CarrierSide) -> None:
    """The signature of its sender is not verified yet."""
    pieces, sent = [b"x" * 10_000] * 1_000, list[Message]()

    async def receive() -> Message:
        return {"type": "http.request", "body": pieces.pop(), "more_body": bool(pieces)}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/twilio/voice", "raw_path": b"/twilio/voice", "query_string": b"",
        "headers": [], "http_version": "1.1", "scheme": "https", "server": ("calls.example", 443), "root_path": "",
    }  # fmt: skip
    asyncio.run(side.client.app(scope, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 413
    assert len(pieces) > 990


# Internal failures


def test_internal_failure_answers_500_so_that_the_carrier_retries(side: CarrierSide) -> None:
    """A callback that cannot be stored is not acknowledged."""

    class Full(CallbackIntake):
        def call(self, conn: object, progress: object, form: object) -> Written:
            raise OSError("no space left on device")

    app = FastAPI()
    installation = side.installation
    intake = Full(
        installation.clock,
        recording_changed=lambda: None, leg_ended=lambda call_id: None, stream_ended=lambda sid: None,
    )  # fmt: skip
    service: VoiceRequestHandler = answering(installation)
    app.state.carrier = CarrierServices(
        signature_check(), PUBLIC, service, consenting(installation), intake, installation.commits, Counters()
    )
    app.include_router(webhooks.routes)
    client = TestClient(app, raise_server_exceptions=False)
    answer = client.post("/twilio/call-status", data=LEG, headers=signed("/twilio/call-status", LEG))
    assert answer.status_code == 500 and "space" not in answer.text


def test_carrier_routes_need_no_sign_in(side: CarrierSide) -> None:
    installation = side.installation
    intake = CallbackIntake(
        installation.clock,
        recording_changed=lambda: None, leg_ended=lambda call_id: None, stream_ended=lambda sid: None,
    )  # fmt: skip
    carrier = CarrierServices(
        signature_check(),
        PUBLIC,
        answering(installation),
        consenting(installation),
        intake,
        installation.commits,
        Counters(),
    )
    app = create_app(
        WebContext(installation.database, installation.blobs, installation.bus, WebOptions()), carrier
    )
    client = TestClient(app, base_url="http://10.0.0.1")
    for path, form in ROUTES.items():
        assert client.post(path, data=form, headers=signed(path, form)).status_code in (200, 204)
        assert client.post(path, data=form).status_code == 403
    events: list[LiveEvent] = installation.published
    assert events[0].call_id == CALL
