import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from callreel.asr.engine import Capabilities
from callreel.asr.engines.registry import EngineChoice
from callreel.asr.overload import OverloadLevel
from callreel.asr.silero import SileroDetector
from callreel.asr.workers.host import EngineHost
from callreel.audio.samples import Samples
from callreel.audio.segmenter import SegmenterOptions
from callreel.domain.call import Role
from callreel.evaluation.decoding import Decoded, Decoding, EngineDecoding, Oracle
from callreel.evaluation.material import Recorded, read_material
from callreel.evaluation.simulated_live import LiveRun, simulate_live
from tests.asr.clips import FOLDER
from tests.support.installation import LoudnessDetector
from tests.support.two_channel_call import SECONDS, TURNS, write_call

CALLS = FOLDER / "calls" / "manifest.tsv"


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return read_material(write_call(tmp_path))[0]


def live(recorded: Recorded, decoding: Decoding, workers: int = 2) -> LiveRun:
    return asyncio.run(
        simulate_live(
            recorded,
            decoding,
            workers=workers,
            new_detector=LoudnessDetector,
            segmenter=SegmenterOptions(),
        )
    )


def texts(run: LiveRun, role: Role) -> list[str]:
    return [given.final.text for given in run.finals if given.final.segment.role is role]


def test_every_turn_has_one_final_with_all_its_words(recorded: Recorded) -> None:
    run = live(recorded, Oracle())
    assert texts(run, Role.AGENT) == [text for channel, _, text in TURNS if channel == 0]
    assert texts(run, Role.TECHNICIAN) == [text for channel, _, text in TURNS if channel == 1]
    assert (run.finals_requested, run.finals_lost) == (4, 0)


def test_final_comes_after_closing_silence_and_decode(recorded: Recorded) -> None:
    run = live(recorded, Oracle(delay_ms=100))
    ends_ms = sorted(spoken.end_ms for spoken in recorded.spoken)
    for given, end_ms in zip(run.finals, ends_ms, strict=True):
        assert 500 + 100 <= given.at_ms - end_ms <= 1300


def test_partials_come_while_the_segment_is_open_and_only_grow(recorded: Recorded) -> None:
    run = live(recorded, Oracle())
    first = [shown for shown in run.partials if (shown.role, shown.number) == (Role.AGENT, 0)]
    final = next(given for given in run.finals if given.final.segment.role is Role.AGENT)
    assert len(first) >= 2
    assert all(shown.at_ms < final.at_ms for shown in first)
    for before, after in zip(first, first[1:], strict=False):
        assert after.words[: len(before.words)] == before.words


def test_simulation_requests_no_partials_from_engines_without(recorded: Recorded) -> None:
    run = live(recorded, Oracle(partials=False))
    assert run.partials == [] and len(run.finals) == 4


def test_slow_engine_costs_partials_and_time_but_no_final(recorded: Recorded) -> None:
    slow = live(recorded, Oracle(delay_ms=12_000), workers=1)
    assert slow.finals_lost == 0 and len(slow.finals) == 4
    assert texts(slow, Role.AGENT) == texts(live(recorded, Oracle()), Role.AGENT)
    assert slow.finals[-1].at_ms > SECONDS * 1000 + 12_000


def test_two_workers_are_done_sooner_than_one(recorded: Recorded) -> None:
    one, two = (live(recorded, Oracle(delay_ms=6000), workers=workers) for workers in (1, 2))
    assert two.finals[-1].at_ms < one.finals[-1].at_ms


class _Deaf:
    """Fails on every segment."""

    capabilities = Oracle().capabilities

    def begin(self, recorded: Recorded) -> None:
        pass

    def forget(self, role: Role, start_ms: int) -> None:
        pass

    async def decode(
        self, role: Role, start_ms: int, samples16k: Samples, *, partial: bool, cheap: bool = False
    ) -> Decoded:
        return Decoded([], 50, 0.0, failed=True)


def test_finals_that_failed_are_lost(recorded: Recorded) -> None:
    run = live(recorded, _Deaf())
    assert (run.finals_requested, run.finals_lost, run.partials) == (4, 4, [])


