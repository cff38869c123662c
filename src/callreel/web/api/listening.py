"""Listening along: the audio of a live call as it is recorded, both parties mixed, for people with the right `calls:listen`.

The body is mu-law at 8 kHz without a header (`audio/basic`, RFC 2046 section 4.3), sent as it is recorded. It ends with the call,
with the listener's session, and when the server stops. The audit trail says who listened, and to which stretches of the call.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from callreel.cluster.event_bus import EventSource, Resync
from callreel.domain.audit import AuditAction, AuditEvent
from callreel.domain.call import CallState
from callreel.domain.errors import StoreError
from callreel.store.audio.live_audio import LiveAudio
from callreel.web.api.live_events import OpenStreams
from callreel.web.auth.auditor import Auditor
from callreel.web.auth.person import SessionCheck, person_of, session_check
from callreel.web.dependencies import AuditService, Context, ExistingCall
from callreel.web.errors import RequestConflictError, error_json

log = logging.getLogger(__name__)

POLL_S: Final = 0.2
CHECK_S: Final = 1.0
"""How often the session is checked, besides at each event that may have ended it."""
STORE_EVERY_S: Final = 30.0
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

routes = APIRouter(tags=["live"])


@routes.get("/calls/{call_id}/listen", response_class=StreamingResponse)
def listen(context: Context, auditor: AuditService, request: Request, call: ExistingCall) -> Response:
    """The audio of a live call from now on, both parties mixed: 8 kHz mu-law without a header. Ends with the call; 409 without audio."""
    person = person_of(request)
    reason = auditor.reason(person, call.id)
    if reason is None and context.options.playback_reason:
        return error_json(403, "Give a reason for listening to this call first.", "reason_required")
    if call.state is not CallState.LIVE:
        raise RequestConflictError("the call is over; play its recording instead")
    audio = LiveAudio(context.database, context.blobs, call.id)
    try:
        audio.newest()
    except StoreError:
        raise RequestConflictError(
            "the audio of this call cannot be read here: another machine records it"
        ) from None
    event = auditor.event(request.scope, AuditAction.LISTENED, call.id, "live", reason or "")
    auditor.extend(event)
    listener = Listener(audio, context.bus, auditor, event, session_check(request))
    open_streams: OpenStreams = request.app.state.open_streams
    blocks = open_streams.counted(person.name, listener.blocks())
    return StreamingResponse(blocks, media_type="audio/basic", headers=_HEADERS)


@dataclass(frozen=True, slots=True)
class Listener:
    """One open response. While its client does not read, it reads nothing either; then it continues with the newest audio."""

    audio: LiveAudio
    source: EventSource
    auditor: Auditor
    event: AuditEvent
    still_allowed: SessionCheck

    async def blocks(self) -> AsyncIterator[bytes]:
        """The audio as it is recorded, until the call or the session ends or `source` closes."""
        loop = asyncio.get_running_loop()
        next_s = checked_s = stored_s = loop.time()
        try:
            async with self.source.subscribe(self.event.call_id) as events:
                while True:
                    now_s = loop.time()
                    if now_s - checked_s >= CHECK_S:
                        checked_s = now_s
                        if not await self.still_allowed():
                            return
                    if now_s - stored_s >= STORE_EVERY_S:
                        stored_s = now_s
                        await asyncio.to_thread(self._store)
                    if now_s >= next_s:
                        next_s = now_s + POLL_S
                        block = await asyncio.to_thread(self.audio.newest)
                        if block is None:
                            return
                        if block:
                            yield block
                    try:
                        async with asyncio.timeout(max(0.0, next_s - loop.time())):
                            if isinstance(await anext(events), Resync):
                                checked_s -= CHECK_S
                    except TimeoutError:
                        pass
                    except StopAsyncIteration:
                        return
        except StoreError:
            return  # the files are gone, as when the recording was stopped and erased, or the database is away
        finally:
            try:
                await asyncio.shield(asyncio.to_thread(self._store))
            except StoreError as error:
                log.error("end of listening not stored call=%s: %s", self.event.call_id, error)

    def _store(self) -> None:
        given, self.audio.given = self.audio.given, []
        self.auditor.extend(self.event, given, requests=0)
