import numpy as np
import pytest

from callreel.asr.engines.faster_whisper import FasterWhisper, load
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
    assert [word.text for word in later] == [word.text for word in alone]
    for one, other in zip(alone[1:-1], later[1:-1], strict=True):
        assert abs(other.start_ms - one.start_ms - 2_000) <= 200
