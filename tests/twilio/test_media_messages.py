"""The wire form of stream messages."""

import base64
import json

import msgspec
import pytest

from callreel.domain.call import Track
from callreel.twilio import media_messages


def test_names_and_types_on_the_wire_are_the_carriers() -> None:
    body = media_messages.MediaBody(Track.INBOUND, "20", b"\xff\x00", "2")
    assert json.loads(media_messages.encode(media_messages.Media(body, "3", "MZ1"))) == {
        "event": "media",
        "sequenceNumber": "3",
        "streamSid": "MZ1",
        "media": {
            "track": "inbound",
            "timestamp": "20",
            "chunk": "2",
            "payload": base64.b64encode(b"\xff\x00").decode(),
        },
    }


def test_start_on_the_wire() -> None:
    body = media_messages.StartBody("MZ1", "AC1", "CA1", ["inbound"], custom_parameters={"token": "t"})
    assert json.loads(media_messages.encode(media_messages.Start(body, "1", "MZ1")))["start"] == {
        "streamSid": "MZ1",
        "accountSid": "AC1",
        "callSid": "CA1",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": "t"},
    }


def test_every_kind_of_message_is_listed() -> None:
    tags = {kind.__struct_config__.tag for kind in media_messages.Control.__args__}
    assert tags | {"media"} == media_messages.EVENTS


def test_wrong_shape_and_broken_text_raise_different_errors() -> None:
    with pytest.raises(msgspec.ValidationError):
        media_messages.decode_control('{"event":"mark"}')
    with pytest.raises(msgspec.DecodeError) as broken:
        media_messages.decode_control('{"event":"mark"')
    assert not isinstance(broken.value, msgspec.ValidationError)
