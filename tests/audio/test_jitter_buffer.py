"""Frames in, samples out: timestamps decide where audio lies, whatever order frames arrive in."""

import copy
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callreel.audio.jitter_buffer import TAKE_SAMPLES, JitterBuffer, JitterBufferCounts
from callreel.audio.samples import FRAME_BYTES, FRAME_MS

HOUR_MS = 3_600_000


class Frame(NamedTuple):
    timestamp_ms: int
    payload: bytes


def frame(timestamp_ms: int, letter: bytes = b"a", ms: int = FRAME_MS) -> Frame:
    return Frame(timestamp_ms, letter * (8 * ms))


def frames(count: int, start_ms: int = 0) -> list[Frame]:
    """Frames in sequence; each holds a different byte, never silence."""
    return [frame(start_ms + FRAME_MS * number, bytes([number % 250])) for number in range(count)]


def joined(sent: Sequence[Frame]) -> bytes:
    return b"".join(payload for _, payload in sent)


def silence(ms: int) -> bytes:
    return b"\xff" * (8 * ms)


def taken(jitter_buffer: JitterBuffer) -> bytes:
    return b"".join(iter(jitter_buffer.take, b""))


def finished(jitter_buffer: JitterBuffer) -> bytes:
    jitter_buffer.finish()
    return taken(jitter_buffer)


def placed(sent: Sequence[Frame]) -> tuple[bytes, JitterBufferCounts]:
    jitter_buffer = JitterBuffer()
    for one in sent:
        jitter_buffer.place([one])
    return finished(jitter_buffer), jitter_buffer.counts


@st.composite
def shuffled_within_the_window(draw: st.DrawFn) -> tuple[list[Frame], list[Frame]]:
    """Frames of 5 to 40 ms in order, and as they arrive: each up to 4 places late, some repeated."""
    sizes = draw(st.lists(st.integers(5, 40).map(lambda ms: ms * 8), min_size=1, max_size=30))
    starts = accumulate(sizes, initial=0)
    sent = [
        Frame(start // 8, bytes([number]) * size)
        for number, (start, size) in enumerate(zip(starts, sizes, strict=False))
    ]
    delays = draw(st.lists(st.integers(0, 4), min_size=len(sent), max_size=len(sent)))
    order = sorted(range(len(sent)), key=lambda number: number + delays[number])
    came = [sent[number] for number in order]
    for number in draw(st.lists(st.integers(0, len(came) - 1), max_size=5)):
        came.insert(draw(st.integers(number + 1, len(came))), came[number])
    return sent, came


@settings(max_examples=40)
@given(shuffled_within_the_window(), st.integers(1, 7))
def test_any_order_within_the_window_gives_the_original(
    case: tuple[list[Frame], list[Frame]], every: int
) -> None:
    sent, came = case
    jitter_buffer = JitterBuffer(reorder_ms=400)
    samples = b""
    for count, one in enumerate(came):
        jitter_buffer.place([one])
        if count % every == 0:
            samples += jitter_buffer.take()
    assert samples + finished(jitter_buffer) == joined(sent)
    counts = jitter_buffer.counts
    assert (counts.frames, counts.repeated) == (len(came), len(came) - len(sent))
    assert (counts.late, counts.gaps, counts.gap_ms, counts.refused) == (0, 0, 0, 0)


@settings(max_examples=60)
@given(shuffled_within_the_window(), st.sets(st.integers(0, 29), max_size=8), st.integers(1, 9))
def test_a_batch_is_placed_as_its_frames_one_by_one(
    case: tuple[list[Frame], list[Frame]], lost: set[int], every: int
) -> None:
    came = [one for number, one in enumerate(case[1]) if number not in lost]
    single, batch = JitterBuffer(reorder_ms=60), JitterBuffer(reorder_ms=60)
    for first in range(0, len(came), every):
        some = came[first : first + every]
        ready = [single.place([one]) for one in some]
        assert batch.place(some) == ready[-1]
        assert batch.take() == single.take()
    assert finished(batch) == finished(single)
    assert batch.counts == single.counts


@settings(max_examples=40)
@given(st.sets(st.integers(0, 39), max_size=30), st.integers(1, 12))
def test_lost_frames_become_silence_where_they_were(lost: set[int], every: int) -> None:
    sent = frames(40)
    jitter_buffer = JitterBuffer()
    samples = b""
    for number, one in enumerate(sent):
        if number not in lost:
            jitter_buffer.place([one])
        if number % every == 0:
            samples += jitter_buffer.take()
    came = [number for number in range(40) if number not in lost]
    last = max(came, default=-1)
    expected = b"".join(silence(20) if number in lost else sent[number].payload for number in range(last + 1))
    assert samples + finished(jitter_buffer) == expected
    within = {number for number in lost if came and came[0] < number < last}
    assert jitter_buffer.counts.gap_ms == 20 * len(within)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(-50, 5_000), st.binary(max_size=200)).map(Frame._make), max_size=60),
    st.integers(1, 9),
)
def test_any_frames_neither_raise_nor_retract_audio(sent: list[Frame], every: int) -> None:
    jitter_buffer = JitterBuffer()
    settled = given_out = 0
    for number, one in enumerate(sent):
        ready = jitter_buffer.place([one])
        assert given_out + ready >= settled
        settled = given_out + ready
        if number % every == 0:
            given_out += len(taken(jitter_buffer))
            assert given_out == settled
    finished(jitter_buffer)
    assert jitter_buffer.counts.frames == len(sent)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.sampled_from([160, 165, 333]))
