"""A browser's signalling socket: captured messages, their states, and no message that raises."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.simulator.signalling import messages as messages
from callreel.simulator.signalling.session import (
    HEARTBEAT,
    HeartbeatEcho,
    ProtocolViolation,
    SessionState,
    SignallingSession,
    Unauthenticated,
    UnknownMessage,
)
from callreel.twilio.access_token import Grants, RefusalCode, Refused

CAPTURES = Path(__file__).parent / "captures" / "signalling"
GRANTS = Grants("ada", "AP1", True, datetime(2026, 11, 22, tzinfo=UTC))
CA, TJS = "CA" + "3c" * 16, "TJS0b6c7a52-51bd-4b1c-9d6a-6d1c3c2f9e11"
SDP = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
CASES = {
    record["case"]: json.dumps(record["message"])
    for record in map(json.loads, (CAPTURES / "browser.jsonl").read_text(encoding="utf-8").splitlines())
}
PARAMETERS = {"To": "+14155550123", "ticket": "42", "note": "a b&c", "empty": ""}
EVENTS: dict[str, type[messages.BrowserMessage]] = {
    "token-shown": messages.Listen,
    "registering": messages.Register,
    "call-wanted": messages.Invite,
    "call-wanted-without-parameters": messages.Invite,
    "call-resumed": messages.Invite,
    "call-accepted": messages.Answer,
    "restart-wanted": messages.Reinvite,
    "keys-pressed": messages.Dtmf,
    "message-sent": messages.UserMessage,
    "call-left": messages.Hangup,
    "call-left-with-a-reason": messages.Hangup,
    "call-declined": messages.Reject,
    "unregistering": messages.Register,
}
BAD = {
    "no_json": 1007,
    "no_type": None,
    "listen_without_token": None,
    "token_is_a_number": None,
    "invite_without_sdp": None,
    "a_list": None,
    "too_many_parameters": None,
}


def admitted() -> SignallingSession:
    session = SignallingSession()
    session.receive(CASES["token-shown"])
    session.admit(GRANTS, 600)
    return session


def sent(text: str) -> Any:
    return json.loads(text)


def test_every_capture_has_an_expectation() -> None:
    assert CASES.keys() == EVENTS.keys()
    assert {path.stem for path in (CAPTURES / "bad").iterdir()} == BAD.keys()


def payload(case: str) -> Any:
    event = admitted().receive(CASES[case])
    assert type(event) is EVENTS[case]
    return event.payload


def test_captured_messages_of_the_sdk() -> None:
    assert payload("token-shown").token == "a.b.c"
    assert payload("registering").media.audio and not payload("unregistering").media.audio
    call = payload("call-wanted")
    assert (call.callsid, call.sdp, call.reconnect, call.parameters) == (TJS, SDP, "", PARAMETERS)
    assert payload("call-wanted-without-parameters").parameters == {}
    resumed = payload("call-resumed")
    assert (resumed.callsid, resumed.reconnect) == (CA, "opaque")
    assert payload("call-accepted") == messages.SdpBody(CA, SDP)
    assert payload("restart-wanted") == messages.SdpBody(CA, SDP)
    assert payload("keys-pressed") == messages.DtmfBody(CA, "12#*9w3")
    sent_message = payload("message-sent")
    assert (sent_message.callsid, sent_message.voice_event_sid, sent_message.content) == (CA, "KX1", {"a": 1})
    assert payload("call-left").callsid == payload("call-declined").callsid == CA
    assert payload("call-left-with-a-reason").callsid == TJS


@pytest.mark.parametrize(
    "case", sorted(EVENTS.keys() - {"token-shown", "call-left", "call-left-with-a-reason"})
)
def test_messages_before_a_token_are_refused(case: str) -> None:
    event = SignallingSession().receive(CASES[case])
    assert isinstance(event, Unauthenticated) and event.code is RefusalCode.INVALID


def test_queued_hang_up_is_accepted_before_the_token() -> None:
    assert SignallingSession().receive(CASES["call-left"]) == messages.Hangup(messages.HangupBody(CA))


@pytest.mark.parametrize(("name", "close_code"), BAD.items())
def test_protocol_violations(name: str, close_code: int | None) -> None:
    session = admitted()
    event = session.receive((CAPTURES / "bad" / f"{name}.txt").read_text(encoding="utf-8"))
    assert isinstance(event, ProtocolViolation) and event.close_code == close_code
    assert (session.state is SessionState.CLOSED) is (close_code is not None)


def test_registration() -> None:
    session = SignallingSession()
    assert (session.state, session.grants) == (SessionState.AWAITING_TOKEN, None)
    session.receive(CASES["token-shown"])
    connected = sent(session.admit(GRANTS, 600))
    assert (connected["type"], connected["payload"]["token"]) == (
        "connected",
        {"identity": "ada", "ttl": 600},
    )
    assert (session.state, session.grants) == (SessionState.AUTHENTICATED, GRANTS)
    assert sent(session.ready()) == {"type": "ready", "version": "1.6", "payload": {}}
    states = [session.state]
    assert sent(session.offline())["type"] == "offline"
    assert [*states, session.state] == [SessionState.REGISTERED, SessionState.AUTHENTICATED]


def test_refused_token_does_not_authenticate() -> None:
    session = SignallingSession()
    session.receive(CASES["token-shown"])
    refused = sent(session.refuse(Refused(RefusalCode.EXPIRED, "it has expired")))
    assert refused["payload"] == {"error": {"code": 31205, "message": "it has expired"}}
    assert session.state is SessionState.AWAITING_TOKEN


def test_renewed_token_must_have_the_same_identity() -> None:
    session = admitted()
    later = Grants("ada", "AP1", True, datetime(2026, 11, 23, tzinfo=UTC))
    assert sent(session.admit(later, 600))["type"] == "connected"
    stranger = Grants("eve", "AP1", True, datetime(2026, 11, 23, tzinfo=UTC))
    assert sent(session.admit(stranger, 600))["payload"]["error"]["code"] == 31204
    assert session.grants == later


def test_heartbeats_unknown_types_and_sizes() -> None:
    session = SignallingSession(max_message_bytes=100)
    assert session.receive(HEARTBEAT) == HeartbeatEcho()
    assert session.receive('{"type": "presence", "payload": {}}') == UnknownMessage("presence")
    assert session.receive("\ud800") == ProtocolViolation("a message is not UTF-8", 1007)
    session = SignallingSession(max_message_bytes=100)
    assert session.receive("x" * 101) == ProtocolViolation("a message exceeds 100 bytes", 1009)
    assert session.receive(CASES["registering"]) == ProtocolViolation("register while closed", None)


def test_closed_session_ignores_messages() -> None:
    session = admitted()
    session.close()
    assert isinstance(session.receive(CASES["call-wanted"]), ProtocolViolation)


@pytest.mark.parametrize("line", (CAPTURES / "carrier.jsonl").read_text(encoding="utf-8").splitlines())
def test_carrier_messages_round_trip(line: str) -> None:
    assert (
        sent(messages.encode(messages.decode_carrier(line)))["payload"].items()
        <= sent(line)["payload"].items()
    )
    assert sent(messages.encode(messages.decode_carrier(line)))["type"] == sent(line)["type"]


@given(st.text() | st.binary())
def test_no_message_raises(text: str | bytes) -> None:
    assert isinstance(
        SignallingSession().receive(text),
        ProtocolViolation
        | HeartbeatEcho
        | UnknownMessage
        | messages.Listen
        | messages.Hangup
        | Unauthenticated,
    )
