"""The event relay: live events and peer messages between the processes of an installation.

`cluster/event_bus` carries events inside a process; this carries them between processes over a link
(`cluster/postgres_link`, `cluster/local_link`) that may lose any message. So nothing true depends on it: of a lasting
event only its call is sent, and listeners read the database; a peer message points to a row, which its receiver also
finds without it a little later; a passing event is replaced by the next. Messages are numbered, and a gap in the numbers
makes all listeners read the database.

Peer messages are sent at once. Events wait for `BATCH_S` and then go together: of many lasting events of a call one note remains, of its
passing ones the newest of each kind and role. Passing events are sent only while another process has a listener.
"""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Protocol

from callreel.cluster.event_bus import EventBus
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId

log = logging.getLogger(__name__)

BATCH_S = 0.05
RESTART_S = 1.0
SUBSCRIPTION_EVERY_S = 5.0
FORGET_S = 3 * SUBSCRIPTION_EVERY_S
"""A process that sent nothing for so long counts as having no listeners."""
MAX_CALLS_NAMED = 100
"""A process whose listeners listen to more calls subscribes to all calls."""


class PeerMessage(StrEnum):
    """What one process sends to another besides events. The subject is a call's id, or a stream's sid.

    That of a pause is a call's id and, after a space, the name of an announcement.
    """

    LEG_ENDED = "leg-ended"
    STREAM_ENDED = "stream-ended"
    TAKEN = "taken"  # another process owns the call now
    PAUSED = "paused"  # a call is being paused: silence it, its row may follow
    RESUMED = "resumed"  # the rows of a call's pauses changed: read them
    STOPPED = "stopped"  # a call is not recorded any more: close its streams
    ACCESS_CHANGED = "access-changed"  # a session or API token may have ended: event streams check theirs
    WORK_ORDERED = "work-ordered"  # a call's live transcript was stored, so the work after the call can begin


class Link(Protocol):
    """A way to all other processes."""

    @property
    def max_bytes(self) -> int:
        """Of one message."""
        ...

    async def run(self, receive: Callable[[bytes], None], gap: Callable[[], None]) -> None:
        """Give `receive` the messages until cancelled; `gap` is called where some may be missing."""
        ...

    async def send(self, message: bytes) -> None:
        """Send to all others; the message may be lost. Raises nothing when the link fails."""
        ...

    async def close(self) -> None: ...


