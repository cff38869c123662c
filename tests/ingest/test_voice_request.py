import logging
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from callreel.domain.call import CallState, Direction, Role
from callreel.domain.events import EventKind
from callreel.domain.ids import CallId
from callreel.runtime.secret_tokens import token_hash
from callreel.simulator.calls.twiml_reader import read_twiml
from callreel.simulator.calls.twiml_script import (
    Callback,
    Dial,
    DialClient,
    DialNumber,
    Hangup,
    Say,
    StartRecording,
    StartStream,
)
from callreel.simulator.calls.webhook_forms import voice_form
from callreel.store.calls import calls, legs, stream_tokens
from callreel.store.calls.legs import LegRow
from callreel.store.db.tables import calls as call_table
from callreel.store.db.tables import legs as leg_table
from callreel.store.db.tables import media_tokens
from callreel.twilio.webhooks import parse_voice
from tests.support.installation import (
    ACCOUNT,
    NOON,
    Installation,
    a_call,
    answer_options,
    answering,
    leg,
    token_in,
    voice_request,
)
from tests.support.rows import all_calls

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


def rows(installation: Installation) -> tuple[int, int, int]:
    """How many calls, legs and tokens there are."""
    with installation.database.read() as conn:
        counts = [
            conn.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (call_table, leg_table, media_tokens)
        ]
    return counts[0], counts[1], counts[2]


def test_outgoing_call_is_streamed_recorded_and_dialled(installation: Installation) -> None:
    script = read_twiml(answering(installation).answer(voice_request(to="(212) 555-0123")))
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


def test_outgoing_call_is_kept(installation: Installation) -> None:
    answering(installation).answer(voice_request())
    with installation.database.read() as conn:
        call = calls.by_leg(conn, leg(1))
        kept = legs.of_call(conn, CallId("000000000001"))
    assert call is not None
    assert (call.id, call.direction, call.state) == ("000000000001", Direction.OUTGOING, CallState.LIVE)
    assert (call.agent, call.remote_number) == ("ada", "+12125550123")
    assert (call.inbound_role, call.created_at, call.answered_at) == (Role.AGENT, NOON, None)
    assert kept == [LegRow(leg(1), call.id, Role.AGENT, "ringing")]
    (event,) = installation.published
    assert (event.kind, event.data) == (EventKind.CALL, {"state": "live", "direction": "outgoing"})
    assert installation.stored_events() == [event]


def test_token_is_kept_as_a_digest_and_admits_this_leg_alone(installation: Installation) -> None:
    token = token_in(answering(installation).answer(voice_request()))
    with installation.database.write() as conn:
        stored = conn.execute(select(media_tokens.c.token_hash)).scalar_one()
        assert stored == token_hash(token) != token
        assert stream_tokens.redeem(conn, stored, leg(2), installation.clock.now()) is None
        assert stream_tokens.redeem(conn, stored, leg(1), installation.clock.now()) == "000000000001"


def test_token_expires(installation: Installation) -> None:
    token = token_in(answering(installation, token_ttl_s=300).answer(voice_request()))
    installation.clock.step(300)
    with installation.database.write() as conn:
        assert stream_tokens.redeem(conn, token_hash(token), leg(1), installation.clock.now()) is None


def test_agent_comes_from_the_signed_field(installation: Installation) -> None:
    form = voice_form(
        leg_sid=leg(1),
        account_sid=ACCOUNT,
        from_="client:ada",
        to="+12125550123",
        parameters={"agent": "mallory", "Caller": "client:mallory", "identity": "mallory"},
    )
    answering(installation).answer(parse_voice(form))
    assert installation.call(CallId("000000000001")).agent == "ada"


def test_incoming_call_rings_the_agents_client(installation: Installation) -> None:
    script = read_twiml(answering(installation).answer(voice_request(from_="+4989123456", to="+12125550100")))
    assert script.warnings == ()
    assert script.verbs == (
        STREAM,
        RECORDING,
        Dial((DialClient("desk", PARTY),), None, None, "POST", 30, True),
    )
    call = installation.call(CallId("000000000001"))
    assert (call.direction, call.agent, call.remote_number) == (Direction.INCOMING, "desk", "+4989123456")
    assert call.inbound_role is Role.TECHNICIAN
    with installation.database.read() as conn:
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
def test_inbound_party_follows_the_topology(
    installation: Installation, from_: str, swapped: bool, inbound: Role
) -> None:
    answering(installation, swap_tracks=swapped).answer(voice_request(from_=from_))
    assert installation.call(CallId("000000000001")).inbound_role is inbound


