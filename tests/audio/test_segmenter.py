"""Scripted probabilities in, segments out. A script is pairs of (milliseconds, probability)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callreel.audio.samples import Samples
from callreel.audio.segmenter import (
    Closed,
    Dropped,
    Opened,
    Segmenter,
    SegmenterOptions,
    SegmentEvent,
    SpeechSegmenter,
    Split,
)

# A window of 50 ms makes times in the scripts come out even.
OPTIONS = SegmenterOptions(window_ms=50)
Script = list[tuple[int, float]]


def run(script: Script, options: SegmenterOptions = OPTIONS) -> list[SegmentEvent]:
    segmenter = Segmenter(options)
    windows = [
        probability for duration_ms, probability in script for _ in range(duration_ms // options.window_ms)
    ]
    events = [segmenter.push(probability) for probability in windows]
    events.append(segmenter.finish(len(windows) * options.window_ms))
    return [event for event in events if event is not None]


def test_speech_is_padded_on_both_sides() -> None:
    assert run([(2_000, 0.0), (1_000, 0.9), (1_000, 0.0)]) == [Opened(1_500), Closed(1_500, 3_450)]


def test_segment_never_begins_before_its_track() -> None:
    assert run([(100, 0.0), (1_000, 0.9), (600, 0.0)]) == [Opened(0), Closed(0, 1_550)]


def test_next_segment_never_overlaps_the_last_one() -> None:
    events = run([(500, 0.9), (500, 0.0), (500, 0.9), (500, 0.0)])
    assert events == [Opened(0), Closed(0, 950), Opened(950), Closed(950, 1_950)]


def test_a_short_pause_does_not_end_a_segment() -> None:
    assert run([(500, 0.9), (450, 0.0), (500, 0.9), (500, 0.0)]) == [Opened(0), Closed(0, 1_900)]


def test_state_is_kept_between_the_thresholds() -> None:
    # 0.4 lies between the thresholds: speech stays speech, and silence stays silence.
    assert run([(500, 0.9), (1_000, 0.4), (500, 0.0)]) == [Opened(0), Closed(0, 1_950)]
    assert run([(500, 0.9), (50, 0.2), (450, 0.4)]) == [Opened(0), Closed(0, 950)]
    assert run([(2_000, 0.4)]) == []


def test_a_click_is_dropped() -> None:
    assert run([(1_000, 0.0), (50, 0.9), (1_000, 0.0)]) == [Opened(500), Dropped(500)]


def test_dropped_segment_leaves_room_for_padding() -> None:
    events = run([(50, 0.9), (500, 0.0), (500, 0.9), (500, 0.0)])
    assert events == [Opened(0), Dropped(0), Opened(50), Closed(50, 1_500)]


def test_end_of_track_closes_the_open_segment() -> None:
    assert run([(1_000, 0.9)]) == [Opened(0), Closed(0, 1_000)]
    assert run([(1_000, 0.9), (200, 0.0)]) == [Opened(0), Closed(0, 1_200)]
    assert run([(50, 0.9)]) == [Opened(0), Dropped(0)]


def test_a_long_segment_is_cut_in_its_longest_dip() -> None:
    script = [(8_000, 0.9), (200, 0.0), (2_000, 0.9), (400, 0.1), (6_000, 0.9), (500, 0.0)]
    assert run(script) == [Opened(0), Split(0, 10_400), Closed(10_400, 17_050)]


def test_without_a_dip_the_cut_waits_for_the_next_one() -> None:
    script = [(18_000, 0.9), (300, 0.0), (2_000, 0.9), (500, 0.0)]
    # The dip counts as soon as it is 150 ms long.
    assert run(script) == [Opened(0), Split(0, 18_100), Closed(18_100, 20_750)]


def test_hard_maximum_cuts_where_speech_is_least_likely() -> None:
    script = [(20_000, 0.9), (50, 0.6), (10_000, 0.9), (500, 0.0)]
    first, split, closed = run(script)
    assert first == Opened(0)
    assert isinstance(split, Split) and abs(split.end_ms - 20_000) <= 50
    assert closed == Closed(split.end_ms, 30_500)


def test_rest_of_a_cut_segment_is_not_dropped_as_a_click() -> None:
    # The cut falls two windows before the speech ends; those two are the end of a word.
    events = run(
        [(24_900, 0.9), (50, 0.6), (100, 0.9), (500, 0.0)], SegmenterOptions(window_ms=50, min_speech_ms=200)
    )
    assert events[1:] == [Split(0, 24_900), Closed(24_900, 25_500)]


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    durations = st.integers(1, 200).map(lambda windows: windows * 32)
    return draw(st.lists(st.tuples(durations, st.sampled_from([0.0, 0.3, 0.4, 0.6, 1.0])), max_size=14))


@settings(max_examples=40)
@given(scripts())
def test_segments_are_ordered_bounded_and_contain_all_speech(script: Script) -> None:
    options = SegmenterOptions()
    events = run(script, options)
    segments = [(event.start_ms, event.end_ms) for event in events if isinstance(event, Closed | Split)]
    end_ms = sum(duration_ms for duration_ms, _ in script)
    edges = [0, *(edge for segment in segments for edge in segment), end_ms]
    assert edges == sorted(edges)
    longest = options.hard_max_ms + options.window_ms
    assert all(0 < end - start <= longest for start, end in segments)
    assert_each_opening_ends_once(events)
    at = 0
    for duration_ms, probability in script:
        # Certain speech of more than a click lies in segments from end to end.
        if probability == 1.0 and duration_ms > options.min_speech_ms:
            covered = sum(max(0, min(end, at + duration_ms) - max(start, at)) for start, end in segments)
            assert covered == duration_ms
        at += duration_ms


def assert_each_opening_ends_once(events: list[SegmentEvent]) -> None:
    open_since: int | None = None
    for event in events:
        if isinstance(event, Opened):
            assert open_since is None
            open_since = event.start_ms
        else:
            assert open_since == event.start_ms
            open_since = event.end_ms if isinstance(event, Split) else None
    assert open_since is None


@pytest.mark.parametrize(
    "contradiction",
    [
        {"on": 0.3},
        {"off": 0.0},
        {"on": 1.5},
        {"window_ms": 0},
        {"soft_max_ms": 30_000},
        {"min_silence_ms": 20},
    ],
)
def test_contradicting_options_are_refused(contradiction: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        SegmenterOptions(**contradiction)  # type: ignore[arg-type]


class Always:
    """A detector that finds speech in every window, and counts them."""

    window_samples = 256

    def __init__(self) -> None:
        self.windows = 0

    def probability(self, samples: Samples) -> float:
        self.windows += 1
        return 0.9


def test_long_digital_silence_ends_speech_without_detection() -> None:
    detector = Always()
    segmenter = SpeechSegmenter(detector, SegmenterOptions())
    assert list(segmenter.push(np.ones(25_600, np.int16))) == [Opened(0)]
    assert list(segmenter.push(np.zeros(3_600 * 8_000, np.int16))) == [Closed(0, 3_650)]
    assert (detector.windows, segmenter.position_ms) == (100, 3_603_200 // 32 * 32)
    assert list(segmenter.push(np.ones(256, np.int16))) == [Opened(3_602_700)]


def test_speech_so_far_is_counted_without_padding() -> None:
    segmenter = Segmenter()
    for probability in [0.0] * 10 + [0.9] * 20 + [0.0] * 30 + [0.9] * 5 + [0.1] * 3:
        segmenter.push(probability)
    assert (segmenter.voiced_ms, segmenter.voiced_until_ms) == (25 * 32, 65 * 32)
