import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.asr.decode_queue import DecodeQueue, Job
from callreel.asr.overload import OverloadLevel
from callreel.domain.call import Role
from callreel.domain.ids import CallId

ONE, TWO = CallId("one"), CallId("two")
AGENT, TECHNICIAN = Role.AGENT, Role.TECHNICIAN


def job(call: CallId, role: Role, number: int, *, final: bool, at_s: float = 0.0, ms: int = 1000) -> Job:
    return Job(call, role, number, 0, np.zeros(16 * ms, np.int16), final, at_s)


def final(call: CallId, number: int, role: Role = AGENT, **more: float) -> Job:
    return job(call, role, number, final=True, at_s=more.get("at_s", 0.0))


def partial(call: CallId, number: int, role: Role = AGENT, **more: float) -> Job:
    return job(call, role, number, final=False, at_s=more.get("at_s", 0.0))


def drain(queue: DecodeQueue) -> list[Job]:
    """Everything that waits, by a single worker that is never busy."""
    jobs = []
    while (given := queue.next()) is not None:
        jobs.append(given)
        queue.done(given)
    return jobs


def test_an_empty_queue_has_nothing_to_do() -> None:
    assert DecodeQueue(1).next() is None


def test_no_worker_is_given_two_jobs() -> None:
    queue = DecodeQueue(1)
    first, second = final(ONE, 0), final(ONE, 1)
    queue.offer_final(first)
    queue.offer_final(second)
    assert queue.next() is first
    assert queue.next() is None
    queue.done(first)
    assert queue.next() is second


def test_finals_go_before_partials_that_came_earlier() -> None:
    queue = DecodeQueue(2)
    early, late = partial(ONE, 0), final(TWO, 0)
    queue.offer_partial(early)
    queue.offer_final(late)
    assert drain(queue) == [late, early]


def test_calls_take_turns_and_each_gives_its_oldest_final_first() -> None:
    queue = DecodeQueue(9)
    a, b, c, d = final(ONE, 0), final(ONE, 1), final(TWO, 0), final(ONE, 2)
    for offered in (a, b, d, c):
        queue.offer_final(offered)
    assert drain(queue) == [a, c, b, d]


def test_a_newer_partial_replaces_the_one_that_waits() -> None:
    queue = DecodeQueue(1)
    old, new, other_party = partial(ONE, 0), partial(ONE, 0), partial(ONE, 0, TECHNICIAN)
    for offered in (old, other_party, new):
        assert queue.offer_partial(offered)
    assert queue.partials_shed == 1
    assert drain(queue) == [new, other_party]


def test_one_track_has_one_partial_at_work_at_most() -> None:
    queue = DecodeQueue(2)
    first, second = partial(ONE, 0), partial(ONE, 0)
    queue.offer_partial(first)
    assert queue.next() is first
    queue.offer_partial(second)
    assert queue.next() is None
    queue.done(first)
    assert queue.next() is second


def test_the_final_of_a_segment_makes_its_waiting_partial_pointless() -> None:
    queue = DecodeQueue(1)
    closed = final(ONE, 3)
    queue.offer_partial(partial(ONE, 3))
    queue.offer_final(closed)
    assert drain(queue) == [closed]
    assert queue.partials_shed == 1


def test_a_partial_that_waited_too_long_is_shed() -> None:
    queue = DecodeQueue(1)
    queue.offer_partial(partial(ONE, 0, at_s=10.0))
    fresh = partial(TWO, 0, at_s=11.0)
    queue.offer_partial(fresh)
    assert queue.next(11.6) is fresh
    assert queue.partials_shed == 1


def test_third_waiting_final_of_a_call_turns_partials_off() -> None:
    queue = DecodeQueue(4)
    waiting = partial(TWO, 0)
    queue.offer_partial(waiting)
    for number in range(3):
        queue.offer_final(final(ONE, number))
    assert (queue.partials_on, queue.partials_waiting) == (False, 0)
    assert not queue.offer_partial(partial(TWO, 0))
    assert queue.partials_shed == 2
    assert len(drain(queue)) == 3
    assert queue.partials_on
    assert queue.offer_partial(partial(TWO, 0))