def test_repeated_request_makes_no_second_call_but_a_fresh_token(installation: Installation) -> None:
    service = answering(installation)
    first, second = (token_in(service.answer(voice_request())) for _ in range(2))
    assert (first, second) == ("token-1", "token-2")
    assert rows(installation) == (1, 1, 2)
    assert len(installation.stored_events()) == 1, "a repeat is not news"
    with installation.database.write() as conn:
        now = installation.clock.now()
        assert stream_tokens.redeem(conn, token_hash(first), leg(1), now) == "000000000001"
        assert stream_tokens.redeem(conn, token_hash(second), leg(1), now) == "000000000001"


def test_another_leg_is_another_call(installation: Installation) -> None:
    service = answering(installation)
    for number in (1, 2):
        service.answer(voice_request(number))
    assert rows(installation) == (2, 2, 2)


@pytest.mark.parametrize(
    "number",
    ["+19005550123", "+441632960961", "+881612345678", "911", "112", "no number", "", "+1", "+12125550123,9"],
)
def test_number_that_may_not_be_called(
    installation: Installation, number: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        script = read_twiml(answering(installation).answer(voice_request(to=number)))
    say, hangup = script.verbs
    assert isinstance(say, Say) and say.text.startswith("This call cannot be placed.")
    assert hangup == Hangup()
    assert rows(installation) == (0, 0, 0)
    (line,) = caplog.records
    assert line.getMessage().startswith("call refused: ")
    shown = f"{line.getMessage()} {line.__dict__['number']} {say.text}"
    assert not number.startswith("+") or len(number) < 5 or number not in shown


def test_call_without_a_caller_id_is_refused(
    installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    script = read_twiml(answering(installation, caller_id="").answer(voice_request()))
    assert script.verbs == (
        Say("This call cannot be placed. This server has no caller ID configured."),
        Hangup(),
    )
    assert rows(installation) == (0, 0, 0)
    assert "no caller ID" in caplog.text and "+12125550123" not in caplog.text


def test_browser_without_an_identity_is_refused(installation: Installation) -> None:
    script = read_twiml(answering(installation).answer(voice_request(from_="client:")))
    assert script.verbs == (Say("This call cannot be placed. The agent is not identified."), Hangup())
    assert rows(installation) == (0, 0, 0)


def test_call_in_an_unsupported_language_is_refused(
    installation: Installation,
) -> None:
    supported = {"", "de"}
    service = answering(installation)
    service._supports = supported.__contains__
    script = read_twiml(service.answer(replace(voice_request(), parameters={"Language": "cy"})))
    assert script.verbs == (
        Say("This call cannot be placed. No speech engine here supports Welsh."),
        Hangup(),
    )
    assert rows(installation) == (0, 0, 0)
    service.answer(replace(voice_request(), parameters={"Language": "de"}))
    with installation.database.read() as conn:
        (row,) = all_calls(conn)
    assert row.language == "de"


@pytest.mark.parametrize(
    ("tag", "code"),
    [("en-US", "en"), ("English", "en"), ("de-AT", "de"), ("en\x01", "en"), ("\x00\x1b", ""), ("klingon", ""), ("<&>", "")],
)  # fmt: skip
def test_language_tag_never_refuses_a_call(installation: Installation, tag: str, code: str) -> None:
    service = answering(installation)
    service._supports = {"", "en", "de"}.__contains__
    script = read_twiml(service.answer(replace(voice_request(), parameters={"Language": tag})))
    assert [type(verb) for verb in script.verbs] == [StartStream, StartRecording, Dial]
    with installation.database.read() as conn:
        (row,) = all_calls(conn)
    assert row.language == code


def test_recording_can_be_switched_off(installation: Installation) -> None:
    script = read_twiml(answering(installation, record=False).answer(voice_request()))
    assert [type(verb) for verb in script.verbs] == [StartStream, Dial]


def test_settings_reach_the_document(installation: Installation) -> None:
    script = read_twiml(
        answering(
            installation,
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


def test_failed_voice_request_writes_nothing(installation: Installation) -> None:
    """The token's row cannot be made, so there is no call either."""
    a_call(installation, 1)
    service = answering(installation)  # issues token-1 again
    before = rows(installation)
    with pytest.raises(Exception, match="(?i)unique"):
        service.answer(voice_request(2))
    assert rows(installation) == before
    assert len(installation.published) == 1


def test_callback_addresses_carry_overrides() -> None:
    assert answer_options().callback("call-status") == "https://calls.example/twilio/call-status#rc=5&rp=all"
