"""Call time follows an absolute schedule."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from types import SimpleNamespace

import pytest

from callreel.simulator import clock as clock_module
from callreel.simulator.clock import CallClock

STALLED_AT, STALL_S, LATE_S = 100, 0.05, 0.001


async def test_time_that_is_sped_up_stands_still_while_the_application_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 100.0

    async def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds
        if now_s > 102.95:
            waits.close()

    loop = SimpleNamespace(time=lambda: now_s)
    monkeypatch.setattr(clock_module, "asyncio", SimpleNamespace(get_running_loop=lambda: loop, sleep=sleep))
    clock, real = CallClock(10.0), CallClock(1.0)
    with ExitStack() as waits, clock.at_normal_speed():
        waits.enter_context(clock.at_normal_speed())
        waits.enter_context(real.at_normal_speed())
        now_s = 102.0
        assert clock.now_ms() == 0 and clock.seconds_until(500) == pytest.approx(0.05)
        assert real.now_ms() == pytest.approx(2000), "real time runs on"
    assert clock.now_ms() == pytest.approx(0)
    await clock.reach(5000)
    assert now_s == pytest.approx(102.5)
    waits = ExitStack()
    waits.enter_context(clock.at_normal_speed())
    await clock.reach(6000)
    assert now_s == pytest.approx(103.1) and clock.now_ms() == pytest.approx(6000), (
        "it waited until time continued"
    )


async def test_wait_for_an_event_ends_only_when_time_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, waits = 100.0, ExitStack()

    @asynccontextmanager
    async def timeout(seconds: float) -> AsyncIterator[None]:
        nonlocal now_s
        now_s += seconds
        if now_s > 100.2:
            waits.close()
        yield

    async def never() -> None:
        raise TimeoutError

    loop = SimpleNamespace(time=lambda: now_s)
    fake = SimpleNamespace(get_running_loop=lambda: loop, timeout=timeout)
    monkeypatch.setattr(clock_module, "asyncio", fake)
    clock = CallClock(10.0)
    waits.enter_context(clock.at_normal_speed())
    assert await clock.is_reached_before(500, never)
    assert now_s > 100.2 and clock.now_ms() == pytest.approx(500)


async def test_frames_are_paced_without_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sleep lasts a millisecond longer than requested, and one much longer: the schedule of 2 ms is kept all the same."""
    now_s = 100.0

    async def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds + (LATE_S if seconds else 0)

    loop = SimpleNamespace(time=lambda: now_s)
    monkeypatch.setattr(clock_module, "asyncio", SimpleNamespace(get_running_loop=lambda: loop, sleep=sleep))
    clock, late_s = CallClock(10.0), list[float]()
    for frame in range(300):
        await clock.reach(20 * frame)
        late_s.append(-clock.seconds_until(20 * frame))
        now_s += STALL_S if frame == STALLED_AT else 0
    assert min(late_s) > -1e-9, "no frame is early"
    assert max(late_s[1:STALLED_AT]) == pytest.approx(LATE_S) == pytest.approx(late_s[-1])
    assert late_s[STALLED_AT + 30 :] == pytest.approx([LATE_S] * (300 - STALLED_AT - 30)), (
        "the backlog is sent at once"
    )
