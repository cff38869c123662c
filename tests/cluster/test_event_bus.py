"""The bus: order, bounds, threads, and its end."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from callreel.cluster.event_bus import EventBus, Received, Resync
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId

ONE, TWO = CallId("1" * 12), CallId("2" * 12)


def lasting(number: int, call_id: CallId = ONE) -> LiveEvent:
    return LiveEvent(call_id, EventKind.FINAL, {"number": number}, id=number)


def passing(number: int, call_id: CallId = ONE) -> LiveEvent:
    return LiveEvent(call_id, EventKind.PARTIAL, {"number": number})


async def rest(received: AsyncIterator[Received]) -> list[Received]:
    return [event async for event in received]


async def events_of(bus: EventBus, call_id: CallId | None, *events: LiveEvent) -> list[Received]:
    """What a listener receives that reads only after all `events` were published and the bus was closed."""
    async with bus.subscribe(call_id) as received:
        for event in events:
            bus.publish(event)
        bus.close()
        return await rest(received)


async def test_one_call_or_all() -> None:
    events = [lasting(1), lasting(2, TWO), passing(3), lasting(4)]
    assert await events_of(EventBus(), ONE, *events) == [events[0], events[2], events[3]]
    assert await events_of(EventBus(), None, *events) == events


async def test_passing_events_are_dropped_first() -> None:
    events = [lasting(1), passing(2), lasting(3), passing(4), lasting(5), passing(6)]
    assert await events_of(EventBus(limit=4), ONE, *events) == [
        lasting(1),
        lasting(3),
        lasting(5),
        passing(6),
    ]


async def test_listener_is_notified_when_events_are_dropped() -> None:
    events = [lasting(number) for number in range(1, 7)]
    assert await events_of(EventBus(limit=4), ONE, *events) == [Resync(), lasting(5), lasting(6)]


async def test_the_queue_never_exceeds_its_bound() -> None:
    events = [lasting(n) if n % 3 else passing(n) for n in range(1, 500)]
    received = await events_of(EventBus(limit=10), ONE, *events)
    assert len(received) <= 10
    assert received[-1] == events[-1]
    assert Resync() in received


async def test_publishing_from_threads_keeps_the_order_of_each() -> None:
    bus, each = EventBus(limit=10_000), 500

    def write(call_id: CallId) -> None:
        for number in range(each):
            bus.publish(lasting(number, call_id))

    async with bus.subscribe(None) as received:
        threads = [threading.Thread(target=write, args=(call_id,)) for call_id in (ONE, TWO)]
        for thread in threads:
            thread.start()
        got = [await asyncio.wait_for(anext(received), 10) for _ in range(2 * each)]
    for call_id in (ONE, TWO):
        ids = [event.id for event in got if isinstance(event, LiveEvent) and event.call_id == call_id]
        assert ids == list(range(each))


async def test_a_cancelled_wait_loses_nothing() -> None:
    bus = EventBus()
    async with bus.subscribe(ONE) as received:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(received)
        bus.publish(lasting(1))
        assert await anext(received) == lasting(1)


async def test_closing_ends_waiting_and_later_listeners() -> None:
    bus = EventBus()
    async with bus.subscribe(None) as received:
        waiting = asyncio.create_task(rest(received))
        await asyncio.sleep(0)
        await asyncio.to_thread(bus.close)
        bus.close()
        assert await asyncio.wait_for(waiting, 10) == []
    async with bus.subscribe(None) as received:
        assert await asyncio.wait_for(rest(received), 10) == []


def test_publishing_to_a_listener_whose_loop_is_gone_is_harmless() -> None:
    bus = EventBus()

    async def leave_without_closing() -> object:
        context = bus.subscribe(None)
        await context.__aenter__()
        return context

    kept = asyncio.run(leave_without_closing())
    for number in range(5):
        bus.publish(lasting(number))
    assert kept is not None


def test_a_bound_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="2 events or more"):
        EventBus(limit=1)
