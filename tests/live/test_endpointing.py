import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callreel.asr.partial_cadence import PartialCadence
from callreel.audio.resample import Upsampler, upsample_all
from callreel.audio.samples import Samples
from callreel.audio.segmenter import Closed, Segmenter, SegmenterOptions, SpeechDetector, Split
from callreel.domain.call import Role
from callreel.live.endpointing import EndpointDetector, SampleStore, SpeechDetection, one_by_one
from tests.support.installation import LoudnessDetector, silence, speech

OPTIONS = SegmenterOptions()


@dataclass
class Asked:
    """What a lane's endpointer asked for: (number, start_ms, samples)."""

    finals: list[tuple[int, int, Samples]] = field(default_factory=list)
    partials: list[tuple[int, int, Samples]] = field(default_factory=list)

    def __call__(self, role: Role, number: int, start_ms: int, samples: Samples, final: bool) -> None:
        assert role is Role.TECHNICIAN
        (self.finals if final else self.partials).append((number, start_ms, samples))


def a_hearing(
    asked: Asked, *, cadence: PartialCadence | None = None, options: SegmenterOptions = OPTIONS
) -> EndpointDetector:
    return EndpointDetector(Role.TECHNICIAN, LoudnessDetector(), options, cadence, asked)


def play(endpointer: EndpointDetector, samples8k: Samples, blocks_ms: list[int] | None = None) -> None:
    """As a lane does it: blocks, then the resampler's rest, then the pause."""
    upsampler, at, sizes = Upsampler(0), 0, [ms * 8 for ms in blocks_ms or [160]]
    turn = 0
    while at < samples8k.size:
        block = samples8k[at : at + sizes[turn % len(sizes)]]
        endpointer.push(block, upsampler.push(block))
        at, turn = at + block.size, turn + 1
    endpointer.push(silence(0), upsampler.finish())
    endpointer.pause()


