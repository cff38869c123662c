"""TwiML parsing: defaults, warnings, and invalid documents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.simulator.calls.twiml_reader import TwimlError, read_twiml
from callreel.simulator.calls.twiml_script import (
    Callback,
    Dial,
    DialClient,
    DialConference,
    DialNumber,
    Hangup,
    Pause,
    Play,
    Redirect,
    Reject,
    Say,
    Script,
    StartRecording,
    StartStream,
    StopRecording,
    StopStream,
)

WSS = "wss://calls.example.com/stream"


def read(body: str) -> Script:
    return read_twiml(f'<?xml version="1.0" encoding="UTF-8"?>\n<Response>{body}</Response>')


def codes(body: str) -> list[int]:
    return [warning.code for warning in read(body).warnings]


def test_defaults_are_the_carriers() -> None:
    script = read(
        f'<Start><Stream url="{WSS}"/><Recording recordingStatusCallback="https://x.example/r"/></Start>'
        "<Dial><Number>+15551234567</Number></Dial>"
    )
    assert script == Script(
        verbs=(
            StartStream(WSS, "inbound_track", None, None, {}),
            StartRecording(
                "dual", "both", "trim-silence", None, Callback("https://x.example/r", "POST", ("completed",))
            ),
            Dial((DialNumber("+15551234567"),), None, None, "POST", 30, False),
        ),
        warnings=(),
    )


def test_other_verbs() -> None:
    script = read(
        "<Say> Hello. </Say><Pause length='3'/><Play loop='2'>https://x.example/a.wav</Play><Play digits='12w3'/>"
        "<Stop><Stream name='s'/><Recording name='r'/></Stop><Redirect method='get'>/next</Redirect>"
        "<Reject reason='busy'/><Hangup/>"
    )
    assert script == Script(
        verbs=(
            Say("Hello."),
            Pause(3),
            Play("https://x.example/a.wav", 2),
            Play("", digits="12w3"),
            StopStream("s"),
            StopRecording("r"),
            Redirect("/next", "GET"),
            Reject("busy"),
            Hangup(),
        ),
        warnings=(),
    )


def test_dial_accepts_a_bare_number_and_several_targets() -> None:
    assert read("<Dial timeout='5' action='/done'>+15551234567</Dial>").verbs == (
        Dial((DialNumber("+15551234567"),), None, "/done", "POST", 5, False),
    )
    dial = read(
        "<Dial><Number url='/w' statusCallback='/n'>+15551234567</Number><Client><Identity>ada</Identity></Client>"
        "<Client statusCallback='/c' statusCallbackMethod='GET' statusCallbackEvent='answered'>bob</Client></Dial>"
    ).verbs[0]
    assert isinstance(dial, Dial)
    assert dial.targets == (
        DialNumber("+15551234567", Callback("/n", "POST", ("completed",)), "/w"),
        DialClient("ada"),
        DialClient("bob", Callback("/c", "GET", ("answered",))),
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (f'<Start><Stream url="{WSS}" track="both"/></Start>', 31941),
        (f'<Start><Stream url="{WSS}?call=1"/></Start>', 31920),
        ('<Start><Stream url="https://calls.example.com/stream"/></Start>', 31920),
        ('<Start><Stream url="wss://[oops"/></Start>', 31920),
        ("<Start><Stream/></Start>", 31920),
    ],
)
def test_invalid_stream_is_not_opened(body: str, code: int) -> None:
    script = read(body)
    assert ([warning.code for warning in script.warnings], script.verbs) == ([code], ())


def test_stream_with_a_duplicate_name_is_not_opened() -> None:
    script = read(f'<Start><Stream name="a" url="{WSS}"/></Start>' * 2)
    assert ([warning.code for warning in script.warnings], len(script.verbs)) == ([31941], 1)


def test_four_forked_tracks_are_the_limit() -> None:
    both = f'<Start><Stream url="{WSS}" track="both_tracks"/></Start>'
    one = f'<Start><Stream url="{WSS}"/></Start>'
    assert codes(both * 2) == []
    assert codes(both * 2 + one) == [31941]
    assert codes(both + one + both + one) == [31941]
    assert len(read(both + one + both + one).verbs) == 3


@pytest.mark.parametrize(
    ("attributes", "code", "channels", "track"),
    [
        ('channels="dual" track="inbound"', 13622, "mono", "inbound"),
        ('channels="stereo"', 13622, "dual", "both"),
        ('channels="mono" track="agent"', 13622, "mono", "both"),
        ('track="outbound"', None, "mono", "outbound"),
        ('channels="mono" track="outbound"', None, "mono", "outbound"),
    ],
)
def test_recording_track_and_channels(attributes: str, code: int | None, channels: str, track: str) -> None:
    script = read(f"<Start><Recording {attributes}/></Start>")
    assert [warning.code for warning in script.warnings] == ([] if code is None else [code])
    assert script.verbs == (StartRecording(channels, track, "trim-silence", None, None),)


def test_connected_stream_has_the_inbound_track_only() -> None:
    script = read(
        f'<Connect><Stream url="{WSS}" name="bot"><Parameter name="a" value="1"/></Stream></Connect>'
    )
    assert script == Script((StartStream(WSS, "inbound_track", "bot", None, {"a": "1"}, connects=True),), ())
    assert codes(f'<Connect><Stream url="{WSS}" track="both_tracks"/></Connect>') == [31941]
    assert codes("<Connect><Room>daily</Room></Connect>") == [12200]


def test_unknown_recording_event_is_dropped_with_a_warning() -> None:
    script = read(
        '<Start><Recording recordingStatusCallback="/r" recordingStatusCallbackEvent="completed failed"/></Start>'
    )
    assert [warning.code for warning in script.warnings] == [13621]
    assert script.verbs == (
        StartRecording("dual", "both", "trim-silence", None, Callback("/r", "POST", ("completed",))),
    )


@pytest.mark.parametrize(
    ("record", "channels", "ringing"),
    [
        ("do-not-record", None, False),
        ("false", None, False),
        ("true", "mono", False),
        ("record-from-answer", "mono", False),
        ("record-from-answer-dual", "dual", False),
        ("record-from-ringing", "mono", True),
        ("record-from-ringing-dual", "dual", True),
    ],
)
def test_record_values_of_a_dial(record: str, channels: str | None, ringing: bool) -> None:
    (dial,) = read(f'<Dial record="{record}">+15551234567</Dial>').verbs
    assert isinstance(dial, Dial)
    expected = None if channels is None else StartRecording(channels, "both", "do-not-trim", None, None)
    assert (dial.recording, dial.records_ringing) == (expected, ringing)


def test_unknown_record_value_of_a_dial_is_a_warning() -> None:
    assert codes('<Dial record="always">+15551234567</Dial>') == [13622]
    (dial,) = read('<Dial record="record-from-ringing" recordingTrack="inbound">+15551234567</Dial>').verbs
    assert isinstance(dial, Dial) and dial.recording is not None
    assert (dial.recording.track, dial.recording.channels) == ("inbound", "mono")


def test_unknown_elements_are_warnings() -> None:
    body = "<Dance/><Start><Siprec/></Start><Stop><Siprec/></Stop><Dial><Queue>q</Queue></Dial><!-- a note --><Hangup/>"
    assert codes(body) == [12200] * 4
    assert read(body).verbs[-1] == Hangup()


BOMB = '<!DOCTYPE Response [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><Response><Say>&b;</Say></Response>'


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        ("", "not well-formed"),
        ("<Response>", "not well-formed"),
        ("<Response><Say>Fish & chips</Say></Response>", "not well-formed"),
        ("<Response><Say>&undefined;</Say></Response>", "not well-formed"),
        ("<html/>", "must be <Response>, not <html>"),
        ("<!DOCTYPE Response><Response/>", "DOCTYPE"),
        ('<!DOCTYPE r SYSTEM "file:///etc/passwd"><Response/>', "DOCTYPE"),
        (BOMB, "DOCTYPE"),
    ],
)
def test_invalid_document_is_rejected(xml: str, reason: str) -> None:
    with pytest.raises(TwimlError, match=reason) as refused:
        read_twiml(xml)
    assert refused.value.code == 12100


@given(st.text())
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    for xml in (text, f"<Response>{text}</Response>", f"<Response><Dial timeout='{text}'/></Response>"):
        try:
            read_twiml(xml)
        except TwimlError as error:
            assert error.code == 12100


def test_conference_has_the_carriers_defaults() -> None:
    (plain, full) = read(
        "<Dial><Conference> room </Conference></Dial>"
        '<Dial action="/next"><Conference startConferenceOnEnter="false" endConferenceOnExit="true" muted="true"'
        ' waitUrl="" statusCallback="https://x.example/c" statusCallbackEvent="start hold">room</Conference></Dial>'
    ).verbs
    assert isinstance(plain, Dial) and isinstance(full, Dial)
    assert (plain.targets, plain.conference) == ((), DialConference("room"))
    callback = Callback("https://x.example/c", "POST", ("start", "hold"))
    assert full.conference == DialConference(
        "room", starts_on_enter=False, ends_on_exit=True, muted=True, callback=callback
    )


def test_conference_without_a_name_is_no_target() -> None:
    (dial,) = read("<Dial><Conference/></Dial>").verbs
    assert isinstance(dial, Dial)
    assert (dial.targets, dial.conference) == ((), None)
