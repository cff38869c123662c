"""What the parts of one running call share: its script, clock and sound, when it ends, and the way of its webhooks."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field

from callreel.audio.samples import FRAME_MS
from callreel.domain.ids import LegSid
from callreel.simulator.account import Account, Sids
from callreel.simulator.calls.twiml_script import Callback
from callreel.simulator.clock import CallClock
from callreel.simulator.faults import value_of
from callreel.simulator.scenario import CallScript, Progress, Stage
from callreel.simulator.signalling.browser_leg import BrowserLeg
from callreel.simulator.signalling.switchboard import Switchboard
from callreel.simulator.sound.leg_audio import LegAudio
from callreel.simulator.state import CarrierState, Leg
from callreel.simulator.webhook_delivery import Delivery, WebhookSender


@dataclass(frozen=True, slots=True)
class CarrierServices:
    """What all calls of one stand-in share. `api_url` is the public address of its REST API.

    `switchboard` is there where browsers may take part.
    """

    account: Account
    sids: Sids
    courier: WebhookSender
    ledger: CarrierState
    api_url: str
    speed: float
    recording_delay_s: float
    stream_delay_s: float
    seed: int
    switchboard: Switchboard | None = None


@dataclass(slots=True, eq=False)
class CallContext:
    """Made when a call's TwiML begins to run; every task of the call belongs to `group`.

    `ends_ms` is known ahead once two recorded voices are laid; with a person on the call it is known when it is over.
    `over` is set by whoever comes there first. `caller` is the parent leg's party, if that is a browser.
    """

    exchange: CarrierServices
    script: CallScript
    leg: Leg
    clock: CallClock
    group: asyncio.TaskGroup
    on_progress: Callable[[Progress], None]
    caller: BrowserLeg | None = None
    keys: str = ""
    audio: LegAudio = field(default_factory=LegAudio)
    ends_ms: int | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    deliveries: list[Delivery] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _last_of: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    @property
    def leg_sid(self) -> LegSid:
        return LegSid(self.leg.sid)

    def fault(self, name: str) -> float | None:
        """The number of that fault of the script, None when it has none."""
        return value_of(self.script.faults, name)

    def tell(self, stage: Stage, position_ms: float) -> None:
        self.on_progress(Progress(stage, round(position_ms)))

    async def wait_until(self, position_ms: float) -> bool:
        """Whether that position was reached; False when the call was over before, as planned or by surprise."""
        if self.over.is_set():
            return False
        next_ms = position_ms if self.ends_ms is None else min(position_ms, self.ends_ms)
        try:
            async with asyncio.timeout(max(0.0, self.clock.seconds_until(next_ms))):
                await self.over.wait()
            return False
        except TimeoutError:
            pass
        if self.ends_ms is not None and self.ends_ms < position_ms:
            self.over.set()
        return not self.over.is_set()

    def end(self, at_ms: int) -> None:
        """The call is over, at the planned end or before it."""
        self.ends_ms = at_ms if self.ends_ms is None else min(at_ms, self.ends_ms)
        self.over.set()

    def hang_up(self) -> None:
        """End the call after the frame that is on its way."""
        self.end(self.clock.next_ms() + FRAME_MS)

    def answer(self, at_ms: int) -> None:
        """The parent leg is answered, if it was not before, and its browser is told."""
        if self.leg.answered_at is None:
            self.leg.answered_at, self.leg.status = self.clock.moment(at_ms), "in-progress"
            if self.caller is not None:
                self.caller.answered()

    async def fetch(self, url: str, form: Mapping[str, str], method: str = "POST") -> Delivery:
        """Deliver and wait for the answer: for TwiML."""
        return await self._deliver(url, form, method, None)

    def post(
        self, family: str, callback: Callback | None, form: Mapping[str, str], token: str | None = None
    ) -> None:
        """Deliver in the background, after what was posted before of the same family. Without a callback: nothing."""
        if callback is None:
            return

        async def after(last: asyncio.Task[None] | None) -> None:
            if last is not None:
                await last
            await self._deliver(callback.url, form, callback.method, token)

        self._last_of[family] = self.spawn(after(self._last_of.get(family)))

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        return self.group.create_task(work)

    async def _deliver(self, url: str, form: Mapping[str, str], method: str, token: str | None) -> Delivery:
        forged = self.fault("forged-signature") is not None
        courier = self.exchange.courier
        delivery = await courier.deliver(url, form, method=method, forged=forged, token=token)
        self.deliveries.append(delivery)
        if not delivery.accepted:
            self.warnings.append(
                f"11200 {method} {delivery.url} was answered {delivery.status or 'not at all'}"
            )
        return delivery
