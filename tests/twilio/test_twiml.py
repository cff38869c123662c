"""The TwiML we answer with: checked, written, and read back by the simulator's reader."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.errors import SettingsError
from callreel.simulator.calls.twiml_reader import read_twiml
from callreel.simulator.calls.twiml_script import (
    Callback,
    Dial,
    DialClient,
    DialNumber,
    Hangup,
    Say,
    Script,
    StartRecording,
    StartStream,
)
from callreel.twilio.twiml import (
    RecordingOptions,
    StreamOptions,
    check_recording_options,
    check_stream_options,
    incoming_answer,
    outgoing_answer,
    refusal,
)

HERE = "https://calls.example.com/twilio"
STREAM = StreamOptions(
    "wss://calls.example.com/twilio/media-stream",
    status_callback=f"{HERE}/stream-status#rc=5&rp=all",
    parameters={"token": "a&b<c>\"d'"},
)
RECORDING = RecordingOptions(status_callback=f"{HERE}/recording-status#rc=5&rp=all")
PROGRESS = Callback(
    f"{HERE}/call-status#rc=5&rp=all", "POST", ("initiated", "ringing", "answered", "completed")
)

READ_STREAM = StartStream(
    url=STREAM.url,
    track="both_tracks",
    name=None,
    callback=Callback(f"{HERE}/stream-status#rc=5&rp=all", "POST"),
    parameters=STREAM.parameters,
)
READ_RECORDING = StartRecording(
    channels="dual",
    track="both",
    trim="do-not-trim",
    name=None,
    callback=Callback(f"{HERE}/recording-status#rc=5&rp=all", "POST", ("in-progress", "completed", "absent")),
)


def test_outgoing_call_is_streamed_recorded_and_dialled() -> None:
    xml = outgoing_answer(STREAM, RECORDING, "+15550000000", "+15551234567", PROGRESS.url)
    assert read_twiml(xml) == Script(
        verbs=(
            READ_STREAM,
            READ_RECORDING,
            Dial((DialNumber("+15551234567", PROGRESS),), "+15550000000", None, "POST", 30, True),
        ),
        warnings=(),
    )


def test_incoming_call_rings_the_agents_browser() -> None:
    xml = incoming_answer(STREAM, RECORDING, "ada", PROGRESS.url, answer_on_bridge=False)
    assert read_twiml(xml) == Script(
        verbs=(
            READ_STREAM,
            READ_RECORDING,
            Dial((DialClient("ada", PROGRESS),), None, None, "POST", 30, False),
        ),
        warnings=(),
    )


def test_recording_attributes_are_absent_when_disabled() -> None:
    verbs = read_twiml(outgoing_answer(STREAM, None, "+15550000000", "+15551234567", PROGRESS.url)).verbs
    assert [type(verb) for verb in verbs] == [StartStream, Dial]


def test_every_attribute_of_the_recording_is_explicit() -> None:
    xml = outgoing_answer(STREAM, RECORDING, "+15550000000", "+15551234567", PROGRESS.url)
    noun = ElementTree.fromstring(xml).find("Start/Recording")
    assert noun is not None
    assert noun.attrib == {
        "channels": "dual",
        "track": "both",
        "trim": "do-not-trim",
        "recordingStatusCallback": f"{HERE}/recording-status#rc=5&rp=all",
        "recordingStatusCallbackMethod": "POST",
        "recordingStatusCallbackEvent": "in-progress completed absent",
    }


def test_a_refusal_says_why_and_hangs_up() -> None:
    assert read_twiml(refusal("Calls to <there> & back are not allowed.")).verbs == (
        Say("Calls to <there> & back are not allowed."),
        Hangup(),
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (replace(RECORDING, track="inbound"), "one-sided recordings are always mono"),
        (replace(RECORDING, track="outbound"), "one-sided recordings are always mono"),
        (replace(RECORDING, channels="stereo"), "one of mono, dual, not stereo"),
        (
            replace(RECORDING, track="both_tracks", channels="mono"),
            "one of inbound, outbound, both, not both_tracks",
        ),
        (replace(RECORDING, trim="true"), "one of trim-silence, do-not-trim, not true"),
        (
            replace(RECORDING, events=("completed", "failed")),
            "one of in-progress, completed, absent, not failed",
        ),
        (replace(RECORDING, events=()), "at least one"),
        (replace(RECORDING, status_callback="/twilio/recording-status"), "absolute"),
        (replace(RECORDING, status_callback="https://[oops"), "absolute"),
    ],
)
def test_recording_options_that_the_carrier_forbids(options: RecordingOptions, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        check_recording_options(options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (replace(STREAM, url="ws://calls.example.com/stream"), "wss"),
        (replace(STREAM, url="https://calls.example.com/stream"), "wss"),
        (replace(STREAM, url="wss:///stream"), "wss"),
        (replace(STREAM, url="wss://[oops"), "wss"),
        (replace(STREAM, url="wss://calls.example.com/stream?call=1"), "query"),
        (replace(STREAM, track="both"), "one of inbound_track, outbound_track, both_tracks, not both"),
        (replace(STREAM, parameters={"token": "x" * 495}), "below 500"),
        (replace(STREAM, status_callback="/twilio/stream-status"), "absolute"),
    ],
)
def test_stream_options_that_the_carrier_forbids(options: StreamOptions, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        check_stream_options(options)


@pytest.mark.parametrize("channels", ["mono", "dual"])
@pytest.mark.parametrize("track", ["inbound", "outbound", "both"])
@pytest.mark.parametrize("trim", ["trim-silence", "do-not-trim"])
def test_checked_options_are_valid_for_the_carrier(channels: str, track: str, trim: str) -> None:
    options = replace(RECORDING, channels=channels, track=track, trim=trim, events=("completed",))
    xml = outgoing_answer(STREAM, options, "+15550000000", "+15551234567", PROGRESS.url)
    try:
        check_recording_options(options)
    except SettingsError:
        assert [warning.code for warning in read_twiml(xml).warnings] == [13622]
    else:
        assert read_twiml(xml).warnings == ()


# XML 1.0 holds neither control characters nor surrogates; a carriage return is read as a line feed.
XML_TEXT = st.text(
    st.characters(min_codepoint=0x20, exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"),
    max_size=60,
)


@given(st.dictionaries(XML_TEXT, XML_TEXT, max_size=4), XML_TEXT)
def test_any_text_is_escaped(parameters: dict[str, str], text: str) -> None:
    stream = replace(STREAM, parameters=parameters)
    start = read_twiml(outgoing_answer(stream, None, "+15550000000", "+15551234567", PROGRESS.url)).verbs[0]
    assert isinstance(start, StartStream) and start.parameters == parameters
    assert read_twiml(refusal(text)).verbs == (Say(text.strip()), Hangup())
