import logging
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from callreel.carrier.twiml_reader import read_twiml
from callreel.carrier.twiml_script import (
    Callback,
    Dial,
    DialClient,
    DialNumber,
    Hangup,
    Say,
    StartRecording,
    StartStream,
)
from callreel.carrier.webhook_forms import voice_form
from callreel.carrier.webhooks import parse_voice
from callreel.domain.call import CallState, Direction, Role
from callreel.domain.events import EventKind
from callreel.domain.ids import CallId
from callreel.services.secret_tokens import token_hash
from callreel.store import calls, legs, tokens
from callreel.store.legs import LegRow
from callreel.store.tables import calls as call_table
from callreel.store.tables import legs as leg_table
from callreel.store.tables import media_tokens
from tests.services.ground import (
    ACCOUNT,
    NOON,
    Ground,
    a_call,
    answer_options,
    answering,
    leg,
    token_in,
    voice_request,
)

PROGRESS = ("initiated", "ringing", "answered", "completed")
STREAM = StartStream(
    url="wss://calls.example/twilio/media-stream",
    track="both_tracks",
    name=None,
    callback=Callback("https://calls.example/twilio/stream-status#rc=5&rp=all", "POST"),
    parameters={"token": "token-1"},
)
RECORDING = StartRecording(
    channels="dual",
    track="both",
    trim="do-not-trim",
    name=None,
    callback=Callback(
        "https://calls.example/twilio/recording-status#rc=5&rp=all",
        "POST",
        ("in-progress", "completed", "absent"),
    ),
)
PARTY = Callback("https://calls.example/twilio/call-status#rc=5&rp=all", "POST", PROGRESS)


def rows(ground: Ground) -> tuple[int, int, int]:
    """How many calls, legs and tokens there are."""
    with ground.database.read() as conn:
        counts = [
            conn.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (call_table, leg_table, media_tokens)
        ]
    return counts[0], counts[1], counts[2]


def test_outgoing_call_is_streamed_recorded_and_dialled(ground: Ground) -> None:
    script = read_twiml(answering(ground).answer(voice_request(to="(212) 555-0123")))
    assert script.warnings == ()
    assert script.verbs == (
        STREAM,
        RECORDING,
        Dial(
            targets=(DialNumber("+12125550123", PARTY),),
            caller_id="+12125550100",
            action=None,
            method="POST",
            timeout_s=30,
            answer_on_bridge=True,
        ),
    )


def test_outgoing_call_is_kept(ground: Ground) -> None:
    answering(ground).answer(voice_request())
    with ground.database.read() as conn:
        call = calls.by_leg(conn, leg(1))
        kept = legs.of_call(conn, CallId("000000000001"))
    assert call is not None
    assert (call.id, call.direction, call.state) == ("000000000001", Direction.OUTGOING, CallState.LIVE)
    assert (call.agent, call.remote_number) == ("ada", "+12125550123")
    assert (call.inbound_role, call.created_at, call.answered_at) == (Role.AGENT, NOON, None)
    assert kept == [LegRow(leg(1), call.id, Role.AGENT, "ringing")]
    (told,) = ground.heard
    assert (told.kind, told.data) == (EventKind.CALL, {"state": "live", "direction": "outgoing"})
    assert ground.stored_events() == [told]


def test_token_is_kept_as_a_digest_and_admits_this_leg_alone(ground: Ground) -> None:
    token = token_in(answering(ground).answer(voice_request()))
    with ground.database.write() as conn:
        stored = conn.execute(select(media_tokens.c.token_hash)).scalar_one()
        assert stored == token_hash(token) != token
        assert tokens.spend(conn, stored, leg(2), ground.clock.now()) is None
        assert tokens.spend(conn, stored, leg(1), ground.clock.now()) == "000000000001"


def test_token_expires(ground: Ground) -> None:
    token = token_in(answering(ground, token_ttl_s=300).answer(voice_request()))
    ground.clock.step(300)
    with ground.database.write() as conn:
        assert tokens.spend(conn, token_hash(token), leg(1), ground.clock.now()) is None


def test_agent_is_who_the_signed_field_says(ground: Ground) -> None:
    form = voice_form(
        leg_sid=leg(1),
        account_sid=ACCOUNT,
        from_="client:ada",
        to="+12125550123",
        parameters={"agent": "mallory", "Caller": "client:mallory", "identity": "mallory"},
    )
    answering(ground).answer(parse_voice(form))
    assert ground.call(CallId("000000000001")).agent == "ada"


def test_incoming_call_rings_the_agents_client(ground: Ground) -> None:
    script = read_twiml(answering(ground).answer(voice_request(from_="+4989123456", to="+12125550100")))
    assert script.warnings == ()
    assert script.verbs == (
        STREAM,
        RECORDING,
        Dial((DialClient("desk", PARTY),), None, None, "POST", 30, True),
    )
    call = ground.call(CallId("000000000001"))
    assert (call.direction, call.agent, call.remote_number) == (Direction.INCOMING, "desk", "+4989123456")
    assert call.inbound_role is Role.TECHNICIAN
    with ground.database.read() as conn:
        assert legs.of_call(conn, call.id) == [LegRow(leg(1), call.id, Role.TECHNICIAN, "ringing")]


