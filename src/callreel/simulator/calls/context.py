"""State that the parts of one running call share: script, clock, audio, end, and webhook delivery."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field

from callreel.audio.samples import FRAME_MS
from callreel.domain.ids import LegSid
from callreel.simulator.account import Account, Sids
from callreel.simulator.calls.twiml_script import Callback
from callreel.simulator.calls.webhook_forms import API_VERSION
from callreel.simulator.clock import CallClock
from callreel.simulator.faults import value_of
from callreel.simulator.scenario import CallScript, Progress, Prompt, Stage
from callreel.simulator.signalling.browser_leg import BrowserLeg
from callreel.simulator.signalling.switchboard import Switchboard
from callreel.simulator.sound.leg_audio import LegAudio
from callreel.simulator.state import CarrierState, Leg, Redirection
from callreel.simulator.webhook_delivery import Delivery, WebhookSender

FETCH_FAILED = 11200


@dataclass(frozen=True, slots=True)
class CarrierServices:
    """What all calls of one carrier share. `api_url` is the public address of its REST API.

    `switchboard` is set if browsers may take part.
    """

    account: Account
    sids: Sids
    webhooks: WebhookSender
    state: CarrierState
    api_url: str
    speed: float
    recording_delay_s: float
    stream_delay_s: float
    seed: int
    switchboard: Switchboard | None = None

    def recording_url(self, sid: str) -> str:
        """Where the file of a recording is; without an extension."""
        return f"{self.api_url}/{API_VERSION}/Accounts/{self.account.sid}/Recordings/{sid}"


@dataclass(slots=True, eq=False)
class CallContext:
    """Created when a call starts; every task of the call belongs to `group`.

    `planned_ms`, the end without regard to the time limit, is known in advance once two recorded voices are placed; with a live person it is set when the call ends.
    `callback` receives the progress of the parent leg. `time_limit_s` counts from its answer.
    `interrupted` is set when the call has ended, and while a redirection waits. `caller` is the parent leg's browser, if any.
    """

    services: CarrierServices
    script: CallScript
    leg: Leg
    clock: CallClock
    group: asyncio.TaskGroup
    on_progress: Callable[[Progress], None]
    caller: BrowserLeg | None = None
    callback: Callback | None = None
    time_limit_s: int | None = None
    keys: str = ""
    prompts: list[Prompt] = field(default_factory=list)
    responses: deque[str] = field(default_factory=deque)
    audio: LegAudio = field(default_factory=LegAudio)
    planned_ms: int | None = None
    redirection: Redirection | None = None
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    deliveries: list[Delivery] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _answered_ms: int = 0
    _limit_ms: int | None = None
    _limit: asyncio.Task[None] | None = None
    _last_delivery: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.responses.extend(self.script.responses)

    @property
    def leg_sid(self) -> LegSid:
        return LegSid(self.leg.sid)

    def fault(self, name: str) -> float | None:
        """The number of that fault of the script, None if it has none."""
        return value_of(self.script.faults, name)

    def report_progress(self, stage: Stage, position_ms: float) -> None:
        self.on_progress(Progress(stage, round(position_ms)))

    @property
    def ends_ms(self) -> int | None:
        """The position at which the call ends or ended; None while that is open."""
        ends = [end_ms for end_ms in (self.planned_ms, self._limit_ms) if end_ms is not None]
        return min(ends, default=None)

    async def wait_until(self, position_ms: float) -> bool:
        """Wait for that position; False if the call ended or was redirected before it."""
        return await self._wait(position_ms, self.interrupted)

    async def wait_in_call(self, position_ms: float) -> bool:
        """Wait for that position; False if the call ended before it."""
        return await self._wait(position_ms, self.ended)

    async def _wait(self, position_ms: float, event: asyncio.Event) -> bool:
        if event.is_set():
            return False
        next_ms = position_ms if self.ends_ms is None else min(position_ms, self.ends_ms)
        if not await self.clock.is_reached_before(next_ms, event.wait):
            return False
        if self.ends_ms is not None and self.ends_ms < position_ms:
            self.end(self.ends_ms)
        return not event.is_set()

    def end(self, at_ms: int) -> None:
        """The call is over at `at_ms`, or at its planned end if that is earlier."""
        self.planned_ms = at_ms if self.ends_ms is None else min(at_ms, self.ends_ms)
        self.ended.set()
        self.interrupted.set()

    def hang_up(self) -> None:
        """End the call after the current frame."""
        self.end(self.clock.next_ms() + FRAME_MS)

    def redirect(self, redirection: Redirection) -> None:
        """Stop the current document after the current frame and continue with another one."""
        if not self.ended.is_set():
            self.redirection = redirection
            self.planned_ms = None
            self.audio.cut_all(self.clock.next_ms())
            self.interrupted.set()

    def take_redirection(self) -> Redirection | None:
        """The waiting redirection, which then no longer interrupts the call."""
        redirection, self.redirection = self.redirection, None
        if redirection is not None and not self.ended.is_set():
            self.interrupted.clear()
        return None if self.ended.is_set() else redirection

    def answer(self, at_ms: int) -> None:
        """Answer the parent leg, unless it is answered already, and notify its browser."""
        if self.leg.answered_at is None:
            self.leg.answered_at, self.leg.status = self.clock.moment(at_ms), "in-progress"
            self._answered_ms = at_ms
            if self.caller is not None:
                self.caller.answered()
            if self.time_limit_s is not None:
                self.limit(self.time_limit_s)

    def limit(self, time_limit_s: int) -> None:
        """End the call when it has lasted that long; replaces an earlier limit."""
        self.time_limit_s = time_limit_s
        if self._limit is not None:
            self._limit.cancel()
        if self.leg.answered_at is not None:
            limit_ms = max(self._answered_ms + time_limit_s * 1000, self.clock.next_ms())
            self._limit_ms = limit_ms
            self._limit = self.spawn(self._end_at(limit_ms))

    async def _end_at(self, at_ms: int) -> None:
        if await self.clock.is_reached_before(at_ms, self.ended.wait):
            self.end(at_ms)

    async def fetch(self, url: str, form: Mapping[str, str], method: str = "POST") -> Delivery:
        """Deliver and wait for the response: for TwiML."""
        return await self._deliver(url, form, method, None)

    def post(
        self, family: str, callback: Callback | None, form: Mapping[str, str], token: str | None = None
    ) -> None:
        """Deliver in the background, after earlier webhooks of the same family. Without a callback: nothing.

        The carrier delivers to absolute URLs only and reports a relative one as error 11200.
        """
        if callback is None:
            return
        if not callback.url.startswith(("http://", "https://")):
            self.warnings.append(f"{FETCH_FAILED} the callback URL {callback.url} is not absolute")
            return

        async def after(last: asyncio.Task[None] | None) -> None:
            if last is not None:
                await last
            await self._deliver(callback.url, form, callback.method, token)

        self._last_delivery[family] = self.spawn(after(self._last_delivery.get(family)))

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        return self.group.create_task(work)

    async def _deliver(self, url: str, form: Mapping[str, str], method: str, token: str | None) -> Delivery:
        forged = self.fault("forged-signature") is not None
        webhooks = self.services.webhooks
        delivery = await webhooks.deliver(url, form, method=method, forged=forged, token=token)
        self.deliveries.append(delivery)
        if not delivery.accepted:
            result = f"returned {delivery.status}" if delivery.status else "had no response"
            self.warnings.append(f"{FETCH_FAILED} {method} {delivery.url} {result}")
        return delivery
