"""One WebRTC connection to a browser: G.711 mu-law in both directions over loopback, by aiortc.

Facts about the browser's side and aiortc's: reference/softphone.md, section 3. There is no ICE server and no ICE restart.
"""

import asyncio
import contextlib
import fractions
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aioice.ice
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, Packet

from callreel.audio.samples import TELEPHONE_HZ, Samples
from callreel.domain.errors import CallreelError

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
_TIME_BASE = fractions.Fraction(1, TELEPHONE_HZ)


class MediaError(CallreelError):
    """The browser's session description is unusable."""


class MediaConnection:
    """`next_frame` is awaited for every 20 ms of mu-law to send, and sets their pace. `received` gets (RTP timestamp, samples
    [n]) of each received frame, `changed` each state of the connection: connecting, connected, failed, closed."""

    def __init__(
        self,
        next_frame: Callable[[], Awaitable[bytes]],
        received: Callable[[int, Samples], None],
        changed: Callable[[str], None],
    ) -> None:
        _stay_on_loopback()
        self._received = received
        # aiortc's default would query a public STUN server, and wait 5 s for it without a network.
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._voice = _OutputTrack(next_frame)
        self._receiving: asyncio.Task[None] | None = None
        self._connection.on("track", self._start_receiving)
        self._connection.on("connectionstatechange", lambda: changed(self._connection.connectionState))

    async def answer(self, offer: str) -> str:
        """Our SDP answer to the browser's offer. Raises MediaError."""
        self._add_output()  # before the offer is read: aiortc chooses the codec there
        with _as_media_error():
            await self._connection.setRemoteDescription(RTCSessionDescription(_reachable(offer), "offer"))
            return await self._describe(await self._connection.createAnswer())

    async def offer(self) -> str:
        """Our SDP offer to a browser that is called."""
        self._add_output()
        return await self._describe(await self._connection.createOffer())

    async def accept(self, answer: str) -> None:
        """Accept the browser's SDP answer. Raises MediaError."""
        with _as_media_error():
            await self._connection.setRemoteDescription(RTCSessionDescription(_reachable(answer), "answer"))

    async def close(self) -> None:
        """Stop sending and receiving. May be called again."""
        await self._connection.close()
        if self._receiving is not None:
            self._receiving.cancel()
            await asyncio.gather(self._receiving, return_exceptions=True)

    def _add_output(self) -> None:
        self._connection.addTrack(self._voice)
        known = RTCRtpSender.getCapabilities("audio").codecs
        wanted = [codec for codec in known if codec.mimeType.lower() == "audio/pcmu"]
        for transceiver in self._connection.getTransceivers():
            transceiver.setCodecPreferences(wanted)

    async def _describe(self, description: RTCSessionDescription) -> str:
        await self._connection.setLocalDescription(description)
        return str(self._connection.localDescription.sdp)

    def _start_receiving(self, track: MediaStreamTrack) -> None:
        self._receiving = asyncio.get_running_loop().create_task(self._receive(track), name="WebRTC receiver")

    async def _receive(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if isinstance(frame, AudioFrame) and frame.pts is not None and frame.sample_rate == TELEPHONE_HZ:
                self._received(frame.pts, frame.to_ndarray().reshape(-1).astype(np.int16, copy=False))


class _OutputTrack(MediaStreamTrack):
    """The audio for the browser: mu-law that is sent unchanged, without an encoder."""

    kind = "audio"

    def __init__(self, next_frame: Callable[[], Awaitable[bytes]]) -> None:
        super().__init__()
        self._next_frame = next_frame
        self._sent = 0

    async def recv(self) -> "Packet[Any]":
        if self.readyState != "live":
            raise MediaStreamError
        codes = await self._next_frame()
        packet = Packet(codes)
        packet.pts, packet.time_base = self._sent, _TIME_BASE
        self._sent += len(codes)
        return packet


@contextlib.contextmanager
def _as_media_error() -> Iterator[None]:
    """aiortc raises many kinds of exceptions for unusable SDP."""
    try:
        yield
    except Exception as error:
        raise MediaError(
            f"expected a session description with mu-law audio, aiortc raised {type(error).__name__}"
        ) from error


def _stay_on_loopback() -> None:
    """aioice offers every address of the machine except loopback, and has no setting for that."""
    aioice.ice.get_host_addresses = _loopback


def _loopback(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    return [LOOPBACK]


def _reachable(sdp: str) -> str:
    """The SDP without mDNS candidates, which aioice would resolve on the local network."""
    return "".join(
        line
        for line in sdp.splitlines(keepends=True)
        if not (line.startswith("a=candidate") and ".local" in line)
    )
