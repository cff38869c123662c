"""Live events as server-sent events (WHATWG HTML, section 9.2), of one call or of all.

Stored events carry an `id` and always come from the database, in the order of their ids; the bus only signals that
there are new ones. So a client gets each exactly once, across replay and live and when the bus had to drop events.
Transient events come from the bus and have no id.

    GET /calls/{call_id}/events      all events of the call, then live ones
    GET /events                      live ones only; `?kinds=call,verdict` for some kinds

`Last-Event-ID`, which a browser sends when it reconnects, or `?after=` is the last id that the client has.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from callreel.cluster.event_bus import EventSource, Received, Resync
from callreel.domain.audit import AuditAction
from callreel.domain.errors import StoreError
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.store.calls import calls, live_events
from callreel.store.db.database import Database
from callreel.web.auth.attempts import TooManyAttemptsError
from callreel.web.auth.person import SessionCheck, person_of, session_check
from callreel.web.dependencies import AuditService, Context, CurrentPerson, ExistingCall
from callreel.web.errors import InvalidError
from callreel.web.options import WebContext
from callreel.web.values import LARGEST_INTEGER

RETRY_MS: Final = 2000
UNAVAILABLE_S: Final = 1.0
"""How long to wait before an unavailable database is queried again."""
HEARTBEAT: Final = ": still here\n\n"
WORDS: Final = {EventKind.FINAL, EventKind.PARTIAL}
"""The kinds of events that show what is said."""
MOST_STREAMS: Final = 50
"""Open streams of one person: each reads the database at each event. A browser opens up to six for all its pages."""
_BATCH: Final = 500
STREAM_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

Kinds = Annotated[str | None, Query(max_length=1000)]
LastEventId = Annotated[str | None, Header()]

T = TypeVar("T")

routes = APIRouter(tags=["live"])


class TooManyStreamsError(TooManyAttemptsError):
    """The person has too many open streams."""

    def __init__(self) -> None:
        super().__init__(10.0)
        self.args = (f"you have {MOST_STREAMS} pages with live updates open; close some",)


class OpenStreams:
    """Counts the open streams of each person of one application."""

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()

    def counted(self, person: str, stream: AsyncIterator[T]) -> AsyncIterator[T]:
        """`stream`, counted while it is read. Raises TooManyStreamsError."""
        if self._of[person] >= MOST_STREAMS:
            raise TooManyStreamsError
        return self._counted(person, stream)

    async def _counted(self, person: str, stream: AsyncIterator[T]) -> AsyncIterator[T]:
        self._of[person] += 1
        try:
            async for piece in stream:
                yield piece
        finally:
            self._of[person] -= 1
            if not self._of[person]:
                del self._of[person]


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a client subscribed to. `after` is the last id it has; None: only new events. `call_id` None: all calls.

    `own` limits the events to those of one agent's calls.
    """

    call_id: CallId | None
    after: int | None
    kinds: frozenset[EventKind] = frozenset(EventKind)
    own: str | None = None


@routes.get("/calls/{call_id}/events", response_class=StreamingResponse)
async def call_events(
    context: Context,
    request: Request,
    call: ExistingCall,
    after: Annotated[int, Query(ge=0, le=LARGEST_INTEGER)] = 0,
    kinds: Kinds = None,
    last_event_id: LastEventId = None,
) -> StreamingResponse:
    """Server-sent events of one call: all that was stored since `after` (or `Last-Event-ID`), then live ones."""
    return _stream(context, request, Subscription(call.id, _last_id(last_event_id, after), _kinds(kinds)))


@routes.get("/events", response_class=StreamingResponse)
async def all_events(
    context: Context,
    auditor: AuditService,
    request: Request,
    person: CurrentPerson,
    after: Annotated[int | None, Query(ge=0, le=LARGEST_INTEGER)] = None,
    kinds: Kinds = None,
    last_event_id: LastEventId = None,
) -> StreamingResponse:
    """Server-sent events of all calls, from now on, or since `after` (or `Last-Event-ID`). `kinds` is a list."""
    wanted = Subscription(None, _last_id(last_event_id, after), _kinds(kinds), person.own)
    if wanted.kinds & WORDS:
        followed = auditor.event(request.scope, AuditAction.CALL_VIEWED, subject="live calls")
        await asyncio.to_thread(auditor.extend_often, followed)
    return _stream(context, request, wanted)


