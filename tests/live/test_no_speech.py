"""Sounds without speech have no words: live, in the final transcript, and given to the engine directly.

`CALLREEL_TEST_SOUND_MINUTES=10` gives ten minutes of each sound instead of eight seconds, as a call only: given a minute of
ringback directly, past the detector, the engine writes beeps.
"""

import os
from collections.abc import Iterator

import numpy as np
import pytest

from callreel.asr.engine import RecognizedWord
from callreel.asr.engines.faster_whisper import FasterWhisper, load
from callreel.asr.partial_cadence import PartialCadence
from callreel.asr.silero import SileroDetector
from callreel.audio.resample import Upsampler, upsample_all
from callreel.audio.samples import ASR_HZ, ASR_SAMPLES_PER_MS, TELEPHONE_HZ, Samples
from callreel.audio.segmenter import SegmenterOptions, speech_spans
from callreel.domain.call import Role
from callreel.live.endpointing import EndpointDetector
from tests.support.telephone_sounds import SOUNDS, hold_music, line, noise

MINUTES = float(os.environ.get("CALLREEL_TEST_SOUND_MINUTES", "0"))
SECONDS = round(60 * MINUTES) or 8
BLOCK = TELEPHONE_HZ // 50


@pytest.fixture(scope="module")
def engine() -> FasterWhisper:
    return load({})


def lasting(name: str) -> Samples:
    """The sound for `SECONDS`: music and noise continue, tones are repeated."""
    match name:
        case "hold music":
            sound = hold_music(SECONDS)
        case "a noisy line" | "loud noise":
            sound = noise(SECONDS, {"a noisy line": 0.003, "loud noise": 0.05}[name])
        case _:
            sound = np.resize(SOUNDS[name], SECONDS * TELEPHONE_HZ)
    return line(sound)


def live_words(engine: FasterWhisper, samples: Samples) -> list[RecognizedWord]:
    """The words of all partials and finals of a lane."""
    words: list[RecognizedWord] = []

    def request(role: Role, number: int, start_ms: int, samples16k: Samples, final: bool) -> None:
        words.extend(engine.decode(samples16k, partial=not final))

    endpointer = EndpointDetector(Role.AGENT, SileroDetector(), SegmenterOptions(), PartialCadence(), request)
    upsampler = Upsampler(0)
    for at in range(0, samples.size, BLOCK):
        endpointer.push(samples[at : at + BLOCK], upsampler.push(samples[at : at + BLOCK]))
    endpointer.pause()
    return words


def final_words(engine: FasterWhisper, samples: Samples) -> list[RecognizedWord]:
    """The words of the pass after the call."""
    wide = upsample_all(samples)
    spans = speech_spans([samples], SileroDetector(), SegmenterOptions(min_silence_ms=800))
    pieces = (wide[one.start_ms * ASR_SAMPLES_PER_MS : one.end_ms * ASR_SAMPLES_PER_MS] for one in spans)
    return [word for piece in pieces for word in engine.decode(piece, partial=False)]


def pieces(samples16k: Samples) -> Iterator[Samples]:
    """Pieces as a detector that takes everything for speech would cut them: long and short in turn, all of the sound."""
    at, turn = 0, 0
    while at < samples16k.size:
        length = int((6.0, 1.5, 15.0)[turn % 3] * ASR_HZ)
        yield samples16k[at : at + length]
        at, turn = at + length, turn + 1


@pytest.mark.timeout(3_600 if MINUTES else 60)
@pytest.mark.parametrize("name", SOUNDS)
def test_sound_without_speech_has_no_words(engine: FasterWhisper, name: str) -> None:
    samples = lasting(name)
    assert samples.size == SECONDS * TELEPHONE_HZ
    assert live_words(engine, samples) == [] and final_words(engine, samples) == []
    for piece in () if MINUTES else pieces(upsample_all(samples)):
        for partial in (True, False):
            assert list(engine.decode(piece, partial=partial)) == []