def test_rounded_timestamps_neither_insert_nor_drop(roundings: list[int], size: int) -> None:
    # Every whole millisecond within 2 ms (16 samples) of where the frame lies, and none before the stream.
    sent = [
        Frame(
            min(max(0, -(-(number * size - 16) // 8) + rounding), (number * size + 16) // 8),
            bytes([number]) * size,
        )
        for number, rounding in enumerate(roundings)
    ]
    samples, counts = placed(sent)
    assert samples == joined(sent)
    assert counts == JitterBufferCounts(frames=len(sent))


def test_a_fast_clock_is_followed() -> None:
    # 20 ms of samples every 20.2 ms: after 11 frames the deviation is more than rounding, and silence makes up for it.
    samples, counts = placed([frame(number * 202 // 10) for number in range(500)])
    assert abs(len(samples) - 500 * 20.2 * 8) <= 24
    assert counts.gaps > 0 and counts.gap_ms == pytest.approx(100, abs=5)


def test_samples_in_sequence_are_ready_at_once_and_only_once() -> None:
    jitter_buffer = JitterBuffer()
    assert jitter_buffer.place([frame(0)]) == FRAME_BYTES
    assert (jitter_buffer.take(), jitter_buffer.take()) == (b"a" * 160, b"")
    assert jitter_buffer.place([frame(20, b"b")]) == FRAME_BYTES
    assert jitter_buffer.take() == b"b" * 160


def test_a_gap_waits_for_the_window() -> None:
    jitter_buffer = JitterBuffer(reorder_ms=60)
    jitter_buffer.place([frame(0), frame(40, b"c"), frame(60, b"d")])
    assert jitter_buffer.take() == b"a" * 160
    jitter_buffer.place([frame(80, b"e")])
    assert jitter_buffer.take() == silence(20) + b"c" * 160 + b"d" * 160 + b"e" * 160


def test_a_late_frame_fills_silence_that_was_not_taken() -> None:
    jitter_buffer = JitterBuffer(reorder_ms=40)
    jitter_buffer.place([frame(0), frame(80), frame(100), frame(120)])
    assert jitter_buffer.counts.gap_ms == 60
    jitter_buffer.place([frame(40, b"b"), frame(40, b"b")])
    counts = jitter_buffer.counts
    assert (counts.late, counts.repeated, counts.gaps, counts.gap_ms) == (1, 1, 2, 40)
    assert jitter_buffer.take() == b"a" * 160 + silence(20) + b"b" * 160 + silence(20) + b"a" * 480


def test_late_frame_leaves_taken_samples_alone() -> None:
    jitter_buffer = JitterBuffer(reorder_ms=40)
    jitter_buffer.place([frame(0), frame(40), frame(60)])
    assert jitter_buffer.take() == b"a" * 160 + silence(20) + b"a" * 320
    jitter_buffer.place([frame(20, b"b")])
    assert finished(jitter_buffer) == b""
    assert (jitter_buffer.counts.late, jitter_buffer.counts.gap_ms) == (1, 20)


def test_overlapping_frame_adds_only_new_samples() -> None:
    samples, counts = placed([frame(0), frame(10, b"b")])
    assert samples == b"a" * 160 + b"b" * 80
    assert (counts.overlapped, counts.repeated) == (1, 0)


def test_the_beginning_of_a_stream_is_silence_but_no_gap() -> None:
    samples, counts = placed([frame(75)])
    assert samples == silence(75) + b"a" * 160
    assert (counts.gaps, counts.gap_ms) == (0, 0)


@pytest.mark.parametrize("ahead_ms", [200, 900, 5_000, HOUR_MS // 2, 999_000_000])
@pytest.mark.parametrize("length_ms", [20, 80, 200])
@pytest.mark.parametrize("every", [1, 20, 99])
def test_outliers_are_dropped_and_counted_and_move_nothing(ahead_ms: int, length_ms: int, every: int) -> None:
    sent = frames(150)
    outliers = range(every, 100, every if ahead_ms > 1_000 else 60)
    came = list(chain.from_iterable(
        [frame(one.timestamp_ms + ahead_ms, b"x", length_ms), one] if number in outliers else [one]
        for number, one in enumerate(sent)
    ))  # fmt: skip
    samples, counts = placed(came)
    assert samples == joined(sent)
    assert counts == JitterBufferCounts(frames=len(came), refused=len(outliers))


@pytest.mark.parametrize("behind_ms", [1_100, 5_000])
def test_an_outlier_behind_is_dropped_and_counted(behind_ms: int) -> None:
    sent = frames(400)
    samples, counts = placed([*sent[:300], frame(6_000 - behind_ms, b"x"), *sent[300:]])
    assert samples == joined(sent)
    assert (counts.refused, counts.repeated) == (1, 0)


def test_an_outlier_at_the_end_is_dropped_and_counted() -> None:
    samples, counts = placed([*frames(10), frame(HOUR_MS, b"x")])
    assert samples == joined(frames(10))
    assert counts.refused == 1


def test_a_negative_timestamp_is_refused() -> None:
    samples, counts = placed([frame(0), frame(-20, b"x")])
    assert (samples, counts.refused) == (b"a" * 160, 1)


@pytest.mark.parametrize("gap_ms", [1_500, 61 * 60_000, 5 * HOUR_MS])
def test_a_gap_of_any_length_becomes_silence_and_is_counted(gap_ms: int) -> None:
    before, after = frames(10), frames(10, 200 + gap_ms)
    samples, counts = placed([*before, *after])
    assert samples == joined(before) + silence(gap_ms) + joined(after)
    assert counts == JitterBufferCounts(frames=20, gaps=1, gap_ms=gap_ms)


def test_a_stream_may_begin_after_an_hour() -> None:
    samples, counts = placed(frames(10, HOUR_MS + 60_000))
    assert samples == silence(HOUR_MS + 60_000) + joined(frames(10))
    assert counts == JitterBufferCounts(frames=10)


def test_two_frames_after_a_long_gap_are_enough_at_the_end() -> None:
    before, after = frames(10), frames(2, HOUR_MS)
    assert placed([*before, *after])[0] == joined(before) + silence(HOUR_MS - 200) + joined(after)


def test_a_long_gap_is_taken_in_bounded_steps() -> None:
    jitter_buffer = JitterBuffer()
    assert jitter_buffer.place([*frames(10), *frames(10, HOUR_MS)]) == 8 * HOUR_MS + 1_600
    steps = [len(step) for step in iter(jitter_buffer.take, b"")]
    assert sum(steps) == 8 * HOUR_MS + 1_600
    assert max(steps) <= TAKE_SAMPLES + 8_000


def test_a_late_frame_fills_its_place_in_a_long_gap() -> None:
    jitter_buffer = JitterBuffer()
    jitter_buffer.place([*frames(10), *frames(10, 60_000), frame(59_990, b"x", 10)])
    assert taken(jitter_buffer)[8 * 59_980 : 8 * 60_020] == silence(10) + b"x" * 80 + b"\0" * 160
    assert (jitter_buffer.counts.late, jitter_buffer.counts.gap_ms) == (1, 59_790)


@pytest.mark.parametrize("lost", [set[int](), {1}, {2, 3}])
def test_restarted_timestamps_are_followed(lost: set[int]) -> None:
    before, after = frames(300), [one for number, one in enumerate(frames(50)) if number not in lost]
    samples, counts = placed([*before, *after])
    assert samples == joined(before) + b"".join(
        silence(20) if number in lost else one.payload for number, one in enumerate(frames(50))
    )
    assert (counts.refused, counts.repeated, counts.gap_ms) == (0, 0, 20 * len(lost))


def test_a_timestamp_beyond_a_day_is_a_new_beginning() -> None:
    before, after = frames(10), frames(10, 25 * HOUR_MS)
    samples, counts = placed([*before, *after])
    assert (samples, counts.gap_ms) == (joined(before) + joined(after), 0)


def test_unconfirmed_jumps_do_not_add_up() -> None:
    # A second source on the track, with another clock, alternates with the first.
    sent = frames(100)
    other = frames(100, HOUR_MS)
    samples, counts = placed(list(chain.from_iterable(zip(sent, other, strict=True))))
    assert (samples, counts.refused) == (joined(sent), 100)


def test_frames_without_samples_leave_nothing() -> None:
    samples, counts = placed([*(Frame(timestamp_ms, b"") for timestamp_ms in (0, 500, 1_000, 20)), frame(0)])
    assert (samples, counts.frames) == (b"a" * 160, 5)


@given(st.lists(st.integers(0, 120_000).map(lambda ms: frame(ms)), max_size=300))
@settings(max_examples=50)
def test_frames_that_wait_in_memory_are_bounded(sent: list[Frame]) -> None:
    jitter_buffer = JitterBuffer(reorder_ms=80)
    for one in sent:
        jitter_buffer.place([one])
        taken(jitter_buffer)
        # The window beyond a gap and two frames of an unconfirmed jump; silence takes no memory.
        waiting = finished(copy.deepcopy(jitter_buffer)).count(b"a")
        assert waiting <= (80 // FRAME_MS + 3) * FRAME_BYTES
