"""One WebRTC connection to a browser: G.711 mu-law both ways over loopback, by aiortc.

It moves sound only: what is heard where is `live_sound`'s, when a call begins and ends `browser_leg`'s. Facts about the
browser's side and aiortc's: reference/softphone.md, section 3. There is no ICE server, and no restart of ICE.
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
    """The browser's session description cannot be used."""


class Peer:
    """`listen` is awaited for each 20 ms of mu-law to be sent, and paces them. `said` gets (RTP timestamp, samples [n])
    of each frame that came, `changed` each state of the connection: connecting, connected, failed, closed."""

    def __init__(
        self,
        listen: Callable[[], Awaitable[bytes]],
        said: Callable[[int, Samples], None],
        changed: Callable[[str], None],
    ) -> None:
        _stay_on_loopback()
        self._said = said
        # aiortc's default would ask a public STUN server, and wait 5 s for it where there is no network.
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._voice = _VoiceTrack(listen)
        self._hearing: asyncio.Task[None] | None = None
        self._connection.on("track", self._hear)
        self._connection.on("connectionstatechange", lambda: changed(self._connection.connectionState))

    async def answer(self, offer: str) -> str:
        """Our SDP to the browser's offer. Raises MediaError."""
        self._speak()  # before the offer is read: aiortc chooses the codec there
        with _as_media_error():
            await self._connection.setRemoteDescription(RTCSessionDescription(_reachable(offer), "offer"))
            return await self._describe(await self._connection.createAnswer())

    async def offer(self) -> str:
        """Our SDP for a browser that is to be called."""
        self._speak()
        return await self._describe(await self._connection.createOffer())

    async def accept(self, answer: str) -> None:
        """The browser's SDP to our offer. Raises MediaError."""
        with _as_media_error():
            await self._connection.setRemoteDescription(RTCSessionDescription(_reachable(answer), "answer"))

    async def close(self) -> None:
        """No sound either way from now on. May be called twice."""
        await self._connection.close()
        if self._hearing is not None:
            self._hearing.cancel()
            await asyncio.gather(self._hearing, return_exceptions=True)

    def _speak(self) -> None:
        self._connection.addTrack(self._voice)
        known = RTCRtpSender.getCapabilities("audio").codecs
        wanted = [codec for codec in known if codec.mimeType.lower() == "audio/pcmu"]
        for transceiver in self._connection.getTransceivers():
            transceiver.setCodecPreferences(wanted)

    async def _describe(self, description: RTCSessionDescription) -> str:
        await self._connection.setLocalDescription(description)
        return str(self._connection.localDescription.sdp)

    def _hear(self, track: MediaStreamTrack) -> None:
        self._hearing = asyncio.get_running_loop().create_task(self._listen(track), name="browser's voice")

    async def _listen(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if isinstance(frame, AudioFrame) and frame.pts is not None and frame.sample_rate == TELEPHONE_HZ:
                self._said(frame.pts, frame.to_ndarray().reshape(-1).astype(np.int16, copy=False))


class _VoiceTrack(MediaStreamTrack):
    """What the browser hears: mu-law that goes out as it is, with no encoder on its way."""

    kind = "audio"

    def __init__(self, listen: Callable[[], Awaitable[bytes]]) -> None:
        super().__init__()
        self._listen = listen
        self._sent = 0

    async def recv(self) -> "Packet[Any]":
        if self.readyState != "live":
            raise MediaStreamError
        codes = await self._listen()
        packet = Packet(codes)
        packet.pts, packet.time_base = self._sent, _TIME_BASE
        self._sent += len(codes)
        return packet


@contextlib.contextmanager
def _as_media_error() -> Iterator[None]:
    """aiortc raises many kinds on text that it cannot use."""
    try:
        yield
    except Exception as error:
        raise MediaError(
            f"expected a session with mu-law audio, aiortc says {type(error).__name__}"
        ) from error


def _stay_on_loopback() -> None:
    """aioice offers every address of the machine but the loopback one; it has no setting for that."""
    aioice.ice.get_host_addresses = _loopback


def _loopback(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    return [LOOPBACK]


def _reachable(sdp: str) -> str:
    """Without candidates under mDNS names, which aioice would ask the local network for."""
    return "".join(
        line
        for line in sdp.splitlines(keepends=True)
        if not (line.startswith("a=candidate") and ".local" in line)
    )