class EventRelay:
    """One per process. `send` and what the bus calls are safe from any thread; the rest runs in the loop of `run`."""

    def __init__(self, bus: EventBus, link: Link, name: str) -> None:
        """`name`: this process's name among its peers."""
        self._bus = bus
        self._link = link
        self._name = name
        self._lock = threading.Lock()
        self._lasting: dict[CallId, None] = {}
        self._passing: dict[tuple[CallId, EventKind, Json], LiveEvent] = {}
        self._messages: dict[tuple[PeerMessage, str], None] = {}
        self._handlers: dict[PeerMessage, Callable[[str], None]] = {}
        self._peers: dict[str, _Peer] = {}
        self._number = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._filled = asyncio.Event()
        self._urgent = asyncio.Event()
        self._subscription_changed = True
        bus.connect(self)

    def on(self, message: PeerMessage, handle: Callable[[str], None]) -> None:
        """Call `handle(subject)` on the event loop when another process sends `message`."""
        self._handlers[message] = handle

    def send(self, message: PeerMessage, subject: str) -> None:
        """Send to all other processes."""
        with self._lock:
            self._messages[message, subject] = None
        self._wake(urgent=True)

    def publish(self, event: LiveEvent) -> None:
        """See `PeerListeners.publish`."""
        if event.id is None and not self.wants(event.call_id):
            return
        with self._lock:
            if event.id is not None:
                self._lasting[event.call_id] = None
            else:
                self._passing[event.call_id, event.kind, event.data.get("role")] = event
        self._wake()

    def wants(self, call_id: CallId) -> bool:
        """See `PeerListeners.wants`."""
        now_s = time.monotonic()
        return any(peer.wants(call_id, now_s) for peer in tuple(self._peers.values()))

    def listeners_changed(self) -> None:
        """See `PeerListeners.listeners_changed`."""
        self._subscription_changed = True
        self._wake()

    async def run(self) -> None:
        """Carry events until cancelled."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._link.run(self._receive, self._bus.resync))
                        group.create_task(self._send_batches())
                except* Exception:
                    log.exception("event relay failed; restarting it in %g s", RESTART_S)
                await asyncio.sleep(RESTART_S)
        finally:
            self._loop = None
            await self._link.close()

    async def _send_batches(self) -> None:
        await self._send_notes([_note("hello")])
        subscribed_s = 0.0
        while True:
            await _set_within(self._filled, SUBSCRIPTION_EVERY_S)
            self._filled.clear()
            if not self._messages:
                await _set_within(self._urgent, BATCH_S)
            self._urgent.clear()
            notes = self._take_notes()
            now_s = time.monotonic()
            if self._subscription_changed or now_s - subscribed_s >= SUBSCRIPTION_EVERY_S:
                self._subscription_changed = False
                subscribed_s = now_s
                to_all, calls = self._bus.listened_to
                if to_all or len(calls) > MAX_CALLS_NAMED:
                    notes.append(_note("listening", True, []))
                else:
                    notes.append(_note("listening", False, sorted(calls)))
            await self._send_notes(notes)

    def _take_notes(self) -> list[bytes]:
        """What waits to be sent, peer messages first."""
        with self._lock:
            lasting, self._lasting = self._lasting, {}
            passing, self._passing = self._passing, {}
            messages, self._messages = self._messages, {}
        return [
            *(_note("message", message, subject) for message, subject in messages),
            *(_note("lasting", call_id) for call_id in lasting),
            *(_note("passing", event.call_id, event.kind, event.data) for event in passing.values()),
        ]

    async def _send_notes(self, notes: list[bytes]) -> None:
        for body in _packed(notes, self._link.max_bytes - len(self._name) - 64):
            self._number += 1
            head = json.dumps({"from": self._name, "number": self._number})[:-1].encode()
            await self._link.send(b'%s, "notes": [%s]}' % (head, body))

    def _receive(self, message: bytes) -> None:
        try:
            envelope = json.loads(message)
            sender, number = str(envelope["from"]), int(envelope["number"])
            notes = list(envelope["notes"])
        except (ValueError, KeyError, TypeError):
            log.warning("unreadable message from another process")
            return
        if sender == self._name:
            return
        if not self._peer(sender).follows(number):
            self._bus.resync()
        for note in notes:
            try:
                self._handle(sender, *note)
            except (ValueError, TypeError):
                log.debug("unknown note from another process, probably of a newer version")

    def _handle(self, sender: str, kind: str, *content: Any) -> None:
        match kind, content:
            case "lasting", (call_id,):
                self._bus.resync(CallId(call_id))
            case "passing", (call_id, event_kind, data):
                self._bus.publish_here(LiveEvent(CallId(call_id), EventKind(event_kind), data))
            case "message", (message, subject):
                if (handle := self._handlers.get(PeerMessage(message))) is not None:
                    handle(str(subject))
            case "listening", (to_all, calls):
                self._peer(sender).subscribe(bool(to_all), calls)
            case "hello", ():
                self.listeners_changed()

    def _peer(self, name: str) -> "_Peer":
        """What is known of another process. Those that have been silent for `FORGET_S` are forgotten."""
        now_s = time.monotonic()
        self._peers = {key: peer for key, peer in self._peers.items() if now_s < peer.until_s}
        peer = self._peers.setdefault(name, _Peer())
        peer.until_s = now_s + FORGET_S
        return peer

    def _wake(self, *, urgent: bool = False) -> None:
        loop = self._loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(self._filled.set)
            if urgent:
                loop.call_soon_threadsafe(self._urgent.set)
        except RuntimeError:  # the process ends
            pass


class _Peer:
    """Another process: the number of its newest message, and what its listeners listen to."""

    def __init__(self) -> None:
        self.until_s = 0.0
        self._number: int | None = None
        self._to_all = False
        self._calls: frozenset[CallId] = frozenset()

    def follows(self, number: int) -> bool:
        """Whether no message is missing between this one and the one before."""
        before, self._number = self._number, number
        return before is not None and number == before + 1

    def subscribe(self, to_all: bool, calls: list[CallId]) -> None:
        self._to_all, self._calls = to_all, frozenset(calls)

    def wants(self, call_id: CallId, now_s: float) -> bool:
        return now_s < self.until_s and (self._to_all or call_id in self._calls)


async def _set_within(event: asyncio.Event, timeout_s: float) -> None:
    """Wait until `event` is set, at most `timeout_s`."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        pass


def _note(*parts: Json | Mapping[str, Json]) -> bytes:
    return json.dumps(parts, separators=(",", ":")).encode()


def _packed(notes: list[bytes], max_bytes: int) -> Iterator[bytes]:
    """Notes joined into bodies of at most `max_bytes`; one that is longer alone is dropped."""
    body, size = list[bytes](), 0
    for note in notes:
        if len(note) > max_bytes:
            log.debug("event not relayed: too long")
            continue
        if body and size + len(note) + 1 > max_bytes:
            yield b",".join(body)
            body, size = [], 0
        body.append(note)
        size += len(note) + 1
    if body:
        yield b",".join(body)
