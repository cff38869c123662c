"""The carrier's forms, compared with those of the simulator."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.call import Direction
from callreel.domain.ids import LegSid, RecordingSid, StreamSid
from callreel.domain.recording import CloudState
from callreel.simulator.calls.webhook_forms import (
    LegEvent,
    RecordingEvent,
    call_status_form,
    dial_action_fields,
    recording_status_form,
    stream_status_form,
    voice_form,
)
from callreel.twilio.webhooks import (
    WebhookError,
    parse_call_status,
    parse_recording_status,
    parse_stream_status,
    parse_voice,
)

ACCOUNT = "AC" + "a" * 32
LEG = LegSid("CA" + "1" * 32)
CHILD = LegSid("CA" + "2" * 32)
STREAM = StreamSid("MZ" + "3" * 32)
RECORDING = RecordingSid("RE" + "4" * 32)
URL = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Recordings/{RECORDING}"
AT = datetime(2026, 3, 24, 18, 15, 40, tzinfo=UTC)


def test_a_browsers_call_is_outgoing_and_names_the_agent() -> None:
    form = voice_form(
        leg_sid=LEG,
        account_sid=ACCOUNT,
        from_="client:ada",
        to="+15551234567",
        application_sid="AP" + "5" * 32,
        parameters={"ticket": "4711", "note": ""},
    )
    request = parse_voice(form)
    assert request.direction is Direction.OUTGOING
    assert (request.leg_sid, request.account_sid) == (LEG, ACCOUNT)
    assert (request.agent_identity, request.to, request.status) == ("ada", "+15551234567", "ringing")
    assert request.parameters == {"ticket": "4711", "note": ""}


def test_browser_parameters_cannot_override_identity() -> None:
    form = voice_form(
        leg_sid=LEG,
        account_sid=ACCOUNT,
        from_="client:ada",
        to="+15551234567",
        parameters={"From": "client:boss", "CallSid": CHILD},
    )
    request = parse_voice(form)
    assert (request.agent_identity, request.leg_sid) == ("ada", LEG)


def test_a_call_to_our_number_is_incoming() -> None:
    form = voice_form(leg_sid=LEG, account_sid=ACCOUNT, from_="+15557654321", to="+15551234567")
    form |= {"FromCity": "NOWHERE", "StirVerstat": "TN-Validation-Passed-A", "CallToken": "x"}
    request = parse_voice(form)
    assert request.direction is Direction.INCOMING
    assert request.agent_identity is None
    assert (request.from_, request.parameters) == ("+15557654321", {})


@pytest.mark.parametrize(
    ("status", "terminal"),
    [
        ("initiated", False),
        ("ringing", False),
        ("in-progress", False),
        ("completed", True),
        ("busy", True),
        ("failed", True),
        ("no-answer", True),
        ("canceled", True),
        ("teleported", False),
    ],
)
def test_call_progress(status: str, terminal: bool) -> None:
    form = call_status_form(
        LegEvent(
            leg_sid=CHILD,
            account_sid=ACCOUNT,
            parent_sid=LEG,
            status=status,
            sequence_number=2,
            timestamp=AT,
            from_="+15550000000",
            to="+15551234567",
            duration_s=61,
            sip_code=200,
        )
    )
    progress = parse_call_status(form)
    assert (progress.leg_sid, progress.parent_sid) == (CHILD, LEG)
    assert (progress.status, progress.terminal) == (status, terminal)
    assert (progress.sequence_number, progress.timestamp) == (2, AT)
    assert (progress.duration_s, progress.sip_code) == ((61, 200) if terminal else (None, None))
    assert form.get("Duration") == ("2" if status == "completed" else None)  # minutes, that one


def test_call_progress_repeats_under_the_same_key_only() -> None:
    def key(status: str, number: int) -> str:
        form = call_status_form(
            LegEvent(
                leg_sid=CHILD,
                account_sid=ACCOUNT,
                status=status,
                sequence_number=number,
                timestamp=AT,
                from_="+15550000000",
                to="+15551234567",
            )
        )
        return parse_call_status(form).key

    assert key("ringing", 1) == key("ringing", 1)
    assert len({key("ringing", 1), key("ringing", 2), key("completed", 1)}) == 3


@pytest.mark.parametrize("error", [None, "31921 stream closed"])
def test_stream_progress(error: str | None) -> None:
    event = "stream-started" if error is None else "stream-error"
    form = stream_status_form(
        stream_sid=STREAM, leg_sid=LEG, account_sid=ACCOUNT, event=event, timestamp=AT, error=error
    )
    progress = parse_stream_status(form)
    assert (progress.stream_sid, progress.leg_sid, progress.name) == (STREAM, LEG, STREAM)
    assert (progress.event, progress.error, progress.timestamp) == (event, error, AT)


@pytest.mark.parametrize(
    ("status", "error_code", "state", "duration_s"),
    [
        ("in-progress", 0, CloudState.IN_PROGRESS, None),
        ("completed", 0, CloudState.COMPLETED, 47),
        ("absent", 16101, CloudState.ABSENT, None),
        ("failed", 0, CloudState.FAILED, None),
        ("evaporated", 0, None, None),
    ],
)
def test_recording_progress(
    status: str, error_code: int, state: CloudState | None, duration_s: int | None
) -> None:
    form = recording_status_form(
        RecordingEvent(
            recording_sid=RECORDING,
            leg_sid=LEG,
            account_sid=ACCOUNT,
            status=status,
            url=URL,
            start_time=AT,
            duration_s=47,
            error_code=error_code,
        )
    )
    progress = parse_recording_status(form)
    assert (progress.sid, progress.leg_sid, progress.url) == (RECORDING, LEG, URL)
    assert (progress.status, progress.cloud_state, progress.duration_s) == (status, state, duration_s)
    assert (progress.channels, progress.track, progress.start_time) == (2, "both", AT)
    assert progress.source == "StartCallRecordingTwiML"
    assert progress.error_code == (str(error_code) if error_code else None)


def test_fields_of_a_completed_recording_are_the_documented_ones() -> None:
    form = recording_status_form(
        RecordingEvent(
            recording_sid=RECORDING,
            leg_sid=LEG,
            account_sid=ACCOUNT,
            status="completed",
            url=URL,
            start_time=AT,
            duration_s=47,
        )
    )
    assert form == {
        "AccountSid": ACCOUNT,
        "CallSid": LEG,
        "RecordingSid": RECORDING,
        "RecordingUrl": URL,
        "RecordingStatus": "completed",
        "RecordingDuration": "47",
        "RecordingChannels": "2",
        "RecordingStartTime": "Tue, 24 Mar 2026 18:15:40 +0000",
        "RecordingSource": "StartCallRecordingTwiML",
        "RecordingTrack": "both",
        "ErrorCode": "0",
    }


def test_dial_action_without_a_child_has_no_duration() -> None:
    assert dial_action_fields(child_sid=None, status="busy", duration_s=0, bridged=False) == {
        "DialCallStatus": "busy",
        "DialBridged": "false",
    }
    assert dial_action_fields(child_sid=CHILD, status="completed", duration_s=9, bridged=True) == {
        "DialCallStatus": "completed",
        "DialBridged": "true",
        "DialCallSid": CHILD,
        "DialCallDuration": "9",
    }


COMPLETE = {
    "AccountSid": ACCOUNT,
    "CallSid": LEG,
    "From": "client:ada",
    "CallStatus": "ringing",
    "StreamSid": STREAM,
    "StreamEvent": "stream-started",
    "RecordingSid": RECORDING,
    "RecordingStatus": "completed",
}
NEEDED = [
    (parse_voice, ["AccountSid", "CallSid"]),
    (parse_call_status, ["AccountSid", "CallSid", "CallStatus"]),
    (parse_stream_status, ["AccountSid", "CallSid", "StreamSid", "StreamEvent"]),
    (parse_recording_status, ["AccountSid", "CallSid", "RecordingSid", "RecordingStatus"]),
]


@pytest.mark.parametrize(("parse", "names"), NEEDED)
def test_a_missing_field_is_named_in_one_line(parse: object, names: list[str]) -> None:
    assert callable(parse)
    parse(COMPLETE)
    for name in names:
        with pytest.raises(WebhookError, match=f"^the carrier's request has no {name}$"):
            parse({key: value for key, value in COMPLETE.items() if key != name})


@pytest.mark.parametrize("sid", ["../../etc/passwd", "CA1/..", "CA", "ca11", "CA1\n", "CA" + "1" * 65])
def test_invalid_id_is_refused(sid: str) -> None:
    with pytest.raises(WebhookError, match="^expected an id of the carrier in CallSid"):
        parse_voice(COMPLETE | {"CallSid": sid})


@given(
    st.dictionaries(st.sampled_from([*COMPLETE, "RecordingDuration", "Timestamp", "ErrorCode"]), st.text())
)
def test_any_form_is_parsed_or_refused(form: dict[str, str]) -> None:
    for parse, _ in NEEDED:
        for fields in (form, COMPLETE | form):
            try:
                parse(fields)
            except WebhookError as error:
                assert "\n" not in str(error)
