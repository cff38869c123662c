"""The oracle recognizes every word, so each error here is a fault of ours."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from callreel.asr.engines.registry import EngineChoice
from callreel.asr.silero import SileroDetector
from callreel.asr.workers.host import EngineHost
from callreel.audio.samples import ASR_SAMPLES_PER_MS, Samples
from callreel.audio.segmenter import SegmenterOptions, speech_spans
from callreel.domain.call import Role
from callreel.evaluation.decoding import Decoded, EngineDecoding, Oracle
from callreel.evaluation.evaluate import (
    Evaluated,
    EvaluationOptions,
    by_kind,
    evaluate,
    figures,
)
from callreel.evaluation.material import Recorded, read_material
from tests.asr.clips import FOLDER
from tests.support.installation import LoudnessDetector
from tests.support.two_channel_call import write_call, write_manifest

CALLS = FOLDER / "calls" / "manifest.tsv"


def judged(recorded: Recorded, oracle: Oracle) -> Evaluated:
    return asyncio.run(evaluate(recorded, oracle, LoudnessDetector, EvaluationOptions()))


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return read_material(write_call(tmp_path))[0]


def test_the_oracle_makes_no_error_offline_or_live(recorded: Recorded) -> None:
    found = figures([judged(recorded, Oracle())])
    assert (found["words"], found["wer_offline"], found["wer_live"]) == (18, 0, 0)
    assert (found["streaming_gap"], found["cp_wer_minus_orc_wer"], found["tcp_wer"]) == (0, 0, 0)
    assert found["tcp_wer_minus_tcorc_wer"] == 0
    assert (found["finals"], found["finals_lost"], found["retracted"]) == (4, 0, 0)
    assert (found["words_lost"], found["words_cut"], found["false_segments"]) == (0, 0, 0)


def test_delays_are_those_of_blocks_silence_and_decoding(recorded: Recorded) -> None:
    found = figures([judged(recorded, Oracle(delay_ms=100))])
    decision, final = found["turn_end_decision_p95_ms"], found["final_latency_p95_ms"]
    partial, word = found["partial_latency_p50_ms"], found["word_latency_p50_ms"]
    assert decision is not None and final is not None and partial is not None and word is not None
    assert 500 <= decision <= 540
    assert decision + 100 <= final <= decision + 100 + 160 + 315
    assert 100 < partial < word


class _Stumbling(Oracle):
    """Leaves out the last word of each final, and adds one to each partial."""

    def forget(self, role: Role, start_ms: int) -> None:
        pass

    async def decode(
        self, role: Role, start_ms: int, samples16k: Samples, *, partial: bool, cheap: bool = False
    ) -> Decoded:
        decoded = await super().decode(role, start_ms, samples16k, partial=partial)
        words = list(decoded.words)
        return Decoded(words + words[:1] if partial else words[:-1], decoded.took_ms, 0.01)


def test_an_engines_errors_are_counted_live_and_offline_alike(recorded: Recorded) -> None:
    found = figures([judged(recorded, _Stumbling())])
    assert found["wer_offline"] == found["wer_live"] == pytest.approx(4 / 18, abs=1e-3)
    assert found["streaming_gap"] == 0
    assert found["retracted"] is not None and found["retracted"] > 0.1
    assert found["core_s_per_s_live"] is not None and found["core_s_per_s_live"] > 0


async def test_without_the_live_part_the_offline_figures_stand_alone(recorded: Recorded) -> None:
    result = await evaluate(recorded, Oracle(), LoudnessDetector, EvaluationOptions(live=False))
    found = figures([result])
    assert (found["wer_offline"], found["wer_live"], found["streaming_gap"]) == (0, None, None)
    assert result.text == result.offline_text and result.errors == result.offline


def test_texts_of_each_party_are_kept_for_the_report(recorded: Recorded) -> None:
    result = judged(recorded, Oracle())
    assert result.live_text[Role.TECHNICIAN] == "no it has leaked since monday done"
    assert result.offline_text == result.live_text


def test_a_clip_has_error_rates_but_no_delays(tmp_path: Path, recorded: Recorded) -> None:
    samples, rate_hz = soundfile.read(recorded.path, dtype="int16")
    soundfile.write(tmp_path / "clip.wav", samples[:, 0], rate_hz)
    manifest = write_manifest(tmp_path, [{"file": "clip.wav", "reference": "is the pump"}])
    result = judged(read_material(manifest)[0], Oracle())
    found = figures([result])
    assert found["wer_live"] == 1  # the oracle knows no times, so it says nothing
    assert found["final_latency_p95_ms"] is None and found["tcp_wer"] is None


def test_figures_of_several_recordings_are_over_all_their_words(recorded: Recorded) -> None:
    results = [judged(recorded, Oracle()), judged(recorded, _Stumbling())]
    assert figures(results)["wer_live"] == pytest.approx(2 / 18, abs=1e-3)
    assert list(by_kind(results)) == ["made call"]
    assert figures([])["wer_live"] is None


def test_segments_say_when_they_were_decided() -> None:
    speech = np.zeros(24_000, np.int16)
    speech[8000:12_000] = 5000
    (piece,) = speech_spans([speech], LoudnessDetector(), SegmenterOptions())
    assert 500 <= piece.decided_ms - 1500 <= 540
    (piece,) = speech_spans([speech[:13_000]], LoudnessDetector(), SegmenterOptions())
    assert piece.decided_ms == 1625


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["real call", "vcon call"])
async def test_on_recorded_speech_nothing_of_ours_costs_a_word(kind: str) -> None:
    """The gate of issue 5 in its short form: see docs/words.md for the whole."""
    if not CALLS.is_file():
        pytest.skip(f"needs the test recordings of {CALLS.parent}")
    recorded = next(one for one in read_material(CALLS) if one.kind == kind)
    found = figures([await evaluate(recorded, Oracle(), SileroDetector, EvaluationOptions())])
    assert (found["wer_offline"], found["streaming_gap"], found["cp_wer_minus_orc_wer"]) == (0, 0, 0)
    for name, most in (
        ("words_lost", 0.005),
        ("turn_end_decision_p90_ms", 650),
        ("partial_latency_p50_ms", 600),
        ("partial_latency_p95_ms", 1000),
        ("final_latency_p95_ms", 1500),
        ("finals_lost", 0),
    ):
        value = found[name]
        assert value is not None and value <= most, name


class SteadyDecoding(EngineDecoding):
    """The engine's words, each after a time that depends on the length of the audio and not on the machine's load."""

    async def decode(
        self, role: Role, start_ms: int, samples16k: Samples, *, partial: bool, cheap: bool = False
    ) -> Decoded:
        decoded = await super().decode(role, start_ms, samples16k, partial=partial, cheap=cheap)
        return replace(decoded, took_ms=60 + 0.03 * samples16k.size / ASR_SAMPLES_PER_MS)


@pytest.mark.slow
async def test_real_engine_loses_nothing_live_on_a_service_call() -> None:
    """The gate with a real engine, on one call of 245 words, of which one is 0.4 points: live, two more errors than the bar of
    all calls are allowed. `callreel evaluate` judges the gap between live and final text over all calls, and latencies."""
    if not CALLS.is_file():
        pytest.skip(f"needs the test recordings of {CALLS.parent}")
    recorded = next(one for one in read_material(CALLS) if one.kind == "vcon call")

    host = EngineHost(EngineChoice("faster-whisper"), 1)
    await host.start()
    try:
        evaluated = await evaluate(recorded, SteadyDecoding(host), SileroDetector, EvaluationOptions())
    finally:
        await host.close()
    found = figures([evaluated])
    for name, most in (
        ("wer_offline", 0.04),
        ("wer_live", 0.048),
        ("tcp_wer_minus_tcorc_wer", 0),
        ("retracted", 0.3),
        ("words_lost", 0.005),
    ):
        value = found[name]
        assert value is not None and value <= most, name
    assert found["finals_lost"] == 0
