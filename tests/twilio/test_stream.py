"""The stream protocol: captured messages, both ends joined by a list, and any message in any order."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.call import Track
from callreel.domain.ids import LegSid, StreamSid
from callreel.simulator.calls.stream_sender import StreamSender
from callreel.twilio.stream import (
    UNREADABLE_IN_A_ROW,
    Connected,
    Digit,
    Frame,
    Marked,
    Started,
    Stopped,
    StreamEvent,
    StreamReceiver,
    StreamState,
    Unknown,
    Violation,
)

CAPTURES = Path(__file__).parent / "captures"
GOOD = (CAPTURES / "both_tracks.jsonl").read_text().splitlines()
CONNECTED, START, STOP = GOOD[0], GOOD[1], GOOD[-1]

STREAM_SID = StreamSid("MZ" + "0" * 32)
LEG_SID = LegSid("CA" + "0" * 32)

# Each bad message under captures/bad, the messages before it, and the close code that it gets.
FAULTS: dict[str, tuple[list[str], int | None]] = {
    "cut_short": ([CONNECTED, START], None),
    "empty": ([], None),
    "lone_surrogate": ([CONNECTED, START], None),
    "nested_too_deep": ([CONNECTED, START], None),
    "not_utf8": ([CONNECTED, START], None),
    "words": ([CONNECTED, START], None),
    "media_before_start": ([CONNECTED], None),
    "second_start": ([CONNECTED, START], None),
    "second_connected": ([CONNECTED], None),
    "stop_before_start": ([CONNECTED], None),
    "start_with_l16": ([CONNECTED], 1003),
    "start_with_16_khz": ([CONNECTED], 1003),
    "start_with_two_channels": ([CONNECTED], 1003),
    "start_without_call": ([CONNECTED], 1007),
    "media_after_stop": ([CONNECTED, START, STOP], None),
    "media_on_unknown_track": ([CONNECTED, START], None),
    "media_with_negative_timestamp": ([CONNECTED, START], None),
    "media_with_timestamp_in_words": ([CONNECTED, START], None),
    "media_with_endless_timestamp": ([CONNECTED, START], None),
    "media_with_bad_base64": ([CONNECTED, START], None),
    "media_without_payload": ([CONNECTED, START], None),
    "dtmf_without_digit": ([CONNECTED, START], None),
    "no_event": ([CONNECTED, START], None),
    "event_is_a_number": ([CONNECTED, START], None),
    "not_an_object": ([CONNECTED, START], None),
}


def receive_all(messages: Sequence[str | bytes], receiver: StreamReceiver | None = None) -> list[StreamEvent]:
    receiver = receiver or StreamReceiver()
    return [receiver.receive(message) for message in messages]


def test_captured_stream() -> None:
    connected, started, *frames, stopped = receive_all(GOOD)
    assert connected == Connected("Call", "1.0.0")
    assert isinstance(started, Started)
    assert started.stream_sid == "MZ18ad3ab5a668481ce02b83e7395059f0"
    assert started.tracks == (Track.INBOUND, Track.OUTBOUND)
    assert (started.encoding, started.rate_hz, started.channels) == ("audio/x-mulaw", 8000, 1)
    assert started.parameters == {"token": "not-a-secret"}
    assert [(f.track, f.timestamp_ms, len(f.payload)) for f in frames if isinstance(f, Frame)] == [
        (track, ms, 160) for ms in (5, 25, 45, 65) for track in (Track.OUTBOUND, Track.INBOUND)
    ]
    assert isinstance(frames[0], Frame) and frames[0].payload == b"\xff" * 160
    assert stopped == Stopped()


def test_every_captured_fault_is_in_the_table() -> None:
    assert {path.stem for path in (CAPTURES / "bad").iterdir()} == set(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_captured_fault(fault: str) -> None:
    before, close_code = FAULTS[fault]
    receiver = StreamReceiver()
    receive_all(before, receiver)
    state = receiver.state
    event = receiver.receive((CAPTURES / "bad" / f"{fault}.json").read_bytes())
    assert isinstance(event, Violation)
    assert event.close_code == close_code
    assert receiver.state is (state if close_code is None else StreamState.STOPPED)


@pytest.mark.parametrize(
    "bad",
    [
        "ping",
        "",
        b"\xff" * 160,
        '{"event":"mark","mark":{"name":"\\ud83d"}}',
        "\ud83d",
        "\ufeff",
        CONNECTED,
        START,
        '{"event":"media","media":{"track":"inbound","timestamp":"40","payload":"@@@@"}}',
        '{"event":"media","media":null}',
        "[" * 5_000,
        "x" * 2_000_000,
    ],
    ids=lambda bad: repr(bad[:20]),
)
def test_one_bad_message_is_noted_and_costs_no_frame(bad: str | bytes) -> None:
    events = receive_all([CONNECTED, START, GOOD[2], bad, GOOD[3]])
    assert [type(event) for event in events[2:]] == [Frame, Violation, Frame]
    assert isinstance(events[3], Violation) and events[3].close_code is None


def test_persisting_unreadable_messages_close_the_stream() -> None:
    receiver = StreamReceiver()
    receive_all([CONNECTED, START], receiver)
    few = ["ping"] * (UNREADABLE_IN_A_ROW - 1)
    for readable in (GOOD[2], '{"event":"weather"}', '{"event":"mark","mark":{"name":"m"}}'):
        receive_all([*few, readable], receiver)
    assert not receiver.closed
    receive_all([*few], receiver)
    assert receiver.receive_audio([GOOD[2].encode()]) is not None
    *_, last = receive_all([*few, "ping"], receiver)
    assert last == Violation("a message is not JSON", 1007)
    assert receiver.closed


def test_byte_order_mark_is_skipped() -> None:
    events = receive_all(["\ufeff" + CONNECTED, b"\xef\xbb\xbf" + START.encode(), "\ufeff" + GOOD[2]])
    assert [type(event) for event in events] == [Connected, Started, Frame]


def test_long_frame_is_read() -> None:
    receiver = StreamReceiver()
    receiver.receive(START)
    message = StreamSender(STREAM_SID, LEG_SID, "AC").media(Track.INBOUND, 0, b"\xff" * 50_000)
    assert receiver.receive(message) == Frame(Track.INBOUND, 0, b"\xff" * 50_000)


def start_with(**changes: object) -> str:
    message = json.loads(START)
    message["start"] |= changes
    return json.dumps(message | {"sequenceNumber": 1})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"customParameters": {"attempt": 3}}, {"parameters": {"attempt": "3"}}),
        ({"customParameters": {"attempt": None, "token": "t"}}, {"parameters": {"attempt": "", "token": "t"}}),
        ({"customParameters": {"retry": True, "of": [1]}}, {"parameters": {"retry": "true", "of": "[1]"}}),
        ({"customParameters": None}, {"parameters": {}}),
        ({"mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": "8000", "channels": "1"}}, {"rate_hz": 8000}),
        ({"mediaFormat": None}, {"rate_hz": 8000}),
        ({"tracks": None}, {"tracks": ()}),
        ({"tracks": ["outbound", None, 7, "sideways"]}, {"tracks": (Track.OUTBOUND,)}),
    ],
    ids=str,
)  # fmt: skip
def test_start_with_other_types_is_read(changes: dict[str, object], expected: dict[str, object]) -> None:
    started = StreamReceiver().receive(start_with(**changes))
    assert isinstance(started, Started)
    assert {name: getattr(started, name) for name in expected} == expected


def test_counters_may_be_numbers() -> None:
    numbered = [json.dumps(json.loads(message) | {"sequenceNumber": 7}) for message in GOOD]
    assert receive_all(numbered) == receive_all(GOOD)


@pytest.mark.parametrize("body", ["null", "{}", '"bye"', '{"accountSid":7}'])
def test_stop_with_any_body_ends_the_stream(body: str) -> None:
    assert receive_all([START, f'{{"event":"stop","stop":{body}}}'])[1] == Stopped()


def test_start_without_connected_is_accepted() -> None:
    assert isinstance(StreamReceiver().receive(START), Started)


def test_unknown_event_is_kept_as_a_fact_with_a_bounded_body() -> None:
    receiver = StreamReceiver()
    body = '{"event":"weather","sky":"' + "b" * 5000 + '"}'
    assert receiver.receive(body) == Unknown("weather", body[:2000])
    assert receiver.receive(body.encode()) == Unknown("weather", body[:2000])
    assert receiver.state is StreamState.CONNECTED_WANTED


def test_unknown_fields_and_any_field_order_are_tolerated() -> None:
    receiver = StreamReceiver()
    receiver.receive(START)
    message = (
        '{"media":{"payload":"/w==","gain":3,"timestamp":"40","track":"outbound"},"new":[],"event":"media"}'
    )
    assert receiver.receive(message) == Frame(Track.OUTBOUND, 40, b"\xff")


def test_timestamp_may_be_a_number() -> None:
    receiver = StreamReceiver()
    receiver.receive(START)
    message = '{"event":"media","media":{"track":"inbound","timestamp":40,"payload":"/w=="}}'
    assert receiver.receive(message) == Frame(Track.INBOUND, 40, b"\xff")


def test_unknown_tracks_of_start_are_left_out() -> None:
    started = StreamReceiver().receive(START.replace('"inbound", "outbound"', '"outbound", "sideways"'))
    assert isinstance(started, Started) and started.tracks == (Track.OUTBOUND,)


def test_message_at_the_bound_is_taken_and_one_over_is_noted() -> None:
    assert isinstance(StreamReceiver(max_message_bytes=len(CONNECTED)).receive(CONNECTED), Connected)
    violation = StreamReceiver(max_message_bytes=len(CONNECTED) - 1).receive(CONNECTED)
    assert violation == Violation(f"a message is over {len(CONNECTED) - 1} bytes", None)


def test_messages_after_a_closing_violation_are_ignored() -> None:
    receiver = StreamReceiver()
    receiver.receive((CAPTURES / "bad" / "start_with_l16.json").read_text())
    assert receiver.closed
    after = receive_all([GOOD[2], START, STOP, "no json"], receiver)
    assert all(isinstance(event, Violation) and event.close_code is None for event in after)


def test_sender_counts_messages_over_all_and_chunks_by_track() -> None:
    sender = StreamSender(STREAM_SID, LEG_SID, "AC" + "0" * 32)
    sent = [
        sender.connected(),
        sender.start(parameters={"token": "t"}),
        sender.media(Track.INBOUND, 0, b"a"),
        sender.media(Track.OUTBOUND, 0, b"b"),
        sender.media(Track.INBOUND, 20, b"c"),
        sender.stop(),
    ]
    assert "sequenceNumber" not in sent[0] and "streamSid" not in sent[0]
    assert [f'"sequenceNumber":"{n}"' in text for n, text in enumerate(sent[1:], start=1)] == [True] * 5
    assert ['"chunk":"1"' in sent[2], '"chunk":"1"' in sent[3], '"chunk":"2"' in sent[4]] == [True] * 3


FRAMES = st.builds(
    Frame, st.sampled_from(Track), st.integers(min_value=0, max_value=999_999_999), st.binary(max_size=400)
)
CONTROLS = st.one_of(st.builds(Digit, st.just("inbound_track"), st.text()), st.builds(Marked, st.text()))


def spoken(sender: StreamSender, events: list[Frame | Digit | Marked]) -> Iterator[str]:
    for event in events:
        match event:
            case Frame(track, timestamp_ms, payload):
                yield sender.media(track, timestamp_ms, payload)
            case Digit(_, digit):
                yield sender.dtmf(digit)
            case Marked(name):
                yield sender.mark(name)


@given(
    st.lists(st.one_of(FRAMES, CONTROLS), max_size=20),
    st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=3),
)
def test_sent_stream_is_received_unchanged(
    events: list[Frame | Digit | Marked], parameters: dict[str, str]
) -> None:
    sender = StreamSender(STREAM_SID, LEG_SID, "AC" + "0" * 32)
    wire = [
        sender.connected(),
        sender.start((Track.OUTBOUND,), parameters),
        *spoken(sender, events),
        sender.stop(),
    ]
    connected, started, *received, stopped = receive_all(wire)
    assert connected == Connected("Call", "1.0.0")
    assert started == Started(
        STREAM_SID, LEG_SID, "AC" + "0" * 32, (Track.OUTBOUND,), "audio/x-mulaw", 8000, 1, parameters
    )
    assert received == events
    assert stopped == Stopped()


BAD = [(CAPTURES / "bad" / f"{name}.json").read_bytes() for name in FAULTS if name != "nested_too_deep"]
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=5,
).map(repr)
MESSAGES = st.one_of(st.sampled_from([*GOOD, *BAD]), st.text(), st.binary(), JSON)


@given(st.lists(MESSAGES, max_size=25))
def test_any_message_gives_one_event_and_no_frame_out_of_order(messages: list[str | bytes]) -> None:
    receiver = StreamReceiver()
    streaming = False
    for message in messages:
        event = receiver.receive(message)
        assert isinstance(event, StreamEvent)
        if isinstance(event, Frame | Digit | Marked | Stopped):
            assert streaming
        if isinstance(event, Started):
            assert not streaming
            streaming = True
        if isinstance(event, Stopped) or isinstance(event, Violation) and event.close_code is not None:
            streaming = False
            assert receiver.closed