class _Slow(Oracle):
    """Takes `factor` times as long as the audio lasts; with cheaper settings, half of that."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.cheap = 0

    async def decode(
        self, role: Role, start_ms: int, samples16k: Samples, *, partial: bool, cheap: bool = False
    ) -> Decoded:
        decoded = await super().decode(role, start_ms, samples16k, partial=partial)
        self.cheap += cheap and not partial
        return replace(decoded, took_ms=self.factor * samples16k.size / 16 * (0.5 if cheap else 1))


def test_three_times_what_the_machine_can_do_costs_all_but_finals(tmp_path: Path) -> None:
    """Segments are 9.7 of 16 seconds; one worker that takes 5 seconds for each of them has three times its due."""
    repeats = 16
    recorded = read_material(write_call(tmp_path, repeats=repeats))[0]
    slow = _Slow(5)
    run = live(recorded, slow, workers=1)
    said = repeats * len(TURNS)
    assert (run.finals_requested, len(run.finals), run.finals_lost) == (said, said, 0)
    assert set(run.levels) == set(OverloadLevel), "every level is passed"
    assert run.levels[-1] is OverloadLevel.NONE, "and left again"
    assert run.partials_shed > 0 and slow.cheap > 0 and run.finals_spilled > 0
    assert run.finals[-1].at_ms > repeats * SECONDS * 1000, "the rest comes after the call"
    numbers = [(given.final.segment.role, given.final.segment.number) for given in run.finals]
    assert len(set(numbers)) == said
    assert sorted(texts(run, Role.AGENT)) == sorted(
        repeats * [text for channel, _, text in TURNS if channel == 0]
    )


class _Slowed:
    """A real engine whose decodes take `factor` times the processor time they took, in segments that begin before `until_ms`."""

    def __init__(self, engine: Decoding, factor: float, until_ms: int) -> None:
        self._engine = engine
        self._factor = factor
        self._until_ms = until_ms
        self.cheap = 0
        self.finals_ms = 0.0

    @property
    def capabilities(self) -> Capabilities:
        return self._engine.capabilities

    def begin(self, recorded: Recorded) -> None:
        self._engine.begin(recorded)

    async def decode(
        self, role: Role, start_ms: int, samples16k: Samples, *, partial: bool, cheap: bool = False
    ) -> Decoded:
        decoded = await self._engine.decode(role, start_ms, samples16k, partial=partial, cheap=cheap)
        self.cheap += cheap and not partial
        self.finals_ms += 0 if partial else decoded.took_ms
        slower = self._factor if start_ms < self._until_ms else 1
        return replace(decoded, took_ms=slower * decoded.took_ms)


@pytest.mark.slow
async def test_real_engine_at_triple_load_loses_no_final_and_recovers(tmp_path: Path) -> None:
    """One worker; the engine is slowed until the finals alone need three, and after a pause runs at full speed again."""
    if not CALLS.is_file():
        pytest.skip(f"needs the test recordings of {CALLS.parent}")
    call = next(one for one in read_material(CALLS) if one.name == "real_katie_steve")
    samples, rate_hz = soundfile.read(call.path, dtype="int16")
    pause = np.zeros((180 * rate_hz, 2), np.int16)
    soundfile.write(tmp_path / "twice.wav", np.concatenate([samples, pause, samples]), rate_hz)
    twice = replace(call, path=tmp_path / "twice.wav")
    over_ms = len(samples) * 1000 // rate_hz
    again_ms = over_ms + 175_000  # a segment begins a little before its words

    async def listen(recorded: Recorded, decoding: Decoding) -> LiveRun:
        return await simulate_live(
            recorded, decoding, workers=1, new_detector=SileroDetector, segmenter=SegmenterOptions()
        )

    async def scene() -> tuple[LiveRun, LiveRun, _Slowed]:
        host = EngineHost(EngineChoice("faster-whisper"), 1)
        await host.start()
        try:
            usual_speed = _Slowed(EngineDecoding(host), 1, 0)
            usual = await listen(call, usual_speed)
            slowed = _Slowed(EngineDecoding(host), 3 * over_ms / usual_speed.finals_ms, over_ms)
            return usual, await listen(twice, slowed), slowed
        finally:
            await host.close()

    usual, run, slowed = await scene()
    assert max(usual.levels) < OverloadLevel.CHEAPER and usual.finals_lost == 0
    assert (len(run.finals), run.finals_lost) == (run.finals_requested, 0)
    first = [given for given in run.finals if given.final.segment.start_ms < again_ms]
    assert len(first) == len(usual.finals)
    assert sum(len(given.final.words) for given in first) > 40
    assert run.partials_shed > 0 and slowed.cheap > 0
    assert max(run.levels) >= OverloadLevel.CHEAPER and run.levels[-1] is OverloadLevel.NONE
    followed = [shown for shown in run.partials if shown.at_ms > again_ms]
    assert len(followed) > 10, "words appear as they are said again"
