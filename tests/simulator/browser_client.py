"""A browser softphone without a browser: aiortc and a WebSocket that send what `@twilio/voice-sdk` 2.18.5 sends.

It echoes heartbeats, records every message, plays a given voice in a loop, and records the audio that it receives.
"""

import asyncio
import contextlib
import fractions
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast
from urllib.parse import urlencode
from uuid import uuid4

import httpx2
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, Packet
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from callreel.audio import mulaw
from callreel.simulator.carrier import CarrierConfig, SimulatedCarrier
from callreel.simulator.scenario import CallOutcome
from callreel.simulator.signalling import messages as messages
from callreel.twilio.access_token import mint

M = TypeVar("M")
_WAIT_S = 20.0
PIECE = 800


class _Voice(MediaStreamTrack):
    """Mu-law frames of 20 ms of `samples`, in a loop; silence while muted. `frames_given` counts them."""

    kind = "audio"

    def __init__(self, samples: Any) -> None:
        super().__init__()
        self._codes = mulaw.encode(samples[: len(samples) // 160 * 160])
        self.frames_given = 0
        self._due_s = 0.0
        self.muted = False

    async def recv(self) -> "Packet[Any]":
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        self._due_s = self._due_s + 0.02 if self._due_s else loop.time()
        await asyncio.sleep(max(0.0, self._due_s - loop.time()))
        at = self.frames_given * 160 % len(self._codes)
        packet = Packet(bytes([mulaw.SILENCE]) * 160 if self.muted else self._codes[at : at + 160])
        packet.pts, packet.time_base = self.frames_given * 160, fractions.Fraction(1, 8000)
        self.frames_given += 1
        return packet


class BrowserClient:
    """One page. `said` has the signalling messages in order, without heartbeats; `received` the samples of the call."""

    def __init__(self, host: str, voice: Any) -> None:
        self._url = f"ws://{host}/signal"
        self._samples = voice
        self._socket: ClientConnection
        self._reading: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._came = asyncio.Condition()
        self.said: list[messages.CarrierMessage] = []
        self.beats = 0
        self._read = 0
        self.frames: list[Any] = []
        self.voice: _Voice
        self.peer: RTCPeerConnection | None = None
        self.states: list[str] = []

    @property
    def received(self) -> Any:
        return np.concatenate(self.frames) if self.frames else np.zeros(0, np.int16)

    async def open(self, token: str) -> None:
        """A socket, and the token on it."""
        self._socket = await connect(self._url, compression=None, proxy=None, ping_interval=None)
        self._reading = asyncio.create_task(self._keep(self._socket))
        await self.send(messages.Listen(messages.ListenBody(token)))

    async def send(self, message: messages.BrowserMessage) -> None:
        await self._socket.send(messages.encode(message))

    async def send_text(self, text: str) -> None:
        await self._socket.send(text)

    async def register(self, wanted: bool = True) -> None:
        await self.send(messages.Register(messages.RegisterBody(messages.MediaCapabilities(wanted))))

    async def until(self, kind: type[M]) -> M:
        """The next message of that kind; others before it are skipped."""
        async with asyncio.timeout(_WAIT_S), self._came:
            while True:
                while self._read < len(self.said):
                    message = self.said[self._read]
                    self._read += 1
                    if isinstance(message, kind):
                        return message
                await self._came.wait()

    async def call(self, **parameters: str) -> str:
        """Request a call; returns its temporary id."""
        peer = self._new_peer()
        await peer.setLocalDescription(await peer.createOffer())
        sid = f"TJS{uuid4()}"
        wish = messages.CallParameters(urlencode(parameters))
        # As the SDK's: without candidates, since it sends its offer before they are gathered.
        sdp = without_candidates(peer.localDescription.sdp)
        await self.send(messages.Invite(messages.InviteBody(sid, sdp, "", wish)))
        return sid

    async def take_sdp(self, sdp: str) -> None:
        assert self.peer is not None
        await self.peer.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    async def accept(self, offer: messages.Offer) -> None:
        peer = self._new_peer()
        await peer.setRemoteDescription(RTCSessionDescription(offer.payload.sdp, "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        sdp = without_candidates(peer.localDescription.sdp)
        await self.send(messages.Answer(messages.SdpBody(offer.payload.callsid, sdp)))

    async def receive_for(self, seconds: float) -> None:
        """Wait until this much more audio was received."""
        wanted = sum(map(len, self.frames)) + seconds * 8000
        async with asyncio.timeout(_WAIT_S), self._came:
            await self._came.wait_for(lambda: sum(map(len, self.frames)) >= wanted)

    async def drop(self) -> None:
        """Lose the socket, as a changed network does."""
        self._socket.transport.abort()
        await self._socket.wait_closed()
        if self._reading is not None:
            await self._reading

    async def close(self) -> None:
        if self.peer is not None:
            await self.peer.close()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        await self._socket.close()
        if self._reading is not None:
            await self._reading

    def _new_peer(self) -> RTCPeerConnection:
        self.peer = peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.voice = _Voice(self._samples)
        peer.addTrack(self.voice)
        known = RTCRtpSender.getCapabilities("audio").codecs
        for transceiver in peer.getTransceivers():  # the SDK's order: mu-law, then Opus
            transceiver.setCodecPreferences(sorted(known, key=lambda codec: codec.mimeType != "audio/PCMU"))
        peer.on("track", self._start_receiving)
        peer.on("connectionstatechange", lambda: self.states.append(peer.connectionState))
        return peer

    def _start_receiving(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.create_task(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = cast(AudioFrame, await track.recv())
                async with self._came:
                    self.frames.append(frame.to_ndarray().reshape(-1).astype(np.int16))
                    self._came.notify_all()

    async def _keep(self, socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in socket:
                if text == "\n":
                    self.beats += 1
                    await socket.send("\n")
                    continue
                async with self._came:
                    self.said.append(messages.decode_carrier(text))
                    self._came.notify_all()


def without_candidates(sdp: str) -> str:
    return "".join(
        line
        for line in sdp.splitlines(keepends=True)
        if not line.startswith(("a=candidate", "a=end-of-cand"))
    )


@contextlib.asynccontextmanager
async def page(host: str, token: str, voice: Any) -> AsyncIterator[BrowserClient]:
    """A page that is connected, and afterwards closed."""
    client = BrowserClient(host, voice)
    await client.open(token)
    await client.until(messages.Connected)
    try:
        yield client
    finally:
        await client.close()


def pieces_received(said: Any, received: Any) -> list[int]:
    """Where the 100 ms pieces of `said` lie in `received`, in their order, without those that are not there as they were said.

    What a busy machine drops or stretches harms the pieces it strikes, and none of the others."""
    found = [best_lag(said[at : at + PIECE], received) for at in range(0, len(said) - PIECE + 1, PIECE)]
    return [lag for lag, score in found if score > 0.99]


def best_lag(needle: Any, hay: Any) -> tuple[int, float]:
    """Where `needle` [n] lies in `hay` [m >= n], and its correlation there, from -1 to 1."""
    wanted = needle.astype(np.float64)
    found = hay.astype(np.float64)
    size = 1 << int(np.ceil(np.log2(len(found) + len(wanted))))
    product = np.fft.irfft(np.fft.rfft(found, size) * np.conj(np.fft.rfft(wanted, size)), size)
    product = product[: len(found) - len(wanted) + 1]
    energy = np.concatenate([[0.0], np.cumsum(found**2)])
    windows = energy[len(wanted) :] - energy[: len(energy) - len(wanted)]
    scores = product / np.sqrt(np.maximum(windows, 1.0) * np.sum(wanted**2))
    lag = int(np.argmax(scores))
    return lag, float(scores[lag])


def token_for(carrier: SimulatedCarrier, identity: str = "ada", **options: Any) -> str:
    account = carrier.account
    wanted: dict[str, Any] = {"now": datetime.now(UTC) - timedelta(seconds=2)} | options
    application = wanted.pop("application_sid", CarrierConfig(voice_url="").application_sid)
    return mint(account.sid, account.api_key_sid, account.api_key_secret, identity, application, **wanted)


async def outcome_of(carrier: SimulatedCarrier) -> CallOutcome:
    async with asyncio.timeout(20):
        await carrier.wait_for_calls()
    return carrier.browser_outcomes[-1]


async def hang_up_by_rest(carrier: SimulatedCarrier, sid: str) -> None:
    account = carrier.account
    url = f"{carrier.api_url}/2010-04-01/Accounts/{account.sid}/Calls/{sid}.json"
    async with httpx2.AsyncClient(auth=(account.sid, account.auth_token), trust_env=False) as rest:
        assert (await rest.post(url, data={"Status": "completed"})).status_code == 200


async def newest_parent(carrier: SimulatedCarrier) -> str:
    """The parent leg of the newest call."""
    account = carrier.account
    url = f"{carrier.api_url}/2010-04-01/Accounts/{account.sid}/Calls.json"
    async with httpx2.AsyncClient(auth=(account.sid, account.auth_token), trust_env=False) as rest:
        calls = (await rest.get(url)).json()["calls"]
    return next(str(call["sid"]) for call in calls if call["parent_call_sid"] is None)
