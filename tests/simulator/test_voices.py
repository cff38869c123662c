"""The included voices, and other sound files."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from callreel.domain.call import Role
from callreel.domain.errors import AudioFileError
from callreel.simulator.sound.voices import load_voice, shipped_voice
from tests.support.service_call import shipped_lines


def test_included_voices_are_one_call_of_about_forty_seconds() -> None:
    voices = {role: load_voice(shipped_voice(role)) for role in Role}
    lengths = {len(voice) for voice in voices.values()}
    assert len(lengths) == 1
    assert 38 * 8000 < lengths.pop() < 48 * 8000


def test_each_voice_is_silent_outside_its_own_lines() -> None:
    for role in Role:
        voice = load_voice(shipped_voice(role)).astype(np.int32)
        spoken = np.zeros(len(voice), bool)
        for line in shipped_lines():
            if line.role is role:
                stretch = slice(line.start_ms * 8, line.end_ms * 8)
                assert np.abs(voice[stretch]).max() > 3000, line
                spoken[line.start_ms * 8 : line.end_ms * 8 + 8] = True
        assert not voice[~spoken].any()


def test_included_call_has_an_overlap_and_a_pause() -> None:
    lines = shipped_lines()
    gaps_ms = [later.start_ms - earlier.end_ms for earlier, later in zip(lines, lines[1:], strict=False)]
    assert min(gaps_ms) < -300
    assert max(gaps_ms) > 2000
    assert {line.role for line in lines} == set(Role)


def test_any_wav_becomes_8_khz_mono(tmp_path: Path) -> None:
    seconds = np.arange(44100) / 44100
    left = np.sin(2 * np.pi * 400 * seconds) * 0.5
    soundfile.write(tmp_path / "stereo.wav", np.column_stack([left, left * 0]), 44100)
    voice = load_voice(tmp_path / "stereo.wav")
    assert voice.dtype == np.int16
    assert len(voice) == 8000
    assert 7500 < np.abs(voice[400:-400].astype(int)).max() < 8700


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist"),
        (b"", "cannot be read as one"),
        (b"this is a letter, no sound", "cannot be read as one"),
        ("empty", "contains no samples"),
    ],
)
def test_invalid_voice_file_is_refused_in_one_line(
    tmp_path: Path, content: bytes | str | None, said: str
) -> None:
    path = tmp_path / "voice.wav"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "empty":
        soundfile.write(path, np.zeros(0, np.int16), 8000)
    with pytest.raises(AudioFileError, match=said) as caught:
        load_voice(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
