"""The audio file of a recording."""

import io
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import soundfile

from callreel.domain.call import Track
from callreel.simulator.calls.cloud_recording import CloudRecording
from callreel.simulator.sound.leg_audio import LegAudio

PARENT, CHILD = 5116, -1052  # survive mu-law unchanged


def processed(**options: Any) -> CloudRecording:
    """A recording of 1 s whose parent speaks from 100 to 500 ms and whose child from 400 to 800 ms."""
    audio = LegAudio()
    audio.write(Track.INBOUND, 100, np.full(3200, PARENT, np.int16))
    audio.write(Track.OUTBOUND, 400, np.full(3200, CHILD, np.int16))
    pauses = options.pop("paused", [])
    recording = CloudRecording(
        "RE1", "CA1", datetime(2026, 3, 24, tzinfo=UTC), options.pop("start_ms", 0), **options
    )
    for from_ms, to_ms, skip in pauses:
        recording.pause(from_ms, skip=skip)
        if to_ms is not None:
            recording.resume(to_ms)
    recording.end(1000)
    recording.process(audio)
    return recording


def samples_of(recording: CloudRecording) -> Any:
    assert recording.samples is not None
    return recording.samples


def test_channel_1_is_the_parent_leg_channel_2_the_child() -> None:
    samples = samples_of(processed())
    assert samples.shape == (8000, 2)
    assert set(samples[800:4000, 0]) == {PARENT}
    assert set(samples[3200:6400, 1]) == {CHILD}
    assert not samples[6400:].any()


def test_mono_mixes_both_tracks() -> None:
    samples = samples_of(processed(channels=1))
    assert samples.shape == (8000,)
    assert set(samples[3200:4000]) == {PARENT + CHILD}


@pytest.mark.parametrize(("track", "level"), [("inbound", PARENT), ("outbound", CHILD)])
def test_one_sided_recording_is_mono(track: str, level: int) -> None:
    samples = samples_of(processed(channels=1, track=track))
    assert samples.ndim == 1
    assert set(samples) == {0, level}


def test_recording_begins_at_its_start() -> None:
    assert samples_of(processed(start_ms=300)).shape == (5600, 2)


def test_trimming_removes_common_silence_at_both_ends() -> None:
    samples = samples_of(processed(trim=True))
    assert len(samples) == 700 * 8
    assert samples[0, 0] == PARENT
    assert samples[-1, 1] == CHILD


def test_pause_is_silence_or_cut_out() -> None:
    silent = samples_of(processed(paused=[(200, 300, False)]))
    assert len(silent) == 8000
    assert not silent[1600:2400].any()
    assert silent[2400, 0] == PARENT
    skipped = samples_of(processed(paused=[(200, 300, True)]))
    assert len(skipped) == 7200
    assert skipped[1600, 0] == PARENT


def test_open_pause_lasts_to_the_end() -> None:
    assert not samples_of(processed(paused=[(450, None, False)]))[3600:].any()


def test_wav_has_the_requested_channels() -> None:
    recording = processed()
    for channels, expected in ((None, 2), (2, 2), (1, 1)):
        samples, rate_hz = soundfile.read(io.BytesIO(recording.wav(channels)), dtype="int16", always_2d=True)
        assert (rate_hz, samples.shape) == (8000, (8000, expected))
    with pytest.raises(ValueError, match="one channel"):
        processed(channels=1).wav(2)