def test_more_waiting_finals_than_workers_turn_partials_off() -> None:
    queue = DecodeQueue(1)
    queue.offer_final(final(ONE, 0))
    before = queue.partials_on
    queue.offer_final(final(TWO, 0))
    assert (before, queue.partials_on) == (True, False)


def test_gauges_show_the_backlog() -> None:
    queue = DecodeQueue(1)
    queue.offer_final(final(ONE, 0, at_s=5.0))
    queue.offer_final(final(TWO, 0, at_s=7.0))
    assert (queue.finals_waiting, queue.waiting_audio_ms, queue.final_age_s(9.0)) == (2, 2000, 4.0)
    drain(queue)
    assert (queue.finals_waiting, queue.waiting_audio_ms, queue.final_age_s(9.0)) == (0, 0, 0.0)


def test_misuse_raises() -> None:
    queue = DecodeQueue(1)
    with pytest.raises(ValueError, match="partial"):
        queue.offer_final(partial(ONE, 0))
    with pytest.raises(ValueError, match="final"):
        queue.offer_partial(final(ONE, 0))
    with pytest.raises(KeyError):
        queue.done(final(ONE, 0))
    with pytest.raises(ValueError, match="1 worker"):
        DecodeQueue(0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["final", "partial", "next", "done"]),
        st.sampled_from([ONE, TWO]),
        st.sampled_from(Role),
    )
)


@given(STEPS, st.integers(1, 3))
def test_no_final_is_lost_and_every_partial_is_decoded_or_counted(
    steps: list[tuple[str, CallId, Role]], workers: int
) -> None:
    queue = DecodeQueue(workers)
    offered: list[Job] = []
    given_out: list[Job] = []
    running: list[Job] = []

    def take() -> None:
        finals_waited = queue.finals_waiting > 0
        if (taken := queue.next()) is not None:
            assert taken.final or not finals_waited
            given_out.append(taken)
            running.append(taken)
        assert len(running) <= workers

    for number, (step, call, role) in enumerate(steps):
        if step == "final":
            offered.append(job(call, role, number, final=True, ms=1))
            queue.offer_final(offered[-1])
        elif step == "partial":
            offered.append(job(call, role, number, final=False, ms=1))
            queue.offer_partial(offered[-1])
        elif step == "next":
            take()
        elif running:
            queue.done(running.pop(0))
    while running or queue.finals_waiting or queue.partials_waiting:
        if running:
            queue.done(running.pop(0))
        take()

    assert len(set(given_out)) == len(given_out)
    finals = [one for one in given_out if one.final]
    assert set(finals) == {one for one in offered if one.final}
    assert len(offered) == len(given_out) + queue.partials_shed
    for call in (ONE, TWO):
        numbers = [one.number for one in finals if one.call_id == call]
        assert numbers == sorted(numbers)


def test_final_is_spilled_after_a_long_wait_and_taken_back() -> None:
    queue = DecodeQueue(1)
    early, late = final(ONE, 0, at_s=0.0), final(ONE, 1, at_s=61.0)
    assert queue.offer_final(early)
    assert not queue.offer_final(late)
    assert (queue.level, queue.finals_waiting, queue.has_room) == (OverloadLevel.SPILLING, 1, False)
    assert queue.next(62.0) is early
    assert not queue.has_room, "the worker is busy"
    queue.done(early)
    assert (queue.level, queue.has_room) == (OverloadLevel.NONE, True)
    queue.take_back(late)
    assert queue.next(63.0) is late


def test_what_waits_in_memory_is_bounded() -> None:
    queue, taken = DecodeQueue(2), 0
    for number in range(200):
        taken += queue.offer_final(job(ONE, AGENT, number, final=True, at_s=number / 100, ms=10_000))
    assert taken == 61 and queue.waiting_audio_ms <= 620_000
