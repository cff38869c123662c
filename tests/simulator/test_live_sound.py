"""Where a live person's frames are placed on a call."""

import numpy as np

from callreel.audio import mulaw
from callreel.domain.call import Track
from callreel.simulator.sound.leg_audio import LegAudio
from callreel.simulator.sound.live_sound import LEAD_MS, LiveInput
from tests.simulator.calling import voice

VOICE = mulaw.decode(mulaw.encode(voice(5, 1000)))


def said(*arrivals: tuple[float, int]) -> tuple[LegAudio, LiveInput]:
    """A person who spoke frame number n at that time, for each (time, n)."""
    audio = LegAudio()
    mouth = LiveInput(audio, Track.INBOUND)
    for now_ms, number in arrivals:
        mouth.write(now_ms, number * 160, VOICE[number * 160 : (number + 1) * 160])
    return audio, mouth


def test_frames_keep_the_distance_of_their_timestamps() -> None:
    jitter = [0, 15, 3, 20, 1, 9, 0, 30]
    audio, mouth = said(*((1000 + 20 * n + late, n) for n, late in enumerate(jitter)))
    assert (audio.samples(Track.INBOUND, 1000 + LEAD_MS, 1160 + LEAD_MS) == VOICE[:1280]).all()
    assert mouth.slips == 0


def test_lost_frame_leaves_a_gap() -> None:
    audio, _ = said((0, 0), (40, 2))
    received = audio.samples(Track.INBOUND, LEAD_MS, LEAD_MS + 60)
    assert (received[:160] == VOICE[:160]).all() and (received[320:] == VOICE[320:480]).all()
    assert not received[160:320].any()


def test_late_frame_is_moved_and_read_audio_is_kept() -> None:
    audio, mouth = said((0, 0))
    before = audio.samples(Track.INBOUND, 0, 500)
    mouth.write(500, 160, VOICE[160:320])
    assert mouth.slips == 1
    assert (audio.samples(Track.INBOUND, 0, 500) == before).all()
    assert (audio.samples(Track.INBOUND, 500 + LEAD_MS, 520 + LEAD_MS) == VOICE[160:320]).all()


def test_fast_browser_clock_is_compensated() -> None:
    audio, mouth = said(*((n * 19.9, n) for n in range(50)))
    for number in range(50, 5000):
        mouth.write(number * 19.9, number * 160, np.zeros(160, np.int16))
    assert mouth.slips >= 2
    length_ms = len(audio._codes[Track.INBOUND]) / 8
    assert length_ms < 5000 * 19.9 + 260
