"""When parties spoke, and what follows from it, against calls composed of spoken pieces at known times."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from callreel.asr.silero import SileroDetector
from callreel.audio.samples import Samples
from callreel.audio.voice_activity import voice_activity
from callreel.domain.call import Role
from callreel.domain.measures import CallMeasures, CallSpeech, Span, measure
from tests.asr.clips import clip
from tests.audio.voices import noisy
from tests.support.installation import LoudnessDetector

VOICES = Path(__file__).parents[2] / "src/callreel/simulator/sound/voices"
A, T = Role.AGENT, Role.TECHNICIAN
EXACT_MS = 100


@cache
def demo_call() -> tuple[dict[Role, Samples], list[tuple[Role, int, int]]]:
    """Both tracks of the demo's call, and who spoke from when to when."""
    tracks = {role: soundfile.read(VOICES / f"{role}.wav", dtype="int16")[0] for role in Role}
    turns = json.loads((VOICES / "service_call.json").read_text(encoding="utf-8"))["turns"]
    return tracks, [(Role(turn["role"]), turn["start_ms"], turn["end_ms"]) for turn in turns]


def detected(samples: Samples) -> list[Span]:
    blocks = (samples[at : at + 80_000] for at in range(0, samples.size, 80_000))
    return [Span(*span) for span in voice_activity(blocks, SileroDetector())]


@pytest.mark.parametrize("noise_db", [None, 30])
def test_each_turn_is_found_within_100_ms(noise_db: int | None) -> None:
    tracks, turns = demo_call()
    for role in Role:
        found = detected(tracks[role] if noise_db is None else noisy(tracks[role], noise_db))
        truth = [(start_ms, end_ms) for by, start_ms, end_ms in turns if by is role]
        for start_ms, end_ms in truth:
            spoken = [span for span in found if span.start_ms < end_ms and span.end_ms > start_ms]
            assert abs(spoken[0].start_ms - start_ms) <= EXACT_MS
            assert abs(spoken[-1].end_ms - end_ms) <= EXACT_MS
            if noise_db is None:
                assert abs(sum(span.length_ms for span in spoken) - (end_ms - start_ms)) <= EXACT_MS
        assert all(any(span.start_ms < end and span.end_ms > start for start, end in truth) for span in found)


# Who speaks which turn of the demo's call, how long after the turn before; negative: that much earlier than its end.
SCRIPT = (
    (T, 0, 800), (A, 0, 600), (T, 1, -1_500), (A, 1, 400), (T, 2, -250), (A, 2, -1_000), (T, 3, 7_000), (A, 3, -2_000),
    (T, 4, 300), (A, 4, -700), (T, 5, 6_000), (A, 5, 500),
)  # fmt: skip
BROKE_IN = [(T, A), (A, T), (A, T), (A, T)]
"""By whom, and who gave way: the overlaps of 1,500, 1,000, 2,000 and 700 ms."""
SILENT = (7_000, 6_000)


def composed(
    pieces: Mapping[Role, Sequence[Samples]],
) -> tuple[dict[Role, Samples], list[tuple[Role, int, int]]]:
    """The script's call of `pieces`, and who speaks from when to when."""
    end_ms, truth = 0, []
    for role, number, gap_ms in SCRIPT:
        start_ms = end_ms + gap_ms
        end_ms = start_ms + pieces[role][number].size // 8
        truth.append((role, start_ms, end_ms))
    tracks = {role: np.zeros((end_ms + 1_000) * 8, np.int16) for role in Role}
    for (role, number, _), (_, start_ms, _) in zip(SCRIPT, truth, strict=True):
        piece = pieces[role][number]
        tracks[role][start_ms * 8 : start_ms * 8 + piece.size] = piece
    return tracks, truth


def check_composed(call: CallMeasures, truth: list[tuple[Role, int, int]]) -> None:
    assert [(one.by, one.gave_way) for one in call.interruptions] == BROKE_IN
    for one, overlap_ms in zip(call.interruptions, (1_500, 1_000, 2_000, 700), strict=True):
        assert abs(one.overlap_ms - overlap_ms) <= EXACT_MS
    assert [round(span.length_ms, -3) for span in call.silences] == list(SILENT)
    for role in Role:
        own = [(start_ms, end_ms) for by, start_ms, end_ms in truth if by is role]
        party = call.of(role)
        assert abs(party.talk_ms - sum(end - start for start, end in own)) <= EXACT_MS * len(own)
        assert party.turns == len(own)
        assert party.first_word_ms is not None and abs(party.first_word_ms - own[0][0]) <= EXACT_MS


def measures_of(tracks: dict[Role, Samples]) -> CallMeasures:
    speech = {role: detected(track) for role, track in tracks.items()}
    return measure(CallSpeech(speech, 0, tracks[A].size // 8), silence_limit_ms=5_000)


def test_interruptions_and_silences_of_a_composed_call() -> None:
    whole, turns = demo_call()
    pieces = {
        role: [whole[role][start_ms * 8 : end_ms * 8] for by, start_ms, end_ms in turns if by is role]
        for role in Role
    }
    tracks, truth = composed(pieces)
    check_composed(measures_of(tracks), truth)


def test_interruptions_and_silences_of_a_call_of_recorded_people() -> None:
    def spoken(name: str) -> Samples:
        samples = clip(name, 8_000)
        loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > np.abs(samples).max() * 0.05)
        return samples[loud[0] // 80 * 80 : (loud[-1] // 80 + 1) * 80]

    agent = [f"sb_spk1_{number}.wav" for number in range(1, 6)] + ["newhome.wav"]
    technician = [f"austen{number:04}.wav" for number in (870, 880, 890, 920, 930)] + ["wyoming.wav"]
    tracks, truth = composed({A: list(map(spoken, agent)), T: list(map(spoken, technician))})
    check_composed(measures_of(tracks), truth)


def test_edges_follow_the_sound_around_what_was_detected() -> None:
    """A detector that sees windows of 32 ms and only what is loud; the soft beginning belongs to the word."""
    random = np.random.default_rng(7)
    track = np.zeros(80_000, np.int16)
    track[16_000:32_000] = random.integers(-6_000, 6_000, 16_000)
    track[14_400:16_000] = random.integers(-400, 400, 1_600)  # soft, from 1,800 ms
    assert voice_activity([track], LoudnessDetector()) == [(1_800, 4_000)]
    assert voice_activity([], LoudnessDetector()) == []
    assert voice_activity([np.zeros(8_000, np.int16)], LoudnessDetector()) == []


def test_digital_silence_is_not_the_noise_of_a_channel() -> None:
    """Half of what is not speech is a pause; the noise of RMS 100 around the words moves no edge."""
    random = np.random.default_rng(7)
    track = random.normal(0, 100, 80_000).astype(np.int16)
    track[16_000:32_000] = random.integers(-6_000, 6_000, 16_000)
    track[48_000:] = 0
    [(start_ms, end_ms)] = voice_activity([track], LoudnessDetector())
    assert abs(start_ms - 2_000) <= EXACT_MS and abs(end_ms - 4_000) <= EXACT_MS
