"""The carrier's media socket: signature, then token, then frames until the end.

A thin driver: what messages mean is `carrier/stream`, what becomes of them `services/live_calls`. The signature of the
handshake is checked before the upgrade (a wrong one gets 403); whatever is wrong afterwards closes with 1008 or the
code that fits, and is counted.
"""

import asyncio
import logging
from dataclasses import dataclass

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from callreel.carrier.signature import SignatureCheck
from callreel.carrier.stream import (
    Digit,
    Frame,
    Marked,
    Started,
    Stopped,
    StreamEvent,
    StreamReceiver,
    Unknown,
    Violation,
)
from callreel.services.counters import Counters
from callreel.services.live_calls import LiveCalls, LiveStream
from callreel.store.streams import EndedBy

log = logging.getLogger(__name__)

POLICY = 1008
TRY_AGAIN = 1013
MAX_MESSAGE_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """How long a socket may say nothing: before its `start`, and afterwards."""

    start_deadline_s: float = 10.0
    idle_s: float = 30.0


class _Closed(Exception):
    """Our side ends the socket, with this code."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


def media_router(
    check: SignatureCheck, stream_url: str, live_calls: LiveCalls, counters: Counters, limits: SocketLimits
) -> APIRouter:
    """The route of the media socket. `stream_url` is the public `wss` address that the TwiML names and is signed."""
    router = APIRouter()

    @router.websocket("/twilio/media-stream")
    async def media_stream(socket: WebSocket) -> None:
        if not check.valid(stream_url, None, socket.headers):
            counters.add("sockets_refused")
            log.warning("refused a media socket: its signature is missing or wrong")
            await socket.close(POLICY)  # before the upgrade this answers 403
            return
        await socket.accept()
        await _Session(socket, live_calls, counters, limits).run()

    return router


class _Session:
    """One socket from `connected` to its end."""

    def __init__(
        self, socket: WebSocket, live_calls: LiveCalls, counters: Counters, limits: SocketLimits
    ) -> None:
        self._socket = socket
        self._live_calls = live_calls
        self._counters = counters
        self._limits = limits
        self._receiver = StreamReceiver(max_message_bytes=MAX_MESSAGE_BYTES)
        self._stream: LiveStream | None = None

    async def run(self) -> None:
        ended_by = EndedBy.SOCKET
        try:
            await self._until_started()
            ended_by = await self._until_ended()
        except _Closed as closed:
            self._counters.add("sockets_refused" if self._stream is None else "sockets_closed_by_us")
            log.warning("closed a media socket: %s", closed.why)
            await self._close(closed.code)
        except WebSocketDisconnect:
            pass
        finally:
            if self._stream is not None:
                await self._live_calls.close_stream(self._stream, ended_by)
        await self._close(1000)

    async def _close(self, code: int) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            try:
                await self._socket.close(code)
            except (RuntimeError, WebSocketDisconnect):
                pass  # the other side was faster

    async def _until_started(self) -> None:
        try:
            async with asyncio.timeout(self._limits.start_deadline_s):
                while self._stream is None:
                    await self._before_start(await self._receive())
        except TimeoutError:
            raise _Closed(POLICY, f"no start within {self._limits.start_deadline_s:g} s") from None

    async def _before_start(self, event: StreamEvent) -> None:
        if isinstance(event, Started):
            self._stream = await self._live_calls.open_stream(event)
            if self._stream is None:
                raise _Closed(POLICY, "its token is missing, spent, expired or another call's")
        else:
            await self._other(event)

    async def _until_ended(self) -> EndedBy:
        """What ended the stream: `STATUS` when the carrier said that it stopped while the socket hung on."""
        stream = self._stream
        assert stream is not None
        ended = asyncio.create_task(stream.ended.wait())
        reading = asyncio.create_task(self._read(stream))
        try:
            await asyncio.wait((ended, reading), return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else EndedBy.STATUS
        finally:
            ended.cancel()
            reading.cancel()
            await asyncio.gather(ended, reading, return_exceptions=True)

    async def _read(self, stream: LiveStream) -> EndedBy:
        """The frames' way. Nothing but `place` stands between a message and the lane."""
        while True:
            try:
                async with asyncio.timeout(self._limits.idle_s):
                    event = await self._receive()
            except TimeoutError:
                log.warning("a media stream fell silent for %g s", self._limits.idle_s)
                return EndedBy.SOCKET
            if isinstance(event, Frame):
                stream.place(event)
            elif isinstance(event, Stopped):
                return EndedBy.STOP
            else:
                await self._other(event)

    async def _receive(self) -> StreamEvent:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        text = message.get("text")
        return self._receiver.receive(text if text is not None else message.get("bytes") or b"")

    async def _other(self, event: StreamEvent) -> None:
        """Everything that is neither audio nor the beginning or end."""
        if isinstance(event, Violation):
            self._counters.add("stream_violations")
            if event.close_code is not None:
                raise _Closed(event.close_code, event.what)
            log.info("media socket: %s", event.what)
        elif isinstance(event, Unknown):
            await self._fact("unknown_stream_event", {"event": event.name, "body": event.body})
        elif isinstance(event, Digit):
            await self._fact("digit", {"track": event.track, "digit": event.digit})
        elif isinstance(event, Marked):
            await self._fact("mark", {"name": event.name})

    async def _fact(self, kind: str, data: dict[str, str]) -> None:
        # Without a stream nobody has shown a token yet: such words are counted, never stored.
        if self._stream is None:
            self._counters.add("events_before_start")
            return
        await asyncio.to_thread(self._live_calls.note_fact, kind, data, self._stream)
