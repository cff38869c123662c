"""Live events between the parts of one process: a publisher never waits, a listener never misses one unnoticed.

It carries events and stores none: lasting events are rows first (`store/calls/live_events`) and are published
afterwards. Each listener has a bounded queue. When a listener falls behind, passing events are dropped first, since later
ones replace them; when lasting ones would be dropped, all are, and `Resync` makes the listener read the database from
where it was. `PeerListeners` reaches the listeners of other processes (`cluster/event_relay`).
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol, Self, TypeAlias

from callreel.domain.events import LiveEvent
from callreel.domain.ids import CallId

LISTENER_LIMIT: Final = 1000
"""Events that may wait for one listener."""


@dataclass(frozen=True, slots=True)
class Resync:
    """Lasting events happened that are not given here: read those after the last one you have from the database."""


class PeerListeners(Protocol):
    """The listeners of other processes. Any thread; never blocks."""

    def publish(self, event: LiveEvent) -> None:
        """Forward an event that the listeners of this process have had."""
        ...

    def wants(self, call_id: CallId) -> bool:
        """Whether one of them listens to this call."""
        ...

    def listeners_changed(self) -> None:
        """`EventBus.listened_to` has changed."""
        ...


Received: TypeAlias = LiveEvent | Resync


class EventSource(Protocol):
    """Gives live events to listeners."""

    def subscribe(self, call_id: CallId | None) -> AbstractAsyncContextManager[AsyncIterator[Received]]:
        """Events of one call, or of all calls for None, from the moment the context is entered until it is left.

        The iterator ends when the source is closed. A cancelled wait for the next event loses none.
        """
        ...


class Listener:
    """One subscription: a bounded queue filled from any thread and read in one event loop."""

    def __init__(self, call_id: CallId | None, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        self.call_id = call_id
        """None for all calls."""
        self._loop = loop
        self._limit = limit
        self._lock = threading.RLock()
        self._waiting: deque[Received] = deque()
        self._closed = False
        self._filled = asyncio.Event()

    def put(self, event: LiveEvent) -> None:
        """Any thread. Ignores another call's event; at the bound, makes room as the module describes."""
        if self.call_id is None or event.call_id == self.call_id:
            self._put(event)

    def resync(self, call_id: CallId | None) -> None:
        """Any thread. Lasting events of `call_id`, or of any call for None, must be read from the database."""
        if None in (call_id, self.call_id) or call_id == self.call_id:
            self._put(Resync())

    def _put(self, event: Received) -> None:
        with self._lock:
            asleep = not self._waiting
            if isinstance(event, Resync) and not asleep and isinstance(self._waiting[-1], Resync):
                return
            if len(self._waiting) >= self._limit:
                lasting = [kept for kept in self._waiting if isinstance(kept, Resync) or kept.id is not None]
                self._waiting.clear()
                self._waiting.extend(lasting if len(lasting) < self._limit else [Resync()])
            self._waiting.append(event)
        if asleep:
            self._wake()

    def close(self) -> None:
        """Any thread. Waiting events are still given out, then the iterator ends."""
        with self._lock:
            self._closed = True
        self._wake()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Received:
        while True:
            with self._lock:
                if self._waiting:
                    return self._waiting.popleft()
                if self._closed:
                    raise StopAsyncIteration
                self._filled.clear()
            await self._filled.wait()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._filled.set)
        except RuntimeError:  # the listener's loop is closed, and with it the listener
            with self._lock:
                self._waiting.clear()


class EventBus:
    """An `EventSource` for one process. `publish` may be called from any thread, in or out of an event loop."""

    def __init__(self, *, limit: int = LISTENER_LIMIT) -> None:
        if limit < 2:
            raise ValueError(f"a listener's queue holds 2 events or more, not {limit}")
        self._limit = limit
        self._lock = threading.RLock()
        self._listeners: set[Listener] = set()
        self._peers: PeerListeners | None = None
        self._closed = False

    def connect(self, peers: PeerListeners) -> None:
        """Forward to the listeners of other processes what is published here."""
        self._peers = peers

    def has_listeners(self, call_id: CallId) -> bool:
        """Whether a listener in any process listens to this call, so that its passing events are worth making."""
        here = False
        if self._listeners:  # most calls have none
            with self._lock:
                here = any(listener.call_id in (None, call_id) for listener in self._listeners)
        return here or (self._peers is not None and self._peers.wants(call_id))

    @property
    def listened_to(self) -> tuple[bool, frozenset[CallId]]:
        """Of this process's listeners: whether one listens to all calls, and which calls the others listen to."""
        with self._lock:
            calls = {listener.call_id for listener in self._listeners}
        return None in calls, frozenset(call_id for call_id in calls if call_id is not None)

    def publish(self, event: LiveEvent) -> None:
        """Give `event` to the current listeners in all processes. Never blocks on a listener."""
        self.publish_here(event)
        if self._peers is not None:
            self._peers.publish(event)

    def publish_here(self, event: LiveEvent) -> None:
        """Give `event` to the current listeners of this process alone."""
        with self._lock:
            for listener in self._listeners:
                listener.put(event)

    def resync(self, call_id: CallId | None = None) -> None:
        """Make listeners of this process read the database: those of one call and of all calls, or every one for None."""
        with self._lock:
            for listener in self._listeners:
                listener.resync(call_id)

    @asynccontextmanager
    async def subscribe(self, call_id: CallId | None) -> AsyncIterator[AsyncIterator[Received]]:
        """See `EventSource.subscribe`. On a closed bus the iterator ends at once."""
        listener = Listener(call_id, asyncio.get_running_loop(), self._limit)
        with self._lock:
            self._listeners.add(listener)
            closed = self._closed
        self._listeners_changed()
        if closed:
            listener.close()
        try:
            yield listener
        finally:
            with self._lock:
                self._listeners.discard(listener)
            self._listeners_changed()

    def _listeners_changed(self) -> None:
        if self._peers is not None:
            self._peers.listeners_changed()

    def close(self) -> None:
        """End every subscription, now and later. The server calls it before it waits for open connections."""
        with self._lock:
            self._closed = True
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener.close()
