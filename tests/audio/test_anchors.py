import numpy as np
import pytest
import soxr

from callreel.audio.anchors import Line, find_lines, jumps, stretch
from tests.audio.voices import ringback, voice

VOICE = voice(30)


def test_constant_offset_gives_one_line() -> None:
    (line,) = find_lines(VOICE[3_337:], VOICE, 8_000)
    assert (line.offset, line.slope) == (3_337.0, 0.0)
    assert line.anchors > 10


def test_line_maps_both_directions() -> None:
    line = Line(first=0, last=1_000, offset=400, slope=1e-4, anchors=2)
    assert line.live_at(line.cloud_at(123_456)) == pytest.approx(123_456)


def test_offset_jump_starts_a_new_line() -> None:
    live = np.concatenate([VOICE[2_000:100_000], np.zeros(700, np.int16), VOICE[101_000:]])
    lines = find_lines(live, VOICE, 8_000)
    assert [line.offset for line in lines] == [2_000.0, 2_300.0]
    assert jumps(lines) == [300.0]


def test_drift_is_a_slope() -> None:
    live = soxr.resample(VOICE, 8_000, 8_000 / (1 + 80e-6))
    (line,) = find_lines(live, VOICE, 8_000)
    assert line.slope == pytest.approx(80e-6, abs=1e-6)
    assert line.offset == pytest.approx(0, abs=0.2)


def test_tones_are_aligned_by_their_beginning_and_end() -> None:
    tones = ringback(20)
    (line,) = find_lines(tones[3_337:], tones, 8_000)
    assert line.offset == 3_337


def test_different_voice_still_gives_a_line() -> None:
    assert len(find_lines(voice(10, seed=4), VOICE, 8_000)) == 1


@pytest.mark.parametrize(
    ("start", "count", "expected"),
    [
        (0, 3, [1, 2, 3]),
        (-2, 4, [0, 0, 1, 2]),
        (2, 4, [3, 0, 0, 0]),
        (-1, 5, [0, 1, 2, 3, 0]),
        (-9, 2, [0, 0]),
        (9, 2, [0, 0]),
    ],
)
def test_samples_outside_a_recording_are_silence(start: int, count: int, expected: list[int]) -> None:
    assert stretch(np.array([1, 2, 3], np.int16), start, count).tolist() == expected
