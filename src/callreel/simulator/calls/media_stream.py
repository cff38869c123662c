"""One media stream of a call: the socket to the receiver, paced frames of the requested tracks, and its callbacks.

The handshake is signed over the wss URL as the TwiML has it, with a lower-case header (reference/twilio.md, section 3.5).
A loopback host is connected by plain ws, since there are no certificates for it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from callreel.audio.samples import FRAME_MS
from callreel.domain.call import Track
from callreel.domain.ids import StreamSid
from callreel.runtime.loopback import is_loopback
from callreel.simulator.calls.context import CallContext
from callreel.simulator.calls.stream_playback import StreamPlayback
from callreel.simulator.calls.stream_sender import StreamSender
from callreel.simulator.calls.twiml_script import StartStream
from callreel.simulator.calls.webhook_forms import stream_status_form
from callreel.simulator.faults import ScheduledMessage, inject
from callreel.simulator.scenario import StreamOutcome

log = logging.getLogger(__name__)

_HANDSHAKE_S = 10.0
_SEND_S = 15.0
_CLOSE_S = 2.0
_CONNECT_AHEAD_MS = 200
_TRACKS = {
    "inbound_track": (Track.INBOUND,),
    "outbound_track": (Track.OUTBOUND,),
    "both_tracks": (Track.INBOUND, Track.OUTBOUND),
}


class MediaStream:
    """Runs once. `stop` and the end of the call end it with a `stop` message; a cut or a broken socket without one."""

    def __init__(self, call: CallContext, order: StartStream) -> None:
        self.sid = StreamSid(call.services.sids.new("MZ"))
        self.order = order
        self._call = call
        self._tracks = _TRACKS[order.track]
        self._sender = StreamSender(self.sid, call.leg_sid, call.services.account.sid)
        self._sent = {track: bytearray() for track in self._tracks}
        self._start_ms = 0
        self._stops_ms: int | None = None
        self._close_code: int | None = None
        self._error: str | None = None
        self.cut = False
        self._playback = StreamPlayback(call)
        self._keys = deque[str]()
        self.over = asyncio.Event()

    @property
    def outcome(self) -> StreamOutcome:
        tracks = {track: bytes(codes) for track, codes in self._sent.items()}
        began_at = self._call.clock.moment(self._start_ms)
        return StreamOutcome(self.sid, self._start_ms, tracks, self._close_code, self._error, began_at)

    def stop(self, at_ms: int) -> None:
        """Send no frame after `at_ms`."""
        self._stops_ms = at_ms

    async def run(self, start_ms: int, cut_ms: float | None = None) -> None:
        """Stream from `start_ms` of the call, or from when the socket connects; break it at `cut_ms` of the stream."""
        try:
            await self._connect_and_stream(start_ms, cut_ms)
        finally:
            self.over.set()

    async def _connect_and_stream(self, start_ms: int, cut_ms: float | None) -> None:
        if not await self._call.wait_in_call(start_ms - _CONNECT_AHEAD_MS):
            return
        with self._call.clock.at_normal_speed():
            socket = await self._connect()
        if socket is None:
            self._notify("stream-error")
            return
        try:
            await self._stream(socket, start_ms, cut_ms)
        except ConnectionClosed as closed:
            self._close_code = closed.rcvd.code if closed.rcvd else 1006
            self._notify("stream-stopped")
        except TimeoutError:
            self._fail("31921 the receiver accepted no message in time")
        finally:
            socket.transport.abort()

    async def _connect(self) -> ClientConnection | None:
        account = self._call.services.account
        forged = self._call.fault("forged-signature") is not None
        signed = account.signature_headers(self.order.url, {}, forged=forged)
        try:
            return await connect(
                connect_url(self.order.url),
                additional_headers={name.lower(): value for name, value in signed.items()},
                compression=None,
                proxy=None,
                open_timeout=_HANDSHAKE_S,
                close_timeout=_CLOSE_S,
                ping_interval=None,
                max_queue=None,
            )
        except TimeoutError:
            self._error = "31901 the connection of the stream timed out"
        except OSError:
            self._error = "31902 the connection of the stream was refused"
        except (InvalidHandshake, InvalidURI) as error:
            self._error = f"31920 the handshake of the stream failed: {error}"
        return None

    async def _stream(self, socket: ClientConnection, start_ms: int, cut_ms: float | None) -> None:
        self._start_ms = max(start_ms, self._call.clock.next_ms(FRAME_MS))
        await self._call.wait_in_call(self._start_ms)
        await socket.send(self._sender.connected())
        await socket.send(self._sender.start(self._tracks, self.order.parameters))
        self._notify("stream-started")
        if not self.order.connects:
            await self._send_frames(socket, cut_ms)
            return
        answers = [asyncio.create_task(self._play(socket)), asyncio.create_task(self._press_keys())]
        try:
            await self._send_frames(socket, cut_ms)
        finally:
            for task in answers:
                task.cancel()
            await asyncio.gather(*answers, return_exceptions=True)

    async def _play(self, socket: ClientConnection) -> None:
        """Play what the application sends."""
        async for message in socket:
            self._playback.receive(message)

    async def _press_keys(self) -> None:
        """The caller presses keys: those of the script, one per second, and those at a browser."""
        call = self._call
        if call.caller is not None:
            call.caller.on_keys = self._keys.extend
        for number, key in enumerate(call.script.keys, 1):
            await call.clock.reach(self._start_ms + number * 1000)
            self._keys.append(key)

    async def _send_events(self, socket: ClientConnection) -> None:
        """Send marks and keys. They follow a frame, so that sequence numbers ascend."""
        for name in self._playback.take_marks():
            await socket.send(self._sender.mark(name))
        while self._keys:
            await socket.send(self._sender.dtmf(self._keys.popleft()))

    async def _send_frames(self, socket: ClientConnection, cut_ms: float | None) -> None:
        """Send every frame in time, then the end of the stream."""
        for sending in inject(self._sendings(), self._call.script.faults, self._call.services.seed):
            await self._call.clock.reach(self._start_ms + sending.due_ms)
            if cut_ms is not None and sending.due_ms > cut_ms:
                self.cut = True
                self._fail("31921 the connection of the stream broke")
                return
            async with asyncio.timeout(_SEND_S):
                await socket.send(sending.message)
            await self._send_events(socket)
        open_s = self._call.fault("socket-open")
        if open_s is not None:
            clock = self._call.clock
            await clock.is_reached_before(clock.now_ms() + 1000 * open_s, socket.wait_closed)
            self._close_code = socket.close_code
            return
        await socket.send(self._sender.stop())
        self._notify("stream-stopped")
        await socket.close()

    def _sendings(self) -> Iterator[ScheduledMessage]:
        """Each frame at the time at which its audio ends, until the call or the stream ends."""
        timestamp_ms = 0
        while not self._ended_by(self._start_ms + timestamp_ms + FRAME_MS):
            at_ms = self._start_ms + timestamp_ms
            for track in self._tracks:
                codes = self._call.audio.read(track, at_ms, at_ms + FRAME_MS)
                self._sent[track] += codes
                message = self._sender.media(track, timestamp_ms, codes)
                yield ScheduledMessage(timestamp_ms + FRAME_MS, message, track)
            timestamp_ms += FRAME_MS

    def _ended_by(self, position_ms: int) -> bool:
        ends = (self._call.ends_ms, self._stops_ms)
        return any(end is not None and position_ms > end for end in ends)

    def _fail(self, error: str) -> None:
        self._error = error
        self._notify("stream-error")

    def _notify(self, event: str) -> None:
        call = self._call
        if self._error is not None:
            call.warnings.append(self._error)
            log.warning("media stream failed", extra={"stream_sid": self.sid, "error": self._error})
        form = stream_status_form(
            stream_sid=self.sid,
            leg_sid=call.leg_sid,
            account_sid=call.services.account.sid,
            event=event,
            timestamp=call.clock.moment(call.clock.now_ms()),
            name=self.order.name,
            error=self._error,
        )
        call.post(f"stream {self.sid}", self.order.callback, form)


def connect_url(url: str) -> str:
    """The URL to connect to for a stream's URL: ws for a wss URL of a loopback host, otherwise unchanged."""
    scheme, _, rest = url.partition("://")
    return f"ws://{rest}" if scheme == "wss" and is_loopback(urlsplit(url).hostname) else url
