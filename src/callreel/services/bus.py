"""Live events between the parts of one process: who publishes never waits, who listens is never told half.

It carries events and stores none: lasting events are rows first (`store/live_events`) and are published afterwards.
Each listener has a bounded queue of its own. When a listener falls behind, its passing events go first, since what
they say is said again; when lasting ones would have to go, all go and `Resync` tells the listener to read the
database from where it was.
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
"""How many events may wait for one listener."""


@dataclass(frozen=True, slots=True)
class Resync:
    """Lasting events were left out here: read those after the last one you have from the database."""


Heard: TypeAlias = LiveEvent | Resync


class EventSource(Protocol):
    """Where live events are heard."""

    def subscribe(self, call_id: CallId | None) -> AbstractAsyncContextManager[AsyncIterator[Heard]]:
        """Events of one call, or of all calls for None, from the moment the context is entered until it is left.

        The iterator ends when the source is closed. A cancelled wait for the next event loses none.
        """
        ...


class Listener:
    """One subscription: a bounded queue filled from any thread and read in one event loop."""

    def __init__(self, call_id: CallId | None, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        self._call_id = call_id
        self._loop = loop
        self._limit = limit
        self._lock = threading.RLock()
        self._waiting: deque[Heard] = deque()
        self._closed = False
        self._filled = asyncio.Event()

    def put(self, event: LiveEvent) -> None:
        """Any thread. Does nothing for another call's event; at the bound, makes room as the module says."""
        if self._call_id is not None and event.call_id != self._call_id:
            return
        with self._lock:
            asleep = not self._waiting
            if len(self._waiting) >= self._limit:
                self._make_room()
            self._waiting.append(event)
        if asleep:
            self._wake()

    def close(self) -> None:
        """Any thread. What waits is still given out, then the iterator ends."""
        with self._lock:
            self._closed = True
        self._wake()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Heard:
        while True:
            with self._lock:
                if self._waiting:
                    return self._waiting.popleft()
                if self._closed:
                    raise StopAsyncIteration
                self._filled.clear()
            await self._filled.wait()

    def _make_room(self) -> None:
        lasting = [heard for heard in self._waiting if isinstance(heard, Resync) or heard.id is not None]
        self._waiting.clear()
        self._waiting.extend(lasting if len(lasting) < self._limit else [Resync()])

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._filled.set)
        except RuntimeError:  # the listener's loop is gone, and with it the listener
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
        self._closed = False

    @property
    def has_listeners(self) -> bool:
        """Whether anybody listens now; what passes need not be made for nobody."""
        return bool(self._listeners)

    def publish(self, event: LiveEvent) -> None:
        """Give `event` to everybody who listens now. Never blocks on a listener."""
        with self._lock:
            for listener in self._listeners:
                listener.put(event)

    @asynccontextmanager
    async def subscribe(self, call_id: CallId | None) -> AsyncIterator[AsyncIterator[Heard]]:
        """See `EventSource.subscribe`. On a closed bus the iterator ends at once."""
        listener = Listener(call_id, asyncio.get_running_loop(), self._limit)
        with self._lock:
            self._listeners.add(listener)
            closed = self._closed
        if closed:
            listener.close()
        try:
            yield listener
        finally:
            with self._lock:
                self._listeners.discard(listener)

    def close(self) -> None:
        """End every subscription, now and later. The server calls it before it waits for open connections."""
        with self._lock:
            self._closed = True
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener.close()
