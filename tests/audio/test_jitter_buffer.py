"""Frames in, samples out: where audio lies is decided by timestamps, whatever order frames come in."""

from itertools import accumulate
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callreel.audio.jitter_buffer import JitterBuffer, JitterBufferCounts

Frame = tuple[int, bytes]
FRAME = 160


def frames(count: int, *, size: int = FRAME) -> list[Frame]:
    """Frames of one after the other; each holds a byte of its own, never silence."""
    return [(number * size // 8, bytes([number % 250]) * size) for number in range(count)]


def joined(sent: list[Frame]) -> bytes:
    return b"".join(payload for _, payload in sent)


def placed(sent: list[Frame], **options: int) -> tuple[bytes, JitterBufferCounts]:
    jitter_buffer = JitterBuffer(**options)
    for timestamp_ms, payload in sent:
        jitter_buffer.place(timestamp_ms, payload)
    return jitter_buffer.finish(), jitter_buffer.counts


class Piece(NamedTuple):
    timestamp_ms: int
    payload: bytes


@st.composite
def shuffled_within_the_window(draw: st.DrawFn) -> tuple[list[Frame], list[Frame]]:
    """Frames of 5 to 40 ms in order, and as they come: each up to 4 places late, some repeated."""
    sizes = draw(st.lists(st.integers(5, 40).map(lambda ms: ms * 8), min_size=1, max_size=30))
    starts = accumulate(sizes, initial=0)
    sent = [
        (start // 8, bytes([number]) * size)
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
    taken = []
    for count, (timestamp_ms, payload) in enumerate(came):
        jitter_buffer.place(timestamp_ms, payload)
        if count % every == 0:
            taken.append(jitter_buffer.take())
    assert b"".join(taken) + jitter_buffer.finish() == joined(sent)
    counts = jitter_buffer.counts
    assert (counts.frames, counts.repeated) == (len(came), len(came) - len(sent))
    assert (counts.late, counts.gaps, counts.gap_ms, counts.refused) == (0, 0, 0, 0)


@settings(max_examples=60)
@given(shuffled_within_the_window(), st.sets(st.integers(0, 29), max_size=8), st.integers(1, 9))
def test_many_placed_at_once_lie_where_each_would(
    case: tuple[list[Frame], list[Frame]], lost: set[int], every: int
) -> None:
    came = [frame for number, frame in enumerate(case[1]) if number not in lost]
    one, many = JitterBuffer(reorder_ms=60, origin_ms=40), JitterBuffer(reorder_ms=60, origin_ms=40)
    for first in range(0, len(came), every):
        some = came[first : first + every]
        ready = [one.place(*frame) for frame in some]
        assert many.place_all(Piece(*frame) for frame in some) == ready[-1]
        assert many.take() == one.take()
    assert many.finish() == one.finish()
    assert (many.counts, many.silences_ms) == (one.counts, one.silences_ms)


@settings(max_examples=40)
@given(st.sets(st.integers(0, 39), max_size=30), st.integers(1, 12))
def test_lost_frames_become_silence_where_they_were(lost: set[int], every: int) -> None:
    sent = frames(40)
    jitter_buffer = JitterBuffer()
    taken = []
    for number, (timestamp_ms, payload) in enumerate(sent):
        if number not in lost:
            jitter_buffer.place(timestamp_ms, payload)
        if number % every == 0:
            taken.append(jitter_buffer.take())
    came = [number for number in range(40) if number not in lost]
    last = max(came, default=-1)
    expected = b"".join(b"\xff" * FRAME if number in lost else sent[number][1] for number in range(last + 1))
    assert b"".join(taken) + jitter_buffer.finish() == expected
    within = {number for number in lost if came and came[0] < number < last}
    assert jitter_buffer.counts.gap_ms == 20 * len(within)
    assert all((start // 20) in lost for start, _ in jitter_buffer.silences_ms)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(-50, 3_000), st.binary(max_size=200)), max_size=40))
def test_nothing_a_peer_sends_raises_or_goes_back(sent: list[Frame]) -> None:
    jitter_buffer = JitterBuffer()
    taken = b""
    for timestamp_ms, payload in sent:
        before = jitter_buffer.settled_samples
        jitter_buffer.place(timestamp_ms, payload)
        assert jitter_buffer.settled_samples >= before
        assert jitter_buffer.held_samples < 800
        assert jitter_buffer.ready_samples == jitter_buffer.settled_samples - len(taken)
        taken += jitter_buffer.take()
    taken += jitter_buffer.finish()
    assert len(taken) == jitter_buffer.settled_samples
    assert jitter_buffer.position_ms == jitter_buffer.settled_samples // 8
    assert jitter_buffer.held_samples == 0


@settings(max_examples=40)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.sampled_from([160, 165, 333]))
def test_rounded_timestamps_neither_insert_nor_drop(roundings: list[int], size: int) -> None:
    # Every whole millisecond within 2 ms (16 samples) of where the frame lies, and none before the stream.
    sent = [
        (
            min(max(0, -(-(number * size - 16) // 8) + rounding), (number * size + 16) // 8),
            bytes([number]) * size,
        )
        for number, rounding in enumerate(roundings)
    ]
    samples, counts = placed(sent)
    assert samples == joined(sent)
    assert counts == JitterBufferCounts(frames=len(sent))


def test_a_clock_that_runs_away_is_followed() -> None:
    # 20 ms of samples every 20.2 ms: after 11 frames the deviation is more than rounding, and silence makes up for it.
    sent = [(number * 202 // 10, b"a" * FRAME) for number in range(500)]
    samples, counts = placed(sent)
    assert abs(len(samples) - 500 * 20.2 * 8) <= 24
    assert counts.gaps > 0 and counts.gap_ms == pytest.approx(100, abs=5)


def test_samples_are_given_once_and_at_once_when_nothing_is_missing() -> None:
    jitter_buffer = JitterBuffer()
    jitter_buffer.place(0, b"a" * 160)
    assert (jitter_buffer.ready_samples, jitter_buffer.take(), jitter_buffer.take()) == (160, b"a" * 160, b"")
    jitter_buffer.place(20, b"b" * 160)
    assert (jitter_buffer.position_ms, jitter_buffer.take()) == (40, b"b" * 160)


def test_a_gap_waits_for_the_window() -> None:
    jitter_buffer = JitterBuffer(reorder_ms=60)
    jitter_buffer.place(0, b"a" * 160)
    jitter_buffer.place(40, b"c" * 160)
    jitter_buffer.place(60, b"d" * 160)
    assert jitter_buffer.take() == b"a" * 160
    jitter_buffer.place(80, b"e" * 160)
    assert jitter_buffer.take() == b"\xff" * 160 + b"c" * 160 + b"d" * 160 + b"e" * 160
    assert jitter_buffer.silences_ms == ((20, 40),)


def test_a_late_frame_fills_silence_that_was_not_taken() -> None:
    jitter_buffer = JitterBuffer(reorder_ms=40)
    for timestamp_ms in (0, 80, 100, 120):
        jitter_buffer.place(timestamp_ms, b"a" * 160)
    assert jitter_buffer.counts.gap_ms == 60
    jitter_buffer.place(40, b"b" * 160)
    jitter_buffer.place(40, b"b" * 160)
    counts = jitter_buffer.counts
    assert (counts.late, counts.repeated, counts.gaps, counts.gap_ms) == (1, 1, 2, 40)
    assert jitter_buffer.take() == b"a" * 160 + b"\xff" * 160 + b"b" * 160 + b"\xff" * 160 + b"a" * 480
    assert jitter_buffer.silences_ms == ((20, 40), (60, 80))


def test_a_late_frame_leaves_what_was_taken_alone() -> None:
    jitter_buffer = JitterBuffer(reorder_ms=40)
    for timestamp_ms in (0, 40, 60):
        jitter_buffer.place(timestamp_ms, b"a" * 160)
    taken = jitter_buffer.take()
    jitter_buffer.place(20, b"b" * 160)
    assert taken == b"a" * 160 + b"\xff" * 160 + b"a" * 320
    assert jitter_buffer.finish() == b""
    assert (jitter_buffer.counts.late, jitter_buffer.counts.gap_ms) == (1, 20)


def test_a_frame_that_overlaps_adds_what_is_new() -> None:
    samples, counts = placed([(0, b"a" * 160), (10, b"b" * 160)])
    assert samples == b"a" * 160 + b"b" * 80
    assert (counts.overlapped, counts.repeated) == (1, 0)


def test_the_beginning_of_a_stream_is_silence_but_no_gap() -> None:
    samples, counts = placed([(75, b"a" * 160)])
    assert samples == b"\xff" * 600 + b"a" * 160
    assert (counts.gaps, counts.gap_ms) == (0, 0)


def test_one_wrong_timestamp_ahead_does_not_push_the_call_aside() -> None:
    jitter_buffer = JitterBuffer()
    sent = frames(50)
    for timestamp_ms, payload in [*sent[:10], (1_800_000, b"x" * 160), *sent[10:]]:
        jitter_buffer.place(timestamp_ms, payload)
    assert jitter_buffer.take() == joined(sent)


def test_absurd_timestamps_are_refused() -> None:
    samples, counts = placed([(0, b"a" * 160), (-20, b"x" * 160), (30_000, b"x" * 160)], max_gap_ms=20_000)
    assert samples == b"a" * 160
    assert counts.refused == 2


def test_a_second_stream_goes_on_with_the_track() -> None:
    jitter_buffer = JitterBuffer()
    jitter_buffer.place(0, b"a" * 160)
    jitter_buffer.place(40, b"b" * 160)
    assert jitter_buffer.rebase(1_000) == 1_000
    jitter_buffer.place(0, b"c" * 160)
    jitter_buffer.place(20, b"d" * 160)
    assert (
        jitter_buffer.finish()
        == b"a" * 160 + b"\xff" * 160 + b"b" * 160 + b"\xff" * 7_520 + b"c" * 160 + b"d" * 160
    )
    # The time between streams is no lost frame.
    assert (jitter_buffer.counts.gaps, jitter_buffer.counts.gap_ms) == (1, 20)
    assert jitter_buffer.silences_ms == ((20, 40), (60, 1_000))


def test_a_second_stream_never_lies_upon_the_first() -> None:
    jitter_buffer = JitterBuffer()
    jitter_buffer.place(0, b"a" * 165)
    assert jitter_buffer.rebase(5) == 21
    jitter_buffer.place(0, b"b" * 160)
    assert jitter_buffer.finish() == b"a" * 165 + b"b" * 160


def test_a_timeline_of_its_own_begins_at_its_origin() -> None:
    jitter_buffer = JitterBuffer(origin_ms=5_000)
    jitter_buffer.place(0, b"a" * 160)
    assert (jitter_buffer.take(), jitter_buffer.position_ms, jitter_buffer.settled_samples) == (
        b"a" * 160,
        5_020,
        160,
    )


def test_frames_without_samples_leave_nothing() -> None:
    jitter_buffer = JitterBuffer()
    for timestamp_ms in (0, 500, 1_000, 20):
        jitter_buffer.place(timestamp_ms, b"")
    jitter_buffer.place(0, b"a" * 160)
    assert jitter_buffer.finish() == b"a" * 160


def test_other_rates_have_other_milliseconds() -> None:
    samples, _ = placed([(0, b"a" * 320), (40, b"b" * 320)], rate_hz=16_000)
    assert samples == b"a" * 320 + b"\xff" * 320 + b"b" * 320
    with pytest.raises(ValueError, match="11025"):
        JitterBuffer(rate_hz=11_025)
