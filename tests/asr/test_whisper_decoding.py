from typing import Any

import numpy as np
import pytest

from callreel.asr.engines.faster_whisper import FasterWhisper, load
from callreel.asr.engines.whisper_decoding import DecodeSettings, WhisperDecoder
from callreel.asr.stability import same_word
from callreel.audio.resample import upsample_all
from callreel.domain.call import Role
from callreel.simulator.sound.voices import load_voice, shipped_voice
from tests.support.telephone_sounds import RATE


@pytest.fixture(scope="module")
def engine() -> FasterWhisper:
    return load({})


def test_words_of_a_voice_are_recognized_at_their_place(engine: FasterWhisper) -> None:
    voice = load_voice(shipped_voice(Role.TECHNICIAN))[: 6 * RATE]
    alone = engine.decode(upsample_all(voice), partial=False)
    assert len(alone) >= 6
    later = engine.decode(upsample_all(np.concatenate([np.zeros(2 * RATE, np.int16), voice])), partial=False)
    assert len(later) == len(alone)
    assert all(same_word(one.text, other.text) for one, other in zip(later, alone, strict=True))
    for one, other in zip(alone[1:-1], later[1:-1], strict=True):
        assert abs(other.start_ms - one.start_ms - 2_000) <= 200


class _Encoder:
    """The loaded model, noting how many frames of features it is given to encode."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.frames: list[int] = []

    def encode(self, features: Any) -> Any:
        self.frames.append(features.shape[2])
        return self._model.encode(features)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def test_only_the_first_second_of_the_silence_after_a_segment_is_encoded(
    engine: FasterWhisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = engine._decoder._model
    watched = _Encoder(model.model)
    monkeypatch.setattr(model, "model", watched)
    voice = upsample_all(load_voice(shipped_voice(Role.TECHNICIAN))[: 3 * RATE])
    decoder = WhisperDecoder(model)
    first = decoder.decode([voice], DecodeSettings(beam=1))
    again = decoder.decode([voice, voice], DecodeSettings(beam=1))
    frames_a_s = 100
    assert [round(frames / frames_a_s) for frames in watched.frames] == [30, 4, 4], (
        "silence of the whole window once, then each segment and a second"
    )
    [alone], [one, other] = first[0], again[0]
    assert [word.text for word in alone] == [word.text for word in one] == [word.text for word in other]
    assert len(alone) >= 3


def test_a_segment_as_long_as_the_window_has_no_room_for_silence(engine: FasterWhisper) -> None:
    voice = load_voice(shipped_voice(Role.TECHNICIAN))
    long = upsample_all(np.tile(voice, 2 + 30 * RATE // voice.size)[: 29 * RATE + RATE // 2])
    assert len(engine.decode(long, partial=True)) > 30