@pytest.mark.parametrize(
    ("from_", "swapped", "inbound"),
    [
        ("client:ada", False, Role.AGENT),
        ("client:ada", True, Role.TECHNICIAN),
        ("+4989123456", False, Role.TECHNICIAN),
        ("+4989123456", True, Role.AGENT),
    ],
)
def test_who_is_inbound(ground: Ground, from_: str, swapped: bool, inbound: Role) -> None:
    answering(ground, swap_tracks=swapped).answer(voice_request(from_=from_))
    assert ground.call(CallId("000000000001")).inbound_role is inbound


def test_repeated_request_makes_no_second_call_but_a_fresh_token(ground: Ground) -> None:
    service = answering(ground)
    first, second = (token_in(service.answer(voice_request())) for _ in range(2))
    assert (first, second) == ("token-1", "token-2")
    assert rows(ground) == (1, 1, 2)
    assert len(ground.stored_events()) == 1, "a repeat is no news"
    with ground.database.write() as conn:
        now = ground.clock.now()
        assert tokens.spend(conn, token_hash(first), leg(1), now) == "000000000001"
        assert tokens.spend(conn, token_hash(second), leg(1), now) == "000000000001"


def test_another_leg_is_another_call(ground: Ground) -> None:
    service = answering(ground)
    for number in (1, 2):
        service.answer(voice_request(number))
    assert rows(ground) == (2, 2, 2)


@pytest.mark.parametrize(
    "number",
    ["+19005550123", "+441632960961", "+881612345678", "911", "112", "no number", "", "+1", "+12125550123,9"],
)
def test_number_that_may_not_be_called(ground: Ground, number: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        script = read_twiml(answering(ground).answer(voice_request(to=number)))
    say, hangup = script.verbs
    assert isinstance(say, Say) and say.text.startswith("This call cannot be placed.")
    assert hangup == Hangup()
    assert rows(ground) == (0, 0, 0)
    (line,) = caplog.records
    assert line.getMessage().startswith("call refused: ")
    shown = f"{line.getMessage()} {line.__dict__['number']} {say.text}"
    assert not number.startswith("+") or len(number) < 5 or number not in shown


def test_without_a_caller_id_nobody_can_be_called(ground: Ground, caplog: pytest.LogCaptureFixture) -> None:
    script = read_twiml(answering(ground, caller_id="").answer(voice_request()))
    assert script.verbs == (Say("This call cannot be placed. No caller ID is set up here."), Hangup())
    assert rows(ground) == (0, 0, 0)
    assert "No caller ID" in caplog.text and "+12125550123" not in caplog.text


def test_browser_without_an_identity_is_refused(ground: Ground) -> None:
    script = read_twiml(answering(ground).answer(voice_request(from_="client:")))
    assert script.verbs == (Say("This call cannot be placed. The call names no agent."), Hangup())
    assert rows(ground) == (0, 0, 0)


def test_a_call_is_heard_in_the_language_that_its_page_asks_for_or_refused(ground: Ground) -> None:
    hears = {"", "de"}
    service = answering(ground)
    service._hears = hears.__contains__
    script = read_twiml(service.answer(replace(voice_request(), parameters={"Language": "cy"})))
    assert script.verbs == (Say("This call cannot be placed. No engine here hears Welsh."), Hangup())
    assert rows(ground) == (0, 0, 0)
    service.answer(replace(voice_request(), parameters={"Language": "de"}))
    with ground.database.read() as conn:
        (row,) = calls.latest(conn)
    assert row.language == "de"


def test_recording_can_be_switched_off(ground: Ground) -> None:
    script = read_twiml(answering(ground, record=False).answer(voice_request()))
    assert [type(verb) for verb in script.verbs] == [StartStream, Dial]


def test_settings_reach_the_document(ground: Ground) -> None:
    script = read_twiml(
        answering(
            ground,
            stream_track="inbound_track",
            recording_channels="mono",
            recording_track="outbound",
            recording_trim="trim-silence",
            recording_events=("completed",),
            callback_retries=2,
            callback_retry_policy="ct,5xx",
            answer_on_bridge=False,
        ).answer(voice_request())
    )
    stream, recording, dial = script.verbs
    assert isinstance(stream, StartStream) and isinstance(dial, Dial)
    assert stream.track == "inbound_track" and not dial.answer_on_bridge
    assert RECORDING.callback is not None
    wanted = replace(
        RECORDING.callback,
        url="https://calls.example/twilio/recording-status#rc=2&rp=ct,5xx",
        events=("completed",),
    )
    assert recording == StartRecording("mono", "outbound", "trim-silence", None, wanted)


def test_failure_within_leaves_nothing(ground: Ground) -> None:
    """The token's row cannot be made, so there is no call either."""
    a_call(ground, 1)
    service = answering(ground)  # gives out token-1 once more
    before = rows(ground)
    with pytest.raises(Exception, match="(?i)unique"):
        service.answer(voice_request(2))
    assert rows(ground) == before
    assert len(ground.heard) == 1


def test_callback_addresses_carry_overrides() -> None:
    assert answer_options().callback("call-status") == "https://calls.example/twilio/call-status#rc=5&rp=all"
