"""Live events as server-sent events (WHATWG HTML, section 9.2), of one call or of all.

Lasting events carry an `id` and always come from the database, in the order of their ids; the bus only says that
there are new ones. So there is no hole and no double, neither between replay and live nor when the bus had to leave
events out. Passing events come from the bus and have no id.

    GET /calls/{call_id}/events      the whole call first, then what happens
    GET /events                      what happens from now on; `?kinds=call,verdict` for some kinds only

`Last-Event-ID`, which a browser sends when it comes back, or `?after=` says what the listener has already.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Header, HTTPException, Query, Request
from fastapi.responses import StreamingResponse

from callreel.cluster.event_bus import EventSource, Heard, Resync
from callreel.domain.errors import StoreError
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.store.calls import calls, live_events
from callreel.store.db.database import Database
from callreel.web.auth.person import StillIn, person_of, still_in
from callreel.web.errors import not_found
from callreel.web.options import WebContext

RETRY_MS: Final = 2000
AWAY_S: Final = 1.0
"""How long to wait before a database that is away is asked again."""
HEARTBEAT: Final = ": still here\n\n"
_BATCH: Final = 500
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a listener asked for. `after` is the last id it has; None: everything from now on. `call_id` None: all calls.

    `own` is the identity of an agent who hears of no others' calls.
    """

    call_id: CallId | None
    after: int | None
    kinds: frozenset[EventKind] = frozenset(EventKind)
    own: str | None = None


def event_text(event: LiveEvent) -> str:
    """One event on the wire. Its data is one line of JSON: the event's own, and `call_id`."""
    lines = [] if event.id is None else [f"id: {event.id}"]
    data = json.dumps({**event.data, "call_id": event.call_id}, separators=(",", ":"))
    return "\n".join([*lines, f"event: {event.kind}", f"data: {data}", "", ""])


async def live_text(
    database: Database, source: EventSource, wish: Wish, *, heartbeat_s: float, is_still: StillIn
) -> AsyncIterator[str]:
    """What goes to one listener, until it leaves, `source` is closed, or the listener is no longer in.

    A lull is filled with comments. `is_still` is asked once each `heartbeat_s`, whatever else happens. A passing event
    may come after the lasting one that settles it; listeners keep what is settled. A database that is away is waited for.
    """
    async with source.subscribe(wish.call_id) as heard:
        # Only now: what is stored from here on is also heard, so nothing falls between replay and live.
        yield f"retry: {RETRY_MS}\n\n"
        seen = wish.after
        while seen is None:
            try:
                seen = await asyncio.to_thread(_newest_id, database)
            except StoreError:
                yield HEARTBEAT
                await asyncio.sleep(AWAY_S)
        is_own = _Own(database, wish.own)
        event: Heard | None = Resync()
        asked = asyncio.get_running_loop().time()
        while True:
            try:
                if asyncio.get_running_loop().time() - asked >= heartbeat_s:
                    if not await is_still():
                        return
                    asked = asyncio.get_running_loop().time()
                if event is None:
                    yield HEARTBEAT
                elif isinstance(event, LiveEvent) and event.id is None:
                    if event.kind in wish.kinds and await is_own.has(event.call_id):
                        yield event_text(event)
                elif isinstance(event, Resync) or (event.id or 0) > seen:
                    async for stored in _stored_after(database, wish, seen):
                        seen = stored.id or seen
                        if stored.kind in wish.kinds:
                            yield event_text(stored)
            except StoreError:
                yield HEARTBEAT
                await asyncio.sleep(AWAY_S)
                event = Resync()
                continue
            try:
                event = await _next(heard, heartbeat_s)
            except StopAsyncIteration:
                return


def router(context: WebContext) -> APIRouter:
    """The two streams of events."""
    routes = APIRouter(tags=["live"])
    database = context.database

    def stream(request: Request, wish: Wish) -> StreamingResponse:
        text = live_text(
            database, context.bus, wish, heartbeat_s=context.options.heartbeat_s, is_still=still_in(request)
        )
        return StreamingResponse(text, media_type="text/event-stream", headers=_HEADERS)

    @routes.get("/calls/{call_id}/events", response_class=StreamingResponse)
    async def call_events(
        request: Request,
        call_id: CallId,
        after: Annotated[int, Query(ge=0)] = 0,
        kinds: str | None = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> StreamingResponse:
        """Server-sent events of one call: all that was stored since `after` (or `Last-Event-ID`), then live ones."""
        if not await asyncio.to_thread(_is_call, database, call_id):
            raise not_found("call")
        return stream(request, Wish(call_id, _last_id(last_event_id, after), _kinds(kinds)))

    @routes.get("/events", response_class=StreamingResponse)
    async def all_events(
        request: Request,
        after: Annotated[int | None, Query(ge=0)] = None,
        kinds: str | None = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> StreamingResponse:
        """Server-sent events of all calls, from now on, or since `after` (or `Last-Event-ID`). `kinds` is a list."""
        wish = Wish(None, _last_id(last_event_id, after), _kinds(kinds), person_of(request).own)
        return stream(request, wish)

    return routes


async def _next(heard: AsyncIterator[Heard], lull_s: float) -> Heard | None:
    """The next thing heard, or None after `lull_s` seconds of nothing."""
    try:
        async with asyncio.timeout(lull_s):
            return await anext(heard)
    except TimeoutError:
        return None


class _Own:
    """Whether calls are those of one agent, looked up once a call; without an agent all are."""

    def __init__(self, database: Database, identity: str | None) -> None:
        self._database = database
        self._identity = identity
        self._known: dict[CallId, bool] = {}

    async def has(self, call_id: CallId) -> bool:
        if self._identity is None:
            return True
        if call_id not in self._known:
            self._known[call_id] = await asyncio.to_thread(self._look_up, call_id)
        return self._known[call_id]

    def _look_up(self, call_id: CallId) -> bool:
        with self._database.read() as conn:
            row = calls.get(conn, call_id)
        return row is not None and row.agent == self._identity


async def _stored_after(database: Database, wish: Wish, seen: int) -> AsyncIterator[LiveEvent]:
    while batch := await asyncio.to_thread(_batch_after, database, wish, seen):
        for event in batch:
            seen = event.id or seen
            yield event


def _batch_after(database: Database, wish: Wish, seen: int) -> list[LiveEvent]:
    with database.read() as conn:
        return live_events.after(conn, wish.call_id, seen, _BATCH, wish.own)


def _newest_id(database: Database) -> int:
    with database.read() as conn:
        return live_events.last_id(conn)


def _is_call(database: Database, call_id: CallId) -> bool:
    with database.read() as conn:
        return calls.get(conn, call_id) is not None


def _last_id(header: str | None, after: int | None) -> int | None:
    """`Last-Event-ID` if it is one of ours, else `after`."""
    return int(header) if header and header.isascii() and header.isdigit() and len(header) < 19 else after


def _kinds(listed: str | None) -> frozenset[EventKind]:
    if listed is None:
        return frozenset(EventKind)
    try:
        return frozenset(EventKind(kind) for kind in listed.split(","))
    except ValueError:
        raise HTTPException(422, f"The kinds of events are {', '.join(EventKind)}.") from None
