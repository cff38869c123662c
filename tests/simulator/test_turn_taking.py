"""When a recorded voice plays its next line: after the person's pause, or after a longer silence."""

import numpy as np
import pytest

from callreel.audio.samples import Samples
from callreel.domain.call import Role
from callreel.simulator.sound.turn_taking import (
    FAREWELL_MS,
    NO_REPLY_MS,
    PAUSE_MS,
    HangUp,
    Say,
    TurnTaking,
    split_lines,
)
from callreel.simulator.sound.voices import load_voice, shipped_voice
from tests.simulator.calling import voice
from tests.support.service_call import shipped_lines

LINE = voice(1, 1000)
SILENCE = np.zeros(160, np.int16)
SPEECH = voice(2, 20)


def until_act(turns: TurnTaking, frame: Samples, limit_ms: int = 60_000) -> tuple[int, Say | HangUp]:
    """The first act of the voice, and after how many ms of that frame."""
    for at_ms in range(20, limit_ms, 20):
        if (act := turns.process(frame)) is not None:
            return at_ms, act
    raise AssertionError("it never did anything")


def feed(turns: TurnTaking, frame: Samples, duration_ms: int) -> None:
    for _ in range(duration_ms // 20):
        assert turns.process(frame) is None


def test_voice_greets_and_waits_for_a_pause() -> None:
    turns = TurnTaking([LINE, LINE])
    assert until_act(turns, SILENCE)[0] == 600
    feed(turns, SPEECH, 3000)
    at_ms, act = until_act(turns, SILENCE)
    assert at_ms == PAUSE_MS and isinstance(act, Say)


def test_short_pause_is_ignored() -> None:
    turns = TurnTaking([LINE, LINE])
    until_act(turns, SILENCE)
    for _ in range(3):
        feed(turns, SPEECH, 1000)
        feed(turns, SILENCE, PAUSE_MS - 40)


def test_speech_during_the_line_counts_as_a_turn() -> None:
    turns = TurnTaking([LINE, LINE])
    until_act(turns, SILENCE)
    feed(turns, SPEECH, 500)
    assert until_act(turns, SILENCE)[0] == PAUSE_MS


def test_silent_person_gets_a_longer_wait() -> None:
    turns = TurnTaking([LINE, LINE])
    until_act(turns, SILENCE)
    assert until_act(turns, SILENCE)[0] == 1000 + NO_REPLY_MS


def test_voice_hangs_up_after_the_last_reply() -> None:
    turns = TurnTaking([LINE])
    until_act(turns, SILENCE)
    feed(turns, SPEECH, 1500)
    assert until_act(turns, SILENCE) == (FAREWELL_MS, HangUp())


@pytest.mark.parametrize("level", [30, 150])
def test_background_noise_is_not_speech(level: int) -> None:
    room = np.random.default_rng(3).normal(0, level, 160).astype(np.int16)
    turns = TurnTaking([LINE, LINE])
    until_act(turns, room)
    feed(turns, SPEECH, 1000)
    assert until_act(turns, room)[0] == PAUSE_MS


def test_recording_is_split_into_lines() -> None:
    gap = np.zeros(8000, np.int16)
    lines = split_lines(np.concatenate([gap, LINE, gap, LINE[:4000], gap]))
    assert [len(line) // 8 for line in lines] == [1200, 700]
    assert split_lines(gap) == []


def test_included_technician_has_one_line_per_turn() -> None:
    spoken = [line for line in shipped_lines() if line.role is Role.TECHNICIAN]
    lines = split_lines(load_voice(shipped_voice(Role.TECHNICIAN)))
    assert [round(len(line) / 8000, 0) for line in lines] == pytest.approx(
        [(line.end_ms - line.start_ms) / 1000 for line in spoken], abs=0.9
    )
