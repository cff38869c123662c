"""One leg of a call whose party sits at a browser: its signalling, its WebRTC connection, and its place in the call.

Which message may follow which is `signalled_call`'s, how sound travels `webrtc`'s. The leg outlives a lost signalling
socket for as long as a resumption may take; then, or when its media never comes, the party counts as gone.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from callreel.audio import mulaw
from callreel.audio.samples import FRAME_MS, Samples
from callreel.domain.call import Track
from callreel.simulator.clock import CallClock
from callreel.simulator.signalling.signalled_call import CallStage, SignalledCall, Transition
from callreel.simulator.signalling.webrtc import Peer
from callreel.simulator.sound.leg_audio import LegAudio
from callreel.simulator.sound.live_sound import LiveInput, PacedOutput

NO_MEDIA = 53405
_SILENCE = bytes([mulaw.SILENCE]) * (FRAME_MS * 8)


class SignalingChannel(Protocol):
    """A signalling socket."""

    def send(self, message: str) -> None:
        """Put it on its way; nothing is told of a socket that has gone."""
        ...


@dataclass(frozen=True, slots=True)
class BrowserTimeouts:
    """How long a browser is waited for, in seconds: for its sound after the answer, for its way back."""

    media_s: float = 15.0
    resume_s: float = 10.0


class BrowserLeg:
    """`identity` is whose browser it is. `decided` is set when it took the call that it was offered,
    its SDP then being `answer`, and when it is gone."""

    def __init__(
        self, call: SignalledCall, identity: str, wire: SignalingChannel, patience: BrowserTimeouts
    ) -> None:
        self.identity = identity
        self.keys = ""
        self.declined = False
        self.answer: str | None = None
        self.decided = asyncio.Event()
        self._call = call
        self._wire: SignalingChannel | None = wire
        self._patience = patience
        self._peer = Peer(self._listen, self._said, self._media_changed)
        self._sdp = ""
        self._clock: CallClock | None = None
        self._ear: PacedOutput | None = None
        self._mouth: LiveInput | None = None
        self._left: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._media_timer: asyncio.TimerHandle | None = None
        self._connected = False
        self._paced_s = 0.0

    @property
    def sid(self) -> str:
        return self._call.leg_sid

    @property
    def sids(self) -> tuple[str, ...]:
        """Every id by which the browser may name it."""
        return self._call.sids

    @property
    def over(self) -> bool:
        return self._call.stage is CallStage.OVER

    # What the call does.

    async def accept_offer(self, offer: str) -> None:
        """Make ready to talk to a browser that calls. Raises MediaError for an offer that cannot be used."""
        self._sdp = await self._peer.answer(offer)

    async def offer(self, parameters: Mapping[str, str]) -> None:
        """Ring the browser; see `decided`."""
        self._sdp = await self._peer.offer()
        self._tell(self._call.offer(self._sdp, parameters))

    async def connect(self, answer: str) -> None:
        """Talk to a browser that took the call. Raises MediaError."""
        await self._peer.accept(answer)
        self._expect_media()

    def join(
        self, audio: LegAudio, clock: CallClock, speaks: Track, hears: Track, left: Callable[[], None]
    ) -> None:
        """From now on the party is heard on one track of the call, hears the other, and can end it."""
        self._clock = clock
        self._mouth = LiveInput(audio, speaks)
        self._ear = PacedOutput(audio, hears, clock)
        self._left = left
        if self.over:
            left()

    def ringing(self) -> None:
        """The other phone rings, and the party hears it."""
        self._tell(self._call.ringing(self._sdp))

    def answered(self) -> None:
        """The party's call is answered."""
        if (message := self._call.answered(self._sdp)) is not None:
            self._tell(message)
            self._expect_media()

    def ended(self, code: int | None = None, reason: str = "") -> None:
        """The call is over from our side."""
        self._tell(self._call.ended(code, reason))

    async def close(self) -> None:
        """End it if it is not over, and its media; the call's sound is let go of, since legs are remembered."""
        self.ended()
        self._stop_timers()
        self._left = self._mouth = self._ear = None
        await self._peer.close()

    # What the browser does.

    def leave(self) -> None:
        """The browser hung up."""
        if self._call.takes(Transition.LEAVE):
            self._go()

    def decline(self) -> None:
        """The browser does not want the call that it was offered."""
        if self._call.takes(Transition.DECLINE):
            self.declined = True
            self._go()

    def accept(self, sdp: str) -> None:
        """The browser takes the call that it was offered."""
        if self._call.takes(Transition.ACCEPT):
            self.answer = sdp
            self.decided.set()

    def press(self, keys: str) -> None:
        if self._call.takes(Transition.PRESS):
            self.keys += keys

    def message(self, voice_event_sid: str) -> None:
        self._tell(self._call.acknowledged(voice_event_sid))

    def restart(self) -> None:
        """It wants a new way for its media, which aiortc cannot give."""
        self._fail()

    def resume(self, wire: SignalingChannel, token: str) -> bool:
        """The browser is there on `wire`; False for a wrong token."""
        message = self._call.resumed(token)
        if message is None:
            return False
        self._stop_timer()
        self._wire = wire
        wire.send(message)
        return True

    def lost(self, wire: SignalingChannel) -> None:
        """That socket has gone: a call that can be resumed waits, another is over (the SDK gives it up too)."""
        if wire is not self._wire:
            return
        self._wire = None
        if self._call.stage in (CallStage.OPEN, CallStage.OFFERED):
            loop = asyncio.get_running_loop()
            self._stop_timer()
            self._timer = loop.call_later(self._patience.resume_s, self.leave)
        else:
            self.leave()

    # Its sound.

    async def _listen(self) -> bytes:
        """What goes to the browser next; silence before the call begins, so that RTP flows."""
        if self._ear is not None:
            return await self._ear.hear()
        loop = asyncio.get_running_loop()
        self._paced_s = max(self._paced_s + FRAME_MS / 1000, loop.time())
        await asyncio.sleep(self._paced_s - loop.time())
        return _SILENCE

    def _said(self, timestamp: int, samples: Samples) -> None:
        if self._mouth is not None and self._clock is not None:
            self._mouth.say(self._clock.now_ms(), timestamp, samples)

    def _media_changed(self, state: str) -> None:
        if state == "connected":
            self._connected = True
        elif state == "failed":
            self._fail()

    def _expect_media(self) -> None:
        loop = asyncio.get_running_loop()
        self._media_timer = loop.call_later(self._patience.media_s, self._check_media)

    def _check_media(self) -> None:
        if not self._connected:
            self._fail()

    def _fail(self) -> None:
        """No sound can come: the call is of no use."""
        if not self.over:
            self.ended(NO_MEDIA, "Media connection failed")
            self._go()

    def _go(self) -> None:
        self._stop_timers()
        self.decided.set()
        if self._left is not None:
            self._left()

    def _tell(self, message: str | None) -> None:
        if message is not None and self._wire is not None:
            self._wire.send(message)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _stop_timers(self) -> None:
        self._stop_timer()
        if self._media_timer is not None:
            self._media_timer.cancel()
