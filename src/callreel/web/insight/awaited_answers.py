"""Answers of a language model that a person waits for: as one JSON document, or as server-sent events with the progress.

The requests to the model are cancelled as soon as the client is gone. They have threads of their own, so that they keep no other
request waiting.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Final, cast

from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.requests import ClientDisconnect

from callreel.domain.errors import CallreelError
from callreel.domain.events import Json
from callreel.language_model.cancellation import CancelledRequestError
from callreel.language_model.inquiry import Progress, Watch
from callreel.store.audit.pending import defer_entry
from callreel.web.api.live_events import HEARTBEAT, STREAM_HEADERS
from callreel.web.auth.person import person_of
from callreel.web.errors import error_document
from callreel.web.heavy_requests import HeavyRequest, HeavyRequests
from callreel.web.options import WebContext

log = logging.getLogger(__name__)

AT_ONCE: Final = 2
"""Answers that are worked on at once, one for each person."""
MOST_OF_PERSON: Final = 2
"""Of one person: one is worked on, one waits for it."""
_EVENTS: Final = "text/event-stream"

Work = Callable[[Watch], Mapping[str, Json]]
"""Blocking. Its audit entry is appended by `append_deferred_entry` at its end."""
_Steps = asyncio.Queue[Progress | None]
"""None: the work has ended."""


def inquiry_threads() -> HeavyRequests:
    """The threads of one application."""
    return HeavyRequests("inquiry", AT_ONCE, most_waiting=MOST_OF_PERSON)


async def awaited(request: Request, context: WebContext, work: Work) -> Response:
    """The response with the result of `work`: events where the client accepts them, else JSON."""
    turn = cast(HeavyRequests, request.app.state.inquiries).request(person_of(request).name)
    if _EVENTS in request.headers.get("accept", ""):
        defer_entry()
        events = _events(request, turn, work, context.options.heartbeat_s)
        return StreamingResponse(events, media_type=_EVENTS, headers=STREAM_HEADERS)
    async with _running(turn, work) as (task, _):
        gone = asyncio.create_task(_disconnected(request))
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
        if not task.done():
            raise ClientDisconnect
        return JSONResponse(task.result())


@asynccontextmanager
async def _running(
    turn: HeavyRequest, work: Work
) -> AsyncIterator[tuple[asyncio.Task[Mapping[str, Json]], _Steps]]:
    """`work` in a thread when it is the person's turn, with its steps; cancelled at the end of the block."""
    loop, steps = asyncio.get_running_loop(), _Steps()
    watch = Watch(lambda step: loop.call_soon_threadsafe(steps.put_nowait, step))

    def watched() -> Mapping[str, Json]:
        try:
            return work(watch)
        except CancelledRequestError:
            log.info("request to the language model cancelled")
            raise

    def ended(task: asyncio.Task[Mapping[str, Json]]) -> None:
        steps.put_nowait(None)
        if not task.cancelled():
            task.exception()  # else asyncio logs it when the client is gone

    task = asyncio.create_task(turn.run(watched))
    task.add_done_callback(ended)
    try:
        yield task, steps
    finally:
        watch.cancellation.cancel()
        task.cancel()
        turn.answered()


async def _events(request: Request, turn: HeavyRequest, work: Work, heartbeat_s: float) -> AsyncIterator[str]:
    async with _running(turn, work) as (task, steps):
        while not task.done() or not steps.empty():
            try:
                async with asyncio.timeout(heartbeat_s):
                    step = await steps.get()
            except TimeoutError:
                yield HEARTBEAT
                continue
            if step is not None:
                yield _event("progress", json.dumps(asdict(step)))
        try:
            text = _event("answer", json.dumps(task.result()))
        except CallreelError as error:
            text = _event("error", await error_document(request, error))
        yield text


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _event(kind: str, data: str) -> str:
    return f"event: {kind}\ndata: {data}\n\n"
