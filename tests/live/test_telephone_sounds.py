"""Sounds on telephone lines besides one person speaking, given to the real detector as lanes give them."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from callreel.asr.partial_cadence import PartialCadence
from callreel.asr.silero import SileroDetector
from callreel.asr.turns import merge_turns
from callreel.audio.resample import Upsampler
from callreel.audio.samples import Samples
from callreel.audio.segmenter import SegmenterOptions
from callreel.domain.call import Role
from callreel.domain.transcript import Final, Segment, Word
from callreel.live.endpointing import EndpointDetector
from callreel.simulator.sound.voices import load_voice, shipped_voice
from tests.support.telephone_sounds import RATE, SOUNDS, line


@dataclass
class Asked:
    """What was asked for: finals by role, and how many partials."""

    finals: dict[Role, list[tuple[int, int]]] = field(default_factory=dict)
    partials: int = 0
    most_held_ms: int = 0

    def __call__(self, role: Role, number: int, start_ms: int, samples: Samples, final: bool) -> None:
        if final:
            self.finals.setdefault(role, []).append((start_ms, start_ms + samples.size // 16))
        else:
            self.partials += 1


def listen(**said: Samples) -> Asked:
    """The lanes of one call at once, 160 ms at a time."""
    asked = Asked()
    lanes = {
        Role(role): (
            samples,
            EndpointDetector(Role(role), SileroDetector(), SegmenterOptions(), PartialCadence(), asked),
            Upsampler(0),
        )
        for role, samples in said.items()
    }
    for at in range(0, max(samples.size for samples in said.values()), 1280):
        for samples, endpointer, upsampler in lanes.values():
            block = samples[at : at + 1280]
            if not block.size:
                continue
            endpointer.push(block, upsampler.push(block))
            asked.most_held_ms = max(asked.most_held_ms, endpointer.held_ms)
    for _, endpointer, upsampler in lanes.values():
        endpointer.push(np.zeros(0, np.int16), upsampler.finish())
        endpointer.pause()
    return asked


@pytest.mark.parametrize("name", SOUNDS)
def test_what_is_no_speech_is_no_segment_and_is_not_kept_in_memory(name: str) -> None:
    asked = listen(agent=line(SOUNDS[name]))
    assert (asked.finals, asked.partials) == ({}, 0)
    assert asked.most_held_ms < 2500


@pytest.fixture(scope="module")
def voice() -> Samples:
    """Twelve seconds of one of the stand-in's callers."""
    said = load_voice(shipped_voice(Role.TECHNICIAN))
    return said[: 12 * RATE]


def spoken_ms(asked: Asked, role: Role) -> int:
    return sum(end_ms - start_ms for start_ms, end_ms in asked.finals.get(role, []))


def test_speech_after_two_minutes_of_silence_lies_where_it_was_said(voice: Samples) -> None:
    alone = listen(agent=voice)
    later = listen(agent=np.concatenate([np.zeros(120 * RATE, np.int16), voice]))
    shifted = [(start_ms + 120_000, end_ms + 120_000) for start_ms, end_ms in alone.finals[Role.AGENT]]
    found = later.finals[Role.AGENT]
    assert len(found) == len(shifted)
    # What lies before a first segment is part of it, as far as there is any.
    assert all(
        abs(a - b) <= 600
        for one, other in zip(found, shifted, strict=True)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("sound", ["ringback", "keys", "hold music"])
def test_speech_over_a_sound_is_still_detected(voice: Samples, sound: str) -> None:
    behind = 0.15 * np.resize(SOUNDS[sound], voice.size)
    mixed = line(voice / 32768 + behind)
    assert spoken_ms(listen(agent=mixed), Role.AGENT) >= 0.6 * spoken_ms(listen(agent=voice), Role.AGENT)


def test_parties_who_speak_at_once_have_their_own_segments(voice: Samples) -> None:
    shifted = np.concatenate([np.zeros(700 * 8, np.int16), voice])
    both = listen(agent=voice, technician=shifted)
    for role, samples in ((Role.AGENT, voice), (Role.TECHNICIAN, shifted)):
        assert both.finals[role] == listen(**{role: samples}).finals[role]
    overlap = [
        min(a[1], b[1]) - max(a[0], b[0])
        for a in both.finals[Role.AGENT]
        for b in both.finals[Role.TECHNICIAN]
    ]
    assert max(overlap) > 1000
    finals = [
        Final(Segment(role, number, *span), (Word(f"{role}-{number}", *span),))
        for role, spans in both.finals.items()
        for number, span in enumerate(spans)
    ]
    turns = merge_turns(finals)
    assert sum(len(turn.words) for turn in turns) == len(finals), "nothing is lost where they overlap"
    assert any(a.end_ms > b.start_ms for a, b in zip(turns, turns[1:], strict=False)), (
        "overlaps stay overlaps"
    )
