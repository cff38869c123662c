"""The audio of a leg, shared by streams and recordings."""

import numpy as np

from callreel.audio import mulaw
from callreel.domain.call import Track
from callreel.simulator.sound.leg_audio import LegAudio

LOUD = np.full(800, 8000, np.int16)  # 100 ms


def test_unwritten_audio_is_silence() -> None:
    audio = LegAudio()
    assert audio.read(Track.INBOUND, 0, 20) == bytes([mulaw.SILENCE]) * 160


def test_audio_is_read_at_its_position_and_track() -> None:
    audio = LegAudio()
    audio.write(Track.OUTBOUND, 40, LOUD)
    assert audio.read(Track.OUTBOUND, 0, 160) == (
        bytes([mulaw.SILENCE]) * 320 + mulaw.encode(LOUD) + bytes([mulaw.SILENCE]) * 160
    )
    assert not audio.samples(Track.INBOUND, 0, 160).any()


def test_later_write_replaces_earlier_audio() -> None:
    audio = LegAudio()
    audio.write(Track.INBOUND, 0, LOUD)
    audio.write(Track.INBOUND, 50, -LOUD)
    assert (np.sign(audio.samples(Track.INBOUND, 0, 150)) == np.repeat([1, -1], [400, 800])).all()


def test_read_audio_cannot_change() -> None:
    audio = LegAudio()
    before = audio.read(Track.INBOUND, 0, 60)
    audio.write(Track.INBOUND, 0, LOUD)
    assert audio.read(Track.INBOUND, 0, 60) == before
    assert audio.samples(Track.INBOUND, 60, 100).all()
