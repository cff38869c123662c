"""The simulated carrier: an account, a REST API on its own port, and calls that it places into an application.

To the application it behaves like the carrier: it signs, delivers, retries and streams as `reference/twilio.md` says. With
`signalling` browsers on this machine place and receive calls through it by the unmodified voice SDK; the other party of
their calls is a recorded voice. Everything it starts ends with it.
"""

import asyncio
import contextlib
import functools
import logging
import random
import secrets
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2
import numpy as np
import uvicorn
from fastapi import FastAPI
from starlette.websockets import WebSocket

from callreel.audio.samples import Samples
from callreel.domain.call import Direction, Role
from callreel.domain.errors import SettingsError
from callreel.runtime.loopback import is_loopback
from callreel.runtime.outgoing import tls_context
from callreel.simulator.account import Account, Sids
from callreel.simulator.calls.context import CarrierServices
from callreel.simulator.calls.placed_call import PlacedCall, VoiceApplication
from callreel.simulator.configuration import (
    APP_DEFAULTS,
    NUMBER_DEFAULTS,
    AccountConfiguration,
    Configured,
)
from callreel.simulator.rest.app import rest_app
from callreel.simulator.rest.protocol import RestContext
from callreel.simulator.scenario import CallOutcome, CallScript, Progress, Technician
from callreel.simulator.signalling.browser_leg import BrowserLeg, BrowserTimeouts
from callreel.simulator.signalling.messages import InviteBody
from callreel.simulator.signalling.socket import SignalOptions, SignalSocket
from callreel.simulator.signalling.switchboard import Switchboard
from callreel.simulator.signalling.webrtc import MediaError
from callreel.simulator.sound.voices import load_voice, shipped_voice
from callreel.simulator.state import CarrierState, Leg, LiveCall, OutgoingCall
from callreel.simulator.webhook_delivery import WebhookSender

log = logging.getLogger(__name__)

T = TypeVar("T")

_KEPT_OUTCOMES = 10  # each holds its call's sound
_BAD_REQUEST = 31400
_NO_VOICE: Samples = np.zeros(0, np.int16)


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierConfig:
    """`voice_url` and `status_callback` are the application's public URLs: those of the first TwiML app, `application_sid`,
    and of the account's `numbers`. Without `application_sid` the account has no app, as a new account. `balance` None is
    that of a subaccount, which the carrier does not show.

    `port` 0 selects a free one. `speed` divides every duration of a call. Without a `seed` ids never repeat; with one the
    same calls get the same ids. `ranges` allows resumed downloads.

    `signalling` accepts browsers at `/signal` of the same port, on loopback only: they authenticate with access tokens of
    an API key, call through a TwiML app, and reach `technician`. `heartbeat_s` must be below the SDK's 15 s.
    """

    voice_url: str
    status_callback: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    account: Account = Account()
    application_sid: str = "AP" + "0" * 31 + "1"
    numbers: tuple[str, ...] = ("+12025550123",)
    balance: str | None = "25.00"
    speed: float = 1.0
    recording_delay_s: float = 1.0
    stream_delay_s: float = 0.4
    seed: int | None = None
    ranges: bool = False
    signalling: bool = False
    technician: Technician = field(default_factory=Technician)
    browser_timeouts: BrowserTimeouts = BrowserTimeouts()
    heartbeat_s: float = 5.0


