"""Live events between the processes of an installation, and words that one process has for another.

`services/bus` carries events inside a process; this carries them between processes over a link (`store/notify`,
`store/local_link`), which may lose any message. So nothing true depends on it: of a lasting event only its call is told,
and listeners read the database; a word is a hint about a row, which its hearer also finds by itself a little later; a
passing event is said again. Each message is numbered, and a gap in the numbers makes all listeners read the database.

What is to be told waits for `EVERY_S` and then goes together: of many lasting events of a call one word remains, of its
passing ones the newest of a kind and role. Passing events go out only while some other process has somebody who listens.
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

EVERY_S = 0.05
AGAIN_S = 1.0
LISTEN_EVERY_S = 5.0
FORGET_S = 3 * LISTEN_EVERY_S
"""A process that has said nothing for so long has nobody who listens."""
MOST_CALLS_NAMED = 100
"""A process where more calls are listened to is told of all."""


class PeerMessage(StrEnum):
    """What one process tells another besides events. The subject is a call's id, or a stream's sid."""

    LEG_ENDED = "leg-ended"
    STREAM_ENDED = "stream-ended"
    TAKEN = "taken"  # another process has the call's socket now


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
        """To all others, or lost. Raises nothing for what the link does."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class EventRelay:
    """One for a process. `send` and what the bus calls are safe from any thread; `run` owns the rest."""

    def __init__(self, bus: EventBus, link: Link, name: str) -> None:
        """`name` is that of this process among all."""
        self._bus = bus
        self._link = link
        self._name = name
        self._lock = threading.Lock()
        self._lasting: dict[CallId, None] = {}
        self._passing: dict[tuple[CallId, EventKind, Json], LiveEvent] = {}
        self._words: dict[tuple[PeerMessage, str], None] = {}
        self._heard: dict[PeerMessage, Callable[[str], None]] = {}
        self._others: dict[str, _Other] = {}
        self._number = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._filled = asyncio.Event()
        self._listening_changed = True
        bus.join(self)

    def on(self, word: PeerMessage, hear: Callable[[str], None]) -> None:
        """Call `hear(subject)` on the event loop when another process says `word`."""
        self._heard[word] = hear

    def send(self, word: PeerMessage, subject: str) -> None:
        """Tell all other processes."""
        with self._lock:
            self._words[word, subject] = None
        self._wake()

    def publish(self, event: LiveEvent) -> None:
        """An event of this process, which its own listeners have had."""
        if event.id is None and not self.wants(event.call_id):
            return
        with self._lock:
            if event.id is not None:
                self._lasting[event.call_id] = None
            else:
                self._passing[event.call_id, event.kind, event.data.get("role")] = event
        self._wake()

    def wants(self, call_id: CallId) -> bool:
        """Whether somebody in another process listens to this call."""
        now_s = time.monotonic()
        return any(other.listens(call_id, now_s) for other in tuple(self._others.values()))

    def listeners_changed(self) -> None:
        """Somebody in this process began or ceased to listen."""
        self._listening_changed = True
        self._wake()

    async def run(self) -> None:
        """Carry until cancelled."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._link.run(self._receive, self._bus.resync))
                        group.create_task(self._tell())
                except* Exception:
                    log.exception("events are not carried between processes; trying again")
                await asyncio.sleep(AGAIN_S)
        finally:
            self._loop = None
            await self._link.close()

    async def _tell(self) -> None:
        await self._send([_note("hello")])
        told_s = 0.0
        while True:
            try:
                async with asyncio.timeout(LISTEN_EVERY_S):
                    await self._filled.wait()
            except TimeoutError:
                pass
            self._filled.clear()
            await asyncio.sleep(EVERY_S)
            notes = self._take()
            now_s = time.monotonic()
            if self._listening_changed or now_s - told_s >= LISTEN_EVERY_S:
                self._listening_changed = False
                told_s = now_s
                notes.append(self._listening())
            await self._send(notes)

    def _take(self) -> list[bytes]:
        """What waits, words first."""
        with self._lock:
            lasting, self._lasting = self._lasting, {}
            passing, self._passing = self._passing, {}
            words, self._words = self._words, {}
        return [
            *(_note("word", word, subject) for word, subject in words),
            *(_note("lasting", call_id) for call_id in lasting),
            *(_note("passing", event.call_id, event.kind, event.data) for event in passing.values()),
        ]

    def _listening(self) -> bytes:
        to_all, calls = self._bus.listened_to
        if to_all or len(calls) > MOST_CALLS_NAMED:
            return _note("listening", True, [])
        return _note("listening", False, sorted(calls))

    async def _send(self, notes: list[bytes]) -> None:
        for body in _packed(notes, self._link.max_bytes - len(self._name) - 64):
            self._number += 1
            head = json.dumps({"from": self._name, "number": self._number})[:-1].encode()
            await self._link.send(b'%s, "notes": [%s]}' % (head, body))

    def _receive(self, message: bytes) -> None:
        try:
            said = json.loads(message)
            sender, number, notes = str(said["from"]), int(said["number"]), list(said["notes"])
        except (ValueError, KeyError, TypeError):
            log.warning("a message of another process could not be read")
            return
        if sender == self._name:
            return
        if not self._other(sender).follows(number):
            self._bus.resync()
        for note in notes:
            try:
                self._hear(sender, *note)
            except (ValueError, TypeError):  # of a newer version: what it means is not known here
                log.debug("a word of another process is not known here")

    def _hear(self, sender: str, kind: str, *what: Any) -> None:
        match kind, what:
            case "lasting", (call_id,):
                self._bus.resync(CallId(call_id))
            case "passing", (call_id, event_kind, data):
                self._bus.publish_here(LiveEvent(CallId(call_id), EventKind(event_kind), data))
            case "word", (word, subject):
                hear = self._heard.get(PeerMessage(word))
                if hear is not None:
                    hear(str(subject))
            case "listening", (to_all, calls):
                self._other(sender).hears(bool(to_all), calls)
            case "hello", ():
                self.listeners_changed()

    def _other(self, name: str) -> "_Other":
        """What is known of another process; those not heard of for long are forgotten."""
        now_s = time.monotonic()
        self._others = {key: other for key, other in self._others.items() if now_s < other.until_s}
        other = self._others.setdefault(name, _Other())
        other.until_s = now_s + FORGET_S
        return other

    def _wake(self) -> None:
        loop = self._loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(self._filled.set)
        except RuntimeError:  # the process ends
            pass


class _Other:
    """Another process: the number of its newest message, and what its listeners hear."""

    def __init__(self) -> None:
        self.until_s = 0.0
        self._number: int | None = None
        self._to_all = False
        self._calls: frozenset[CallId] = frozenset()

    def follows(self, number: int) -> bool:
        """Whether nothing is missing between this message and the one before."""
        before, self._number = self._number, number
        return before is not None and number == before + 1

    def hears(self, to_all: bool, calls: list[CallId]) -> None:
        self._to_all, self._calls = to_all, frozenset(calls)

    def listens(self, call_id: CallId, now_s: float) -> bool:
        return now_s < self.until_s and (self._to_all or call_id in self._calls)


def _note(*parts: Json | Mapping[str, Json]) -> bytes:
    return json.dumps(parts, separators=(",", ":")).encode()


def _packed(notes: list[bytes], max_bytes: int) -> Iterator[bytes]:
    """Notes joined into bodies of at most `max_bytes`; a single one that is longer is left out."""
    body, size = list[bytes](), 0
    for note in notes:
        if len(note) > max_bytes:
            log.debug("an event is too long to be told to other processes")
            continue
        if body and size + len(note) + 1 > max_bytes:
            yield b",".join(body)
            body, size = [], 0
        body.append(note)
        size += len(note) + 1
    if body:
        yield b",".join(body)
