"""The messages of a call to its browser: valid sequences, and None for invalid ones."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.ids import LegSid
from callreel.simulator.signalling.signalled_call import (
    CallStage,
    SignalledCall,
    Transition,
    refused_call,
    unknown_call,
)

CA = LegSid("CA" + "1" * 32)


def wanted() -> SignalledCall:
    return SignalledCall(CA, "opaque", "TJS1")


def offered() -> SignalledCall:
    return SignalledCall(CA, "opaque")


def body(message: str | None) -> tuple[str, Any]:
    assert message is not None
    read = json.loads(message)
    return read["type"], read["payload"]


def test_call_rings_and_is_answered() -> None:
    call = wanted()
    assert body(call.ringing("sdp")) == ("ringing", {"callsid": CA, "sdp": "sdp"})
    assert body(call.answered("sdp")) == ("answer", {"callsid": CA, "reconnect": "opaque"})
    assert body(call.acknowledged("KX1"))[1]["voiceeventsid"] == "KX1"
    assert body(call.ended()) == ("hangup", {"callsid": CA})
    assert call.stage is CallStage.OVER


def test_answer_without_ringing_contains_the_sdp() -> None:
    assert body(wanted().answered("sdp"))[1]["sdp"] == "sdp"


def test_temporary_id_is_used_until_the_real_one_is_sent() -> None:
    call = wanted()
    assert body(call.ended(31002, "no")) == (
        "hangup",
        {"callsid": "TJS1", "error": {"code": 31002, "message": "no"}},
    )
    assert call.sids == (CA, "TJS1")


def test_offer_is_cancelled_and_accepted_call_is_hung_up() -> None:
    call = offered()
    assert body(call.offer("sdp", {"From": "x"}))[0] == "invite"
    assert body(call.ended()) == ("cancel", {"callsid": CA})
    call = offered()
    assert call.apply(Transition.ACCEPT)
    assert body(call.ended())[0] == "hangup"
    assert call.sids == (CA,)


def test_resume_returns_the_state_of_the_call() -> None:
    call = wanted()
    call.answered("sdp")
    assert call.resumed("another") is None
    assert body(call.resumed("opaque")) == ("answer", {"callsid": CA, "reconnect": "opaque"})
    call.apply(Transition.HANG_UP)
    assert body(call.resumed("opaque")) == ("hangup", {"callsid": CA})


def test_unknown_and_refused_calls() -> None:
    assert body(unknown_call("CA9"))[1]["error"]["code"] == 31404
    assert body(refused_call("TJS9", 31205, "late")) == (
        "hangup",
        {"callsid": "TJS9", "error": {"code": 31205, "message": "late"}},
    )


@pytest.mark.parametrize("make", [wanted, offered])
def test_ended_call_sends_nothing(make: Any) -> None:
    call = make()
    assert call.apply(Transition.HANG_UP)
    assert [call.ringing(""), call.answered(""), call.ended(), call.acknowledged("")] == [None] * 4
    assert not any(call.apply(move) for move in Transition)


@given(st.booleans(), st.lists(st.sampled_from(Transition), max_size=30))
def test_call_is_answered_once_and_ends_once(out: bool, moves: list[Transition]) -> None:
    call = wanted() if out else offered()
    stages = [call.stage] + [call.stage for move in moves if call.apply(move)]
    opened = [stage for before, stage in zip(stages, stages[1:], strict=False) if before is not stage]
    assert opened.count(CallStage.OPEN) <= 1 and opened.count(CallStage.OVER) <= 1
    assert CallStage.OVER not in stages[:-1]
