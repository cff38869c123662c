"""The relay over a link of this test, over a machine's sockets and over a real PostgreSQL."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from callreel.cluster import event_relay
from callreel.cluster.event_bus import EventBus, Received, Resync
from callreel.cluster.event_relay import EventRelay, Link, PeerMessage
from callreel.cluster.local_link import LocalLink
from callreel.cluster.postgres_link import PostgresLink
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from tests.support.installation import eventually
from tests.support.postgres import PostgresServer, postgres_server

ONE, TWO = CallId("1" * 12), CallId("2" * 12)


def partial(text: str, role: str = "agent", call_id: CallId = ONE) -> LiveEvent:
    return LiveEvent(call_id, EventKind.PARTIAL, {"role": role, "text": text})


def lasting(number: int, call_id: CallId = ONE) -> LiveEvent:
    return LiveEvent(call_id, EventKind.FINAL, {"number": number}, id=number)


class Room:
    """Links that give each message to all others at once."""

    def __init__(self) -> None:
        self.links: list[RoomLink] = []
        self.said: list[dict[str, Any]] = []

    def link(self, max_bytes: int = 7_500) -> "RoomLink":
        self.links.append(RoomLink(self, max_bytes))
        return self.links[-1]

    def notes(self, kind: str) -> list[list[Any]]:
        return [note for message in self.said for note in message["notes"] if note[0] == kind]


class RoomLink:
    def __init__(self, room: Room, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._room = room
        self._here: asyncio.Queue[bytes] = asyncio.Queue()
        self.deaf = False

    async def run(self, receive: Callable[[bytes], None], gap: Callable[[], None]) -> None:
        while True:
            receive(await self._here.get())

    async def send(self, message: bytes) -> None:
        assert len(message) <= self.max_bytes
        self._room.said.append(json.loads(message))
        for link in self._room.links:
            if not link.deaf:
                await link._here.put(message)

    async def close(self) -> None:
        pass


@asynccontextmanager
async def joined(link: Link, name: str) -> AsyncIterator[tuple[EventBus, EventRelay]]:
    """One process, as far as the relay goes."""
    bus = EventBus()
    relay = EventRelay(bus, link, name)
    running = asyncio.create_task(relay.run())
    try:
        yield bus, relay
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until_received(
    received: AsyncIterator[Received], wanted: Callable[[Received], bool], within_s: float = 20
) -> Received:
    async with asyncio.timeout(within_s):
        while not wanted(event := await anext(received)):
            pass
    return event


def is_partial(text: str) -> Callable[[Received], bool]:
    return lambda event: isinstance(event, LiveEvent) and event.data.get("text") == text


async def wanted_by(bus: EventBus, call_id: CallId = ONE) -> None:
    await eventually(lambda: bus.has_listeners(call_id))


# Over a link of this test


async def test_listener_receives_events_of_another_process() -> None:
    room = Room()
    async with joined(room.link(), "a") as (here, _), joined(room.link(), "b") as (there, _):
        assert not here.has_listeners(ONE)
        async with there.subscribe(ONE) as received:
            await wanted_by(here)
            assert not here.has_listeners(TWO)
            here.publish(partial("for two", call_id=TWO))
            here.publish(partial("hello"))
            await until_received(received, is_partial("hello"))
            here.publish(lasting(1))
            await until_received(received, lambda event: event == Resync())
        await eventually(lambda: not here.has_listeners(ONE))
        before = len(room.notes("passing"))
        here.publish(partial("no listener"))
        here.publish(lasting(2))
        await eventually(lambda: room.notes("lasting").count(["lasting", ONE]) == 2)
        assert len(room.notes("passing")) == before == 1


async def test_waiting_events_are_sent_together_once() -> None:
    room = Room()
    async with joined(room.link(), "a") as (here, relay), joined(room.link(), "b") as (there, _):
        async with there.subscribe(None):
            await wanted_by(here)
            for n in range(50):
                here.publish(partial(f"a{n}"))
                here.publish(partial(f"t{n}", role="technician"))
                here.publish(lasting(n + 1))
                relay.send(PeerMessage.LEG_ENDED, ONE)
            await eventually(lambda: room.notes("lasting"))
    texts = [note[3]["text"] for note in room.notes("passing")]
    assert texts == ["a49", "t49"]
    assert room.notes("lasting") == [["lasting", ONE]]
    assert room.notes("message") == [["message", "leg-ended", ONE]]


async def test_peer_message_reaches_every_other_process_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_relay, "BATCH_S", 3_600.0)  # events wait for it
    room, received = Room(), list[tuple[str, str]]()
    async with joined(room.link(), "a") as (_, one), joined(room.link(), "b") as (_, two):
        for name, relay in (("a", one), ("b", two)):
            relay.on(PeerMessage.STREAM_ENDED, lambda subject, name=name: received.append((name, subject)))  # type: ignore[misc]
        await asyncio.to_thread(one.send, PeerMessage.STREAM_ENDED, "MZ1")
        await eventually(lambda: received)
        assert received == [("b", "MZ1")]


async def test_peer_message_does_not_wait_behind_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_relay, "BATCH_S", 3_600.0)
    room, received = Room(), list[str]()
    async with joined(room.link(), "a") as (here, one), joined(room.link(), "b") as (_, two):
        two.on(PeerMessage.PAUSED, received.append)
        await eventually(lambda: one._loop)
        here.publish(lasting(1))
        for _turn in range(20):  # the relay begins to wait for more events
            await asyncio.sleep(0)
        assert one._lasting
        one.send(PeerMessage.PAUSED, ONE)
        await eventually(lambda: received == [ONE])


async def test_a_lost_message_makes_listeners_read_the_database() -> None:
    room = Room()
    deaf = room.link()
    async with joined(deaf, "a") as (here, _), joined(room.link(), "b") as (there, _):
        async with here.subscribe(ONE) as received:
            await wanted_by(there)
            there.publish(partial("first"))
            await until_received(received, is_partial("first"))
            deaf.deaf = True
            there.publish(lasting(1))
            await eventually(lambda: room.notes("lasting"))
            deaf.deaf = False
            there.publish(partial("second"))
            assert await until_received(received, lambda event: True) == Resync()
            await until_received(received, is_partial("second"))


async def test_large_batches_are_split_and_oversized_events_dropped() -> None:
    room = Room()
    async with joined(room.link(600), "a") as (here, _), joined(room.link(600), "b") as (there, _):
        async with there.subscribe(None) as received:
            await wanted_by(here)
            calls = [CallId(f"{n:012x}") for n in range(100)]
            for call_id in calls:
                here.publish(lasting(1, call_id))
            here.publish(partial("x" * 1_000))
            here.publish(partial("short", role="technician"))
            await until_received(received, is_partial("short"))
    assert [note[1] for note in room.notes("lasting")] == calls
    assert len(room.notes("passing")) == 1


@pytest.mark.parametrize(
    "message",
    [b"", b"no json", b"[]", b'{"from": "b"}', b'{"from": "b", "number": 1, "notes": 7}']
    + [
        b'{"from": "b", "number": 1, "notes": [%s]}' % note
        for note in (b"7", b"[]", b'["new", 1]', b'["message"]')
    ]
    + [
        b'{"from": "b", "number": 1, "notes": [["message", "not-known", "x"], ["passing", "x", "new-kind", {}]]}'
    ],
)
async def test_unreadable_messages_are_ignored(message: bytes) -> None:
    room = Room()
    link = room.link()
    async with joined(link, "a") as (here, _), joined(room.link(), "c") as (there, _):
        async with here.subscribe(ONE) as received:
            await link._here.put(message)
            await wanted_by(there)
            there.publish(partial("still sent"))
            await until_received(received, is_partial("still sent"))


# Over a machine's sockets


async def test_processes_of_one_machine_exchange_events(tmp_path: Path) -> None:
    folder = tmp_path / ("a long name " * 9) / "processes"  # longer than the address of a socket may be

    dead = LocalLink(folder, "dead")
    dead._socket.close()  # as a kill: its file stays
    async with (
        joined(LocalLink(folder, "a"), "a") as (here, one),
        joined(LocalLink(folder, "b"), "b") as (
            there,
            two,
        ),
    ):
        said = list[str]()
        one.on(PeerMessage.TAKEN, said.append)
        async with there.subscribe(ONE) as received:
            await wanted_by(here)
            here.publish(partial("beside you"))
            await until_received(received, is_partial("beside you"))
        two.send(PeerMessage.TAKEN, ONE)
        await eventually(lambda: said == [ONE])
        await eventually(lambda: len(list(folder.iterdir())) == 2)
    assert list(folder.iterdir()) == []
    assert folder.stat().st_mode & 0o077 == 0


async def test_process_that_does_not_read_delays_no_other(tmp_path: Path) -> None:
    stuck = LocalLink(tmp_path, "stuck")
    link, other = LocalLink(tmp_path, "a"), LocalLink(tmp_path, "b")
    received = list[bytes]()
    reading = asyncio.create_task(other.run(received.append, lambda: None))
    for n in range(2_000):
        await link.send(b"%d" % n)
        await asyncio.sleep(0)
    await eventually(lambda: received and received[-1] == b"1999")
    reading.cancel()
    for each in (link, other, stuck):
        await each.close()


# Over PostgreSQL


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


async def test_postgresql_link_recovers_after_an_outage(
    server: PostgresServer,
) -> None:
    url = server.new_url()

    async with (
        joined(PostgresLink(url), "a") as (here, one),
        joined(PostgresLink(url), "b") as (there, two),
    ):
        said = list[str]()
        one.on(PeerMessage.LEG_ENDED, said.append)
        async with there.subscribe(ONE) as received:
            await wanted_by(here)
            here.publish(partial("far away"))
            await until_received(received, is_partial("far away"))
            two.send(PeerMessage.LEG_ENDED, ONE)
            await eventually(lambda: said == [ONE])
            await asyncio.to_thread(server.stop)
            here.publish(lasting(1))
            await asyncio.to_thread(server.start)
            assert await until_received(received, lambda event: event == Resync()) == Resync()

            async def again() -> None:
                while True:
                    here.publish(partial("back again"))
                    await asyncio.sleep(0.05)

            saying = asyncio.create_task(again())
            await until_received(received, is_partial("back again"))
            saying.cancel()