def event_text(event: LiveEvent) -> str:
    """One event on the wire. Its data is one line of JSON: the event's own, and `call_id`."""
    lines = [] if event.id is None else [f"id: {event.id}"]
    data = json.dumps({**event.data, "call_id": event.call_id}, separators=(",", ":"))
    return "\n".join([*lines, f"event: {event.kind}", f"data: {data}", "", ""])


async def event_stream(
    database: Database,
    source: EventSource,
    wanted: Subscription,
    *,
    heartbeat_s: float,
    still_allowed: SessionCheck,
) -> AsyncIterator[str]:
    """The events for one client, until it disconnects, `source` closes, or its session ends.

    Comments fill a lull. `still_allowed` is checked once each `heartbeat_s`, whatever else happens, and at each `Resync`, which the
    end of any session causes. A transient event
    may come after the stored one that settles it; clients keep what is settled. An unavailable database is retried.
    """
    async with source.subscribe(wanted.call_id) as events:
        # Read the newest id only now: the bus delivers what is stored from here on, so nothing falls between replay
        # and live.
        yield f"retry: {RETRY_MS}\n\n"
        client = _Client(database, wanted)
        loop = asyncio.get_running_loop()
        event: Received | None = Resync()
        checked_s = loop.time()
        while True:
            try:
                if isinstance(event, Resync) or loop.time() - checked_s >= heartbeat_s:
                    if not await still_allowed():
                        return
                    checked_s = loop.time()
                async for text in client.texts(event):
                    yield text
            except StoreError:
                yield HEARTBEAT
                await asyncio.sleep(UNAVAILABLE_S)
                event = Resync()
                continue
            try:
                async with asyncio.timeout(heartbeat_s):
                    event = await anext(events)
            except TimeoutError:
                event = None
            except StopAsyncIteration:
                return


@dataclass(slots=True)
class _Client:
    """What one client has seen, and which calls it may see."""

    database: Database
    wanted: Subscription
    seen: int | None = None
    _is_own: dict[CallId, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.seen = self.wanted.after

    async def texts(self, event: Received | None) -> AsyncIterator[str]:
        """What to send for one event of the bus; None stands for a lull. Raises StoreError."""
        if self.seen is None:
            self.seen = await asyncio.to_thread(self._newest_id)
        if event is None:
            yield HEARTBEAT
        elif isinstance(event, LiveEvent) and event.id is None:
            if event.kind in self.wanted.kinds and await self._allowed(event.call_id):
                yield event_text(event)
        elif isinstance(event, Resync) or (event.id or 0) > self.seen:
            while batch := await asyncio.to_thread(self._batch, self.seen):
                for stored in batch:
                    self.seen = stored.id or self.seen
                    if stored.kind in self.wanted.kinds:
                        yield event_text(stored)

    async def _allowed(self, call_id: CallId) -> bool:
        if self.wanted.own is None:
            return True
        if call_id not in self._is_own:
            self._is_own[call_id] = await asyncio.to_thread(self._look_up, call_id)
        return self._is_own[call_id]

    def _look_up(self, call_id: CallId) -> bool:
        with self.database.read() as conn:
            call = calls.get(conn, call_id)
        return call is not None and call.agent == self.wanted.own

    def _batch(self, seen: int) -> list[LiveEvent]:
        with self.database.read() as conn:
            return live_events.after(conn, self.wanted.call_id, seen, _BATCH, self.wanted.own)

    def _newest_id(self) -> int:
        with self.database.read() as conn:
            return live_events.last_id(conn)


def _stream(context: WebContext, request: Request, wanted: Subscription) -> StreamingResponse:
    text = event_stream(
        context.database, context.bus, wanted,
        heartbeat_s=context.options.heartbeat_s, still_allowed=session_check(request),
    )  # fmt: skip
    open_streams: OpenStreams = request.app.state.open_streams
    counted = open_streams.counted(person_of(request).name, text)
    return StreamingResponse(counted, media_type="text/event-stream", headers=STREAM_HEADERS)


def _last_id(header: str | None, after: int | None) -> int | None:
    """`Last-Event-ID` if it is one of ours, else `after`."""
    return int(header) if header and header.isascii() and header.isdigit() and len(header) < 10 else after


def _kinds(listed: str | None) -> frozenset[EventKind]:
    if listed is None:
        return frozenset(EventKind)
    try:
        return frozenset(EventKind(kind) for kind in listed.split(","))
    except ValueError:
        raise InvalidError(f"the kinds of events are {', '.join(EventKind)}") from None