class SimulatedCarrier:
    """`async with SimulatedCarrier(config) as carrier:`, then `await carrier.place(script)`, any number at once."""

    def __init__(self, config: CarrierConfig, state: CarrierState | None = None) -> None:
        """`state` is a history that its REST API shows from the beginning."""
        if config.speed <= 0:
            raise SettingsError(f"expected a speed above 0, got {config.speed}")
        if config.signalling and not is_loopback(config.host):
            raise SettingsError(f"signalling is available on loopback only, not on {config.host}")
        self._config = config
        self._state = state or CarrierState()
        self._configuration = _configuration(config)
        self._calls: set[asyncio.Task[Any]] = set()
        self._api_url = ""
        self._technician = config.technician
        self._browser_outcomes = deque[CallOutcome](maxlen=_KEPT_OUTCOMES)
        self._switchboard: Switchboard
        self._services: CarrierServices
        self._client: httpx2.AsyncClient
        self._server: _Server
        self._serving: asyncio.Task[None]

    @property
    def api_url(self) -> str:
        """Address of the REST API, for example `http://127.0.0.1:41234`; the real one is https://api.twilio.com."""
        return self._api_url

    @property
    def signal_host(self) -> str:
        """`host:port` for the SDK's option `chunderw`; the page connects by ws, not wss."""
        return self._api_url.partition("://")[2]

    @property
    def browser_outcomes(self) -> tuple[CallOutcome, ...]:
        """The last calls from browsers, in order of their end; at most 10."""
        return tuple(self._browser_outcomes)

    @property
    def live_calls(self) -> tuple[LiveCall, ...]:
        """The calls in progress."""
        return tuple(self._state.live.values())

    @property
    def account(self) -> Account:
        return self._config.account

    @property
    def configuration(self) -> AccountConfiguration:
        """Keys, apps and numbers of the account, as they are now."""
        return self._configuration

    def set_technician(self, technician: Technician) -> None:
        """From the next call on `technician` is the party that browsers reach, and that calls them."""
        self._technician = technician

    @property
    def sids(self) -> Sids:
        """The source of its ids; available while it runs."""
        return self._services.sids

    async def __aenter__(self) -> Self:
        config = self._config
        listener = _listen(config.host, config.port)
        host = f"[{config.host}]" if ":" in config.host else config.host
        self._api_url = f"http://{host}:{listener.getsockname()[1]}"
        seed = random.SystemRandom().getrandbits(64) if config.seed is None else config.seed
        sids = Sids(random.Random(seed))
        context = RestContext(
            config.account, self._state, self._configuration, sids.new, self._api_url, config.ranges
        )
        app = rest_app(context)
        if config.signalling:
            self._add_signalling(app)
        self._server = _Server(
            uvicorn.Config(
                app,
                lifespan="off",
                log_config=None,
                access_log=False,
                ws="websockets-sansio" if config.signalling else "none",
                ws_ping_interval=None,
            )
        )
        self._serving = asyncio.create_task(self._server.serve([listener]), name="simulated carrier REST")
        self._client = httpx2.AsyncClient(verify=tls_context(), trust_env=False, follow_redirects=False)
        self._switchboard = Switchboard(
            self._place_browser_call,
            lambda: sids.new("CA"),
            lambda: secrets.token_hex(16),
            config.browser_timeouts,
        )
        self._services = CarrierServices(
            account=config.account,
            sids=sids,
            webhooks=WebhookSender(self._client, config.account, sids),
            state=self._state,
            api_url=self._api_url,
            speed=config.speed,
            recording_delay_s=config.recording_delay_s,
            stream_delay_s=config.stream_delay_s,
            seed=config.seed or 0,
            switchboard=self._switchboard,
        )
        self._state.originate = self._originate
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        self._server.stopping.set()
        await self._serving
        await self._client.aclose()

    async def place(
        self, script: CallScript, on_progress: Callable[[Progress], None] | None = None
    ) -> CallOutcome:
        """Place one call; returns after its last callback. Cancelling it drops the call."""
        call = PlacedCall(self._services, self._application(script), script, on_progress or _ignore)
        task = self._start(call.run())
        try:
            return await task
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise

    def _originate(self, order: OutgoingCall) -> Leg:
        """Place a call of the application over REST: the technician's phone is rung."""
        script = self._script(direction=Direction.INCOMING)
        leg = Leg(self.sids.new("CA"), order.from_, order.to, "outbound-api", datetime.now(UTC), "queued")
        self._state.legs[leg.sid] = leg
        call = PlacedCall(self._services, self._application(script), script, _ignore, outgoing=(leg, order))
        self._start(call.run())
        return leg

    async def ring_client(self, identity: str, from_number: str) -> CallOutcome:
        """Place a call from `from_number` to our number; the application should dial client `identity`.

        Its browser rings and can accept, decline or do nothing; then the technician's voice talks with it.
        Raises SettingsError if no browser of that identity is registered.
        """
        if not self._config.signalling or not self._switchboard.is_registered(identity):
            raise SettingsError("no browser of that identity is registered")
        script = self._script(
            direction=Direction.INCOMING, agent_identity=identity, number=from_number, ring_s=2.0, answer=True,
            live=True,
        )  # fmt: skip
        return await self.place(script)

    def _script(self, **values: Any) -> CallScript:
        """A call with the current technician; `values` are further fields."""
        technician = self._technician
        voice = _shipped_technician() if technician.voice is None else technician.voice
        script = CallScript(
            agent_voice=_NO_VOICE, technician_voice=voice, ring_s=technician.ring_s, answer=technician.answers,
            ringback=technician.ringback, faults=technician.faults, responses=technician.responses,
        )  # fmt: skip
        return replace(script, **values)

    def _add_signalling(self, app: FastAPI) -> None:
        options = SignalOptions(self._configuration, self._config.heartbeat_s)

        async def signal(websocket: WebSocket) -> None:
            await SignalSocket(websocket, self._switchboard, options).run()

        app.add_api_websocket_route("/signal", signal)

    def _place_browser_call(self, leg: BrowserLeg, request: InviteBody, application_sid: str) -> None:
        """Place a browser's call, which the application handles like every other call."""
        parameters = request.parameters or {}
        script = self._script(
            agent_identity=leg.identity, number=parameters.pop("To", ""), parameters=parameters, live=True
        )
        self._start(self._answer(leg, request.sdp, script, application_sid))

    async def _answer(
        self, leg: BrowserLeg, sdp: str, script: CallScript, application_sid: str
    ) -> CallOutcome | None:
        try:
            await leg.accept_offer(sdp)
            application = self._application(script, application_sid)
            outcome = await PlacedCall(self._services, application, script, _ignore, leg).run()
        except MediaError as error:
            log.warning("call of a browser refused", extra={"reason": str(error)})
            leg.ended(_BAD_REQUEST, "Bad Request")
            return None
        finally:
            await leg.close()
        self._browser_outcomes.append(outcome)
        return outcome

    def _application(self, script: CallScript, application_sid: str = "") -> VoiceApplication:
        """Where a call arrives, as the account is configured now: the app of a browser, or the dialled number.

        A script may call a number that the account does not have: then the URLs of the carrier's configuration count.
        """
        config, apps = self._config, self._configuration.apps
        if script.direction is Direction.INCOMING:
            found = self._configuration.at_number(script.our_number)
        else:
            newest = next(reversed(apps), "")
            found = apps.get(application_sid or config.application_sid or newest)
            if found is None:
                return VoiceApplication("", None, "")
        if found is None:
            return VoiceApplication(config.voice_url, config.status_callback, config.application_sid)
        urls = found.fields
        return VoiceApplication(
            urls["voice_url"] or "", urls["status_callback"], found.sid, urls["voice_method"]
        )

    def _start(self, work: Coroutine[None, None, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name="simulated call")
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        return task

    async def wait_for_calls(self) -> None:
        """Return when no call is active and every callback is delivered or given up."""
        while self._calls:
            await asyncio.wait(set(self._calls))


def _configuration(config: CarrierConfig) -> AccountConfiguration:
    """The account's state at first, before anything is changed over REST."""
    found = AccountConfiguration(config.account, config.balance)
    urls = {"voice_url": config.voice_url or None, "status_callback": config.status_callback}
    if config.application_sid:
        app = Configured(config.application_sid, "Callreel", {**APP_DEFAULTS, **urls})
        found.apps[app.sid] = app
    for place, phone_number in enumerate(config.numbers, 1):
        fields = {**NUMBER_DEFAULTS, **urls, "phone_number": phone_number}
        number = Configured(f"PN{place:032x}", phone_number, fields)
        found.numbers[number.sid] = number
    return found


def _ignore(progress: Progress) -> None:
    """The default without an observer."""


@functools.cache
def _shipped_technician() -> Samples:
    """Read once, since reading takes milliseconds that active calls need."""
    return load_voice(shipped_voice(Role.TECHNICIAN))


class _Server(uvicorn.Server):
    """Leaves signals to the program, and stops at once instead of at its next tick."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self.stopping.wait()


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises SettingsError if the port is in use or the host is foreign."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise SettingsError(
            f"the simulated carrier cannot listen on {host} port {port}: {error.strerror}; choose another port"
        ) from error
