"""One leg of a call whose party uses a browser: its signalling, its WebRTC connection, and its place in the call.

`signalled_call` decides which message may follow which, `webrtc` transports the audio. The leg survives a closed signalling
socket until the resume timeout; then, or if no media connects, it hangs up.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from callreel.audio import mulaw
from callreel.audio.samples import FRAME_MS, Samples
from callreel.domain.call import Track
from callreel.simulator.clock import CallClock
from callreel.simulator.signalling import messages as messages
from callreel.simulator.signalling.signalled_call import CallStage, SignalledCall, Transition, unknown_call
from callreel.simulator.signalling.webrtc import MediaConnection
from callreel.simulator.sound.leg_audio import LegAudio
from callreel.simulator.sound.live_sound import LiveInput, PacedOutput

NO_MEDIA = 53405
_SILENCE = bytes([mulaw.SILENCE]) * (FRAME_MS * 8)


class SignallingChannel(Protocol):
    """A signalling socket."""

    def send(self, message: str) -> None:
        """Queue a message. A closed socket drops it."""
        ...


@dataclass(frozen=True, slots=True)
class BrowserTimeouts:
    """Timeouts in seconds: for media after the answer, and for resuming after the signalling socket closed."""

    media_s: float = 15.0
    resume_s: float = 10.0


class BrowserLeg:
    """`decided` is set when the browser accepts the offered call, its SDP then being `answer`, and when it is gone."""

    def __init__(
        self, call: SignalledCall, identity: str, channel: SignallingChannel, timeouts: BrowserTimeouts
    ) -> None:
        self.identity = identity
        self.keys = ""
        self.on_keys: Callable[[str], None] | None = None
        self.declined = False
        self.answer: str | None = None
        self.decided = asyncio.Event()
        self._call = call
        self._channel: SignallingChannel | None = channel
        self._timeouts = timeouts
        self._media = MediaConnection(self._next_frame, self._received, self._media_changed)
        self._sdp = ""
        self._clock: CallClock | None = None
        self._output: PacedOutput | None = None
        self._input: LiveInput | None = None
        self._on_hang_up: Callable[[], None] | None = None
        self._resume_timer: asyncio.TimerHandle | None = None
        self._media_timer: asyncio.TimerHandle | None = None
        self._connected = False
        self._paced_s = 0.0

    @property
    def sid(self) -> str:
        return self._call.leg_sid

    @property
    def sids(self) -> tuple[str, ...]:
        """Every id by which the browser may refer to it."""
        return self._call.sids

    @property
    def over(self) -> bool:
        return self._call.stage is CallStage.OVER

    # Called by the call.

    async def accept_offer(self, offer: str) -> None:
        """Negotiate media with a calling browser. Raises MediaError for an unusable offer."""
        self._sdp = await self._media.answer(offer)

    async def offer(self, parameters: Mapping[str, str]) -> None:
        """Ring the browser; see `decided`."""
        self._sdp = await self._media.offer()
        self._send(self._call.offer(self._sdp, parameters))

    async def connect(self, answer: str) -> None:
        """Connect media with a browser that accepted the call. Raises MediaError."""
        await self._media.accept(answer)
        self._expect_media()

    def join(self, audio: LegAudio, clock: CallClock, speaks: Track, on_hang_up: Callable[[], None]) -> None:
        """Connect the party to the call: its audio goes to the track `speaks`, and it receives the other one."""
        other = Track.OUTBOUND if speaks is Track.INBOUND else Track.INBOUND
        self._clock = clock
        self._input = LiveInput(audio, speaks)
        self._output = PacedOutput(audio, other, clock)
        self._on_hang_up = on_hang_up
        if self.over:
            on_hang_up()

    def ringing(self) -> None:
        """Report that the other phone rings; the party receives the ringback tone."""
        self._send(self._call.ringing(self._sdp))

    def answered(self) -> None:
        """Report that the call is answered."""
        if (message := self._call.answered(self._sdp)) is not None:
            self._send(message)
            self._expect_media()

    def ended(self, code: int | None = None, reason: str = "") -> None:
        """Report that the call has ended at the carrier."""
        self._send(self._call.ended(code, reason))

    async def close(self) -> None:
        """End the leg and its media. Ended legs are kept for a while, so this releases the call's audio."""
        self.ended()
        self._stop_timers()
        self._on_hang_up = self._input = self._output = None
        await self._media.close()

    # Called by the signalling socket.

    def handle(self, message: messages.BrowserMessage, channel: SignallingChannel) -> None:
        """Process what the browser sent about this call on `channel`."""
        match message:
            case messages.Invite(body):
                self._resume(channel, body.callsid, body.reconnect)
            case messages.Answer(body):
                if self._call.apply(Transition.ACCEPT):
                    self.answer = body.sdp
                    self.decided.set()
            case messages.Reject():
                if self._call.apply(Transition.DECLINE):
                    self.declined = True
                    self._leave()
            case messages.Hangup():
                self._hang_up()
            case messages.Dtmf(body):
                if self._call.apply(Transition.SEND_DIGITS):
                    self.keys += body.dtmf
                    if self.on_keys is not None:
                        self.on_keys(body.dtmf)
            case messages.UserMessage(body):
                self._send(self._call.acknowledged(body.voice_event_sid))
            case messages.Reinvite():
                self._fail()  # aiortc does not support an ICE restart
            case _:
                raise AssertionError(f"{message} concerns no call")

    def socket_closed(self, channel: SignallingChannel) -> None:
        """A call that can be resumed waits for that; another one is over, since the SDK gives it up too."""
        if channel is not self._channel:
            return
        self._channel = None
        if self._call.stage in (CallStage.OPEN, CallStage.OFFERED):
            self._stop_resume_timer()
            loop = asyncio.get_running_loop()
            self._resume_timer = loop.call_later(self._timeouts.resume_s, self._hang_up)
        else:
            self._hang_up()

    def _resume(self, channel: SignallingChannel, sid: str, token: str) -> None:
        message = self._call.resumed(token)
        if message is None:
            channel.send(unknown_call(sid))
            return
        self._stop_resume_timer()
        self._channel = channel
        channel.send(message)

    def _hang_up(self) -> None:
        if self._call.apply(Transition.HANG_UP):
            self._leave()

    # Media.

    async def _next_frame(self) -> bytes:
        """The next frame for the browser; silence before the call begins, so that RTP flows."""
        if self._output is not None:
            return await self._output.read()
        loop = asyncio.get_running_loop()
        self._paced_s = max(self._paced_s + FRAME_MS / 1000, loop.time())
        await asyncio.sleep(self._paced_s - loop.time())
        return _SILENCE

    def _received(self, timestamp: int, samples: Samples) -> None:
        if self._input is not None and self._clock is not None:
            self._input.write(self._clock.now_ms(), timestamp, samples)

    def _media_changed(self, state: str) -> None:
        if state == "connected":
            self._connected = True
        elif state == "failed":
            self._fail()

    def _expect_media(self) -> None:
        loop = asyncio.get_running_loop()
        self._media_timer = loop.call_later(self._timeouts.media_s, self._check_media)

    def _check_media(self) -> None:
        if not self._connected:
            self._fail()

    def _fail(self) -> None:
        """End a call without media."""
        if not self.over:
            self.ended(NO_MEDIA, "Media connection failed")
            self._leave()

    def _leave(self) -> None:
        self._stop_timers()
        self.decided.set()
        if self._on_hang_up is not None:
            self._on_hang_up()

    def _send(self, message: str | None) -> None:
        if message is not None and self._channel is not None:
            self._channel.send(message)

    def _stop_resume_timer(self) -> None:
        if self._resume_timer is not None:
            self._resume_timer.cancel()

    def _stop_timers(self) -> None:
        self._stop_resume_timer()
        if self._media_timer is not None:
            self._media_timer.cancel()