def expected(samples8k: Samples, options: SegmenterOptions = OPTIONS) -> list[tuple[int, int, int]]:
    """(number, start_ms, end_ms) of the segments, by the segmenter alone."""
    segmenter, detector, spans = Segmenter(options), LoudnessDetector(), []
    for at in range(0, samples8k.size - 255, 256):
        spans.append(segmenter.push(detector.probability(samples8k[at : at + 256])))
    spans.append(segmenter.finish(samples8k.size // 8))
    cut = [event for event in spans if isinstance(event, Closed | Split)]
    return [(number, event.start_ms, event.end_ms) for number, event in enumerate(cut)]


def is_the_stretch(samples: Samples, whole: Samples) -> bool:
    """Layer 2's very samples, but for the newest at its end, which were not certain yet: they may be off by one."""
    if samples.size != whole.size:
        return False
    newest = 16 * 140
    apart = np.abs(samples[-newest:].astype(np.int32) - whole[-newest:])
    return np.array_equal(samples[:-newest], whole[:-newest]) and (apart.max(initial=0) <= 1)


TALK = np.concatenate(
    [
        silence(1_200),
        speech(900),
        silence(1_500),
        speech(400, seed=2),
        silence(300),
        speech(700, seed=3),
        silence(900),
    ]
)


def test_segments_hold_the_samples_of_their_place() -> None:
    asked = Asked()
    play(a_hearing(asked), TALK)
    whole = upsample_all(TALK)
    spans = expected(TALK)
    assert [number for number, _, _ in spans] == [0, 1]
    assert [(number, start_ms) for number, start_ms, _ in asked.finals] == [span[:2] for span in spans]
    for (_, start_ms, samples), (_, _, end_ms) in zip(asked.finals, spans, strict=True):
        assert is_the_stretch(samples, whole[start_ms * 16 : end_ms * 16])
    assert asked.partials == []


def test_closed_segment_does_not_wait_for_the_resampler() -> None:
    """Speech to 900 ms and half a second of silence: nothing of the resampler's delay is added to it."""
    asked, said = Asked(), np.concatenate([speech(900), silence(1_000)])
    endpointer, upsampler = a_hearing(asked), Upsampler(0)
    ((_, start_ms, end_ms),) = expected(said)
    given_at_ms = None
    for at in range(0, said.size, 160):
        endpointer.push(said[at : at + 160], upsampler.push(said[at : at + 160]))
        if asked.finals and given_at_ms is None:
            given_at_ms = (at + 160) // 8
    assert given_at_ms is not None
    speech_end_ms = end_ms - OPTIONS.post_ms
    assert given_at_ms <= speech_end_ms + OPTIONS.min_silence_ms + OPTIONS.window_ms + 20
    assert is_the_stretch(asked.finals[0][2], upsample_all(said)[start_ms * 16 : end_ms * 16])


def test_open_segment_does_not_wait_for_the_resampler() -> None:
    asked, said = Asked(), speech(2_000)
    endpointer, upsampler = a_hearing(asked, cadence=PartialCadence(first_ms=500, gap_ms=20)), Upsampler(0)
    behind = []
    for at in range(0, said.size, 160):
        endpointer.push(said[at : at + 160], upsampler.push(said[at : at + 160]))
        if at >= 500 * 8 + 160:
            _, start_ms, samples = asked.partials[-1]
            behind.append((at + 160) // 8 - start_ms - samples.size // 16)
    assert max(behind) <= 25 + 20, "what the filter looks ahead, and a block"


def test_pause_closes_what_is_open() -> None:
    asked, endpointer = Asked(), a_hearing(Asked())
    endpointer = a_hearing(asked)
    upsampler = Upsampler()
    said = np.concatenate([silence(500), speech(1_000)])
    endpointer.push(said, upsampler.push(said))
    assert asked.finals == []
    endpointer.push(silence(0), upsampler.finish())
    endpointer.pause()
    ((number, start_ms, samples),) = asked.finals
    assert (number, start_ms, start_ms + samples.size // 16) == (0, 0, 1_500)


def test_numbers_and_positions_go_on_after_a_pause() -> None:
    asked = Asked()
    endpointer = a_hearing(asked)
    play(endpointer, np.concatenate([speech(1_000), silence(10)]))
    play(endpointer, np.concatenate([silence(1_990), speech(800, seed=2), silence(700)]))
    (first, start_ms, _), (second, second_ms, _) = asked.finals
    assert (first, start_ms, second) == (0, 0, 1)
    assert 2_450 <= second_ms <= 2_500


def test_partials_come_at_the_cadence_and_begin_with_their_segment() -> None:
    asked = Asked()
    said = np.concatenate([silence(600), speech(3_000), silence(800)])
    play(a_hearing(asked, cadence=PartialCadence(first_ms=1_000, gap_ms=600)), said)
    ((_, start_ms, final),) = asked.finals
    lengths = [samples.size // 16 for _, _, samples in asked.partials]
    assert {(number, start) for number, start, _ in asked.partials} == {(0, start_ms)}
    assert lengths[0] >= 1_000 and len(lengths) >= 3
    assert all(later - earlier >= 600 for earlier, later in zip(lengths, lengths[1:], strict=False))
    for _, _, samples in asked.partials:
        shared = min(samples.size, final.size)
        assert is_the_stretch(samples[:shared], final[:shared])


def test_engine_without_partials_gets_no_requests_for_them() -> None:
    asked = Asked()
    play(a_hearing(asked), speech(5_000))
    assert asked.partials == [] and len(asked.finals) == 1


@pytest.mark.parametrize("dip_ms", [160, 400])
def test_long_speech_is_split_without_losing_a_sample(dip_ms: int) -> None:
    """The resampler lags behind detection: what it still owes must not be missing from either half."""
    options = SegmenterOptions(soft_max_ms=2_000, hard_max_ms=3_000)
    said = np.concatenate([speech(2_100), silence(dip_ms), speech(1_500, seed=2), silence(1_000)])
    asked = Asked()
    play(a_hearing(asked, options=options), said)
    whole, spans = upsample_all(said), expected(said, options)
    assert len(spans) == 2 and spans[0][2] == spans[1][1]
    assert [(number, start_ms) for number, start_ms, _ in asked.finals] == [span[:2] for span in spans]
    for (_, start_ms, samples), (_, _, end_ms) in zip(asked.finals, spans, strict=True):
        assert is_the_stretch(samples, whole[start_ms * 16 : end_ms * 16])


@given(
    parts=st.lists(st.tuples(st.booleans(), st.integers(50, 2_500)), min_size=1, max_size=8),
    blocks_ms=st.lists(st.integers(1, 700), min_size=1, max_size=6),
)
@settings(max_examples=40, deadline=None)
def test_no_block_size_loses_a_needed_sample(parts: list[tuple[bool, int]], blocks_ms: list[int]) -> None:
    options = SegmenterOptions(soft_max_ms=2_000, hard_max_ms=3_000)
    said = np.concatenate(
        [speech(ms, seed=number) if loud else silence(ms) for number, (loud, ms) in enumerate(parts)]
    )
    asked = Asked()
    play(a_hearing(asked, cadence=PartialCadence(), options=options), said, blocks_ms)
    whole, spans = upsample_all(said), expected(said, options)
    assert [(number, start_ms) for number, start_ms, _ in asked.finals] == [span[:2] for span in spans]
    for (_, start_ms, samples), (_, _, end_ms) in zip(asked.finals, spans, strict=True):
        assert is_the_stretch(samples, whole[start_ms * 16 : end_ms * 16])
    for _, start_ms, samples in asked.partials:
        assert is_the_stretch(samples, whole[start_ms * 16 : start_ms * 16 + samples.size])


def test_memory_is_bounded_by_the_open_segment() -> None:
    """Also for somebody who never pauses: one segment follows the other without a gap."""
    asked, upsampler = Asked(), Upsampler()
    options = SegmenterOptions(soft_max_ms=2_000, hard_max_ms=3_000)
    endpointer = a_hearing(asked, cadence=PartialCadence(), options=options)
    most_ms = 0
    for turn in range(40):
        block = speech(1_000, seed=turn)
        endpointer.push(block, upsampler.push(block))
        most_ms = max(most_ms, endpointer.held_ms)
    assert len(asked.finals) >= 10
    assert most_ms <= options.hard_max_ms + options.pre_ms + 2_000


def test_sample_store_gives_what_it_holds() -> None:
    store = SampleStore()
    for start in range(0, 50, 10):
        store.append(np.arange(start, start + 10, dtype=np.int16))
    assert store.between(5, 25).tolist() == list(range(5, 25))
    assert store.between(45, 99).tolist() == list(range(45, 50))
    store.append(np.arange(50, 60, dtype=np.int16))
    store.forget(50)
    assert store.between(40, 60).tolist() == list(range(50, 60))
    assert store.end == 60


async def test_lanes_that_share_detection_are_cut_as_each_alone_would_be() -> None:
    runs: list[int] = []

    def probabilities(detectors: Sequence[SpeechDetector], windows: Sequence[Samples]) -> list[float]:
        runs.append(len(windows))
        return one_by_one(detectors, windows)

    detection, tracks = SpeechDetection(probabilities), [TALK, np.roll(TALK, 5_000)]
    alone = []
    for track in tracks:
        asked = Asked()
        play(a_hearing(asked, cadence=PartialCadence()), track, [20])
        alone.append(asked)
    together = [Asked() for _ in tracks]
    lanes = [
        EndpointDetector(
            Role.TECHNICIAN, LoudnessDetector(), OPTIONS, PartialCadence(), asked, detection=detection
        )
        for asked in together
    ]
    upsamplers = [Upsampler(0) for _ in tracks]
    for at in range(0, TALK.size, 160):
        for lane, upsampler, track in zip(lanes, upsamplers, tracks, strict=True):
            block = track[at : at + 160]
            lane.push(block, upsampler.push(block))
        await asyncio.sleep(0)
    for lane, upsampler in zip(lanes, upsamplers, strict=True):
        lane.push(silence(0), upsampler.finish())
        lane.pause()
    for one, other in zip(together, alone, strict=True):
        for cuts, expected_cuts in ((one.finals, other.finals), (one.partials, other.partials)):
            assert [(number, start) for number, start, _ in cuts] == [
                (number, start) for number, start, _ in expected_cuts
            ]
            assert all(np.array_equal(a, b) for (_, _, a), (_, _, b) in zip(cuts, expected_cuts, strict=True))
    assert one.finals and set(runs) == {2}


async def test_what_waits_for_detection_is_detected_before_a_pause() -> None:
    asked = Asked()
    lane = EndpointDetector(
        Role.TECHNICIAN, LoudnessDetector(), OPTIONS, None, asked, detection=SpeechDetection(one_by_one)
    )
    upsampler = Upsampler(0)
    for at in range(0, TALK.size, 800):  # no turn of the event loop in between
        block = TALK[at : at + 800]
        lane.push(block, upsampler.push(block))
    lane.push(silence(0), upsampler.finish())
    lane.pause()
    assert [
        (number, start, start + samples.size // 16) for number, start, samples in asked.finals
    ] == expected(TALK)
