"""Runs one complete demo call: starts a server and the simulated carrier, follows the call, and stops both.

`Screen` displays the progress; the result is the API's summary of the call.
"""

import asyncio
import os
import secrets
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Never, TypeVar

from callreel.audio.samples import Samples
from callreel.demo.client import Client, ServerError
from callreel.demo.progress import Progress
from callreel.demo.screen import Screen
from callreel.demo.server_process import ServerProcess
from callreel.settings import Settings, env_name, env_names
from callreel.simulator.account import Account
from callreel.simulator.carrier import CarrierConfig, SimulatedCarrier
from callreel.simulator.faults import Fault
from callreel.simulator.scenario import CallOutcome, CallScript

T = TypeVar("T")

HOST = "127.0.0.1"
CALLER_ID = "+12025550123"
READY_S = 60.0
EVENT_TIMEOUT_S = 180.0
"""Timeout between two events of a call; a slow engine takes this long for a final transcript."""

_PASSED_SETTINGS = tuple(
    name
    for name in Settings.model_fields
    if name.startswith(("engine", "final_engine", "openai_base_url", "vad_", "price_", "log_"))
)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Parameters of the demo. Voices are 8 kHz mono int16; only some of the user's `settings` apply."""

    settings: Settings
    data_dir: Path
    port: int
    agent_voice: Samples
    technician_voice: Samples
    speed: float = 1.0
    faults: tuple[Fault, ...] = ()

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def shown_url(self) -> str:
        return f"http://localhost:{self.port}"


def carrier_config(plan: Plan) -> CarrierConfig:
    """A simulated carrier with random credentials that calls this server."""
    return CarrierConfig(
        voice_url=f"{plan.base_url}/twilio/voice",
        status_callback=f"{plan.base_url}/twilio/call-status",
        account=Account(
            f"AC{secrets.token_hex(16)}",
            secrets.token_hex(16),
            f"SK{secrets.token_hex(16)}",
            secrets.token_urlsafe(32),
        ),  # fmt: skip
        application_sid=f"AP{secrets.token_hex(16)}",
        speed=plan.speed,
        signalling=True,
    )


def server_environment(
    plan: Plan, config: CarrierConfig, carrier: SimulatedCarrier, environ: Mapping[str, str]
) -> dict[str, str]:
    """The environment of the server: of the user's settings only those of speech recognition, prices and logs.

    So a demo never uses a real account or database. The softphone on the page connects to the simulated carrier too, so
    that *Call technician* works in a browser on this machine.
    """
    ours = {name for field in Settings.model_fields for name in env_names(field)} | {"CALLREEL_CONFIG"}
    child = {name: value for name, value in environ.items() if name not in ours}
    for field in _PASSED_SETTINGS:
        if field in plan.settings.sources:
            child[env_name(field)] = _as_text(getattr(plan.settings, field))
    if plan.settings.openai_api_key is not None:
        child[env_name("openai_api_key")] = plan.settings.openai_api_key.get_secret_value()
    child.update(
        CALLREEL_DATA_DIR=str(plan.data_dir),
        CALLREEL_HOST=HOST,
        CALLREEL_PORT=str(plan.port),
        CALLREEL_PUBLIC_URL=plan.base_url,
        CALLREEL_CARRIER_API_URL=carrier.api_url,
        CALLREEL_SOFTPHONE_SIGNALLING_ADDRESS=carrier.signal_host,
        TWILIO_ACCOUNT_SID=carrier.account.sid,
        TWILIO_AUTH_TOKEN=carrier.account.auth_token,
        TWILIO_API_KEY_SID=carrier.account.api_key_sid,
        TWILIO_API_KEY_SECRET=carrier.account.api_key_secret,
        TWILIO_TWIML_APP_SID=config.application_sid,
        TWILIO_PHONE_NUMBER=CALLER_ID,
        PYTHONUNBUFFERED="1",
    )
    return child


def _as_text(value: object) -> str:
    """A setting's value as its environment variable expects it; folders become absolute, as the server runs elsewhere."""
    if isinstance(value, dict):
        return ",".join(f"{name}={item}" for name, item in value.items())
    text = str(value)
    return str(Path(text).absolute()) if Path(text).is_dir() else text


async def rehearse(
    plan: Plan, screen: Screen, finished: Callable[[dict[str, Any]], None], *, stay: bool
) -> dict[str, Any]:
    """Place the call, pass its summary to `finished`, with `stay` wait for a signal, and return the summary.

    Raises CallreelError if the server exits or the call does not finish, CancelledError if stopped before that.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)
    screen.step("starting the simulated carrier")
    config = carrier_config(plan)
    async with SimulatedCarrier(config) as carrier:
        environ = server_environment(plan, config, carrier, os.environ)
        arguments = ["serve", "--demo", "--host", HOST, "--port", str(plan.port)]
        log_path = plan.data_dir / "server.log"
        with ServerProcess(arguments, environ, plan.data_dir, log_path) as server:
            async with Client(plan.base_url) as client:
                screen.step(f"starting Callreel on {plan.shown_url}")
                await _guarded(stopped, server, _ready(client))
                summary = await _guarded(stopped, server, _one_call(plan, carrier, client, screen))
                finished(summary)
                if stay:
                    await _guarded(None, server, stopped.wait())
                return summary


async def _ready(client: Client) -> None:
    try:
        async with asyncio.timeout(READY_S):
            await client.until_healthy()
    except TimeoutError:
        raise ServerError(f"the server was not ready within {READY_S:g} s") from None


async def _one_call(plan: Plan, carrier: SimulatedCarrier, client: Client, screen: Screen) -> dict[str, Any]:
    script = CallScript(
        agent_voice=plan.agent_voice, technician_voice=plan.technician_voice, faults=plan.faults
    )
    known = set(await client.call_ids())
    screen.step("placing the call: an agent's browser calls a technician")
    placing = asyncio.create_task(carrier.place(script))
    try:
        call_id = await _new_call(client, known, placing)
        screen.step(f"on the call: {plan.shown_url}/calls/{call_id}")
        await _follow(client, call_id, screen)
        await placing
        return await client.call(call_id)
    finally:
        placing.cancel()
        await asyncio.gather(placing, return_exceptions=True)


async def _new_call(client: Client, known: set[str], placing: "asyncio.Task[CallOutcome]") -> str:
    """Wait for the new call on the server; returns its id. Raises ServerError if the server refuses it."""
    while True:
        over = placing.done()
        new = [call_id for call_id in await client.call_ids() if call_id not in known]
        if new:
            return new[0]
        if over:
            answers = ", ".join(str(delivery.status) for delivery in placing.result().deliveries) or "nothing"
            raise ServerError(f"the server refused the call; its responses to the carrier were {answers}")
        await asyncio.sleep(0.1)


async def _follow(client: Client, call_id: str, screen: Screen) -> None:
    """Display the call until it has a verdict or its stage is parked."""
    progress = Progress()
    loop = asyncio.get_running_loop()
    hung_up = False
    try:
        async with asyncio.timeout(EVENT_TIMEOUT_S) as timeout:
            async for event in client.follow(call_id):
                timeout.reschedule(loop.time() + EVENT_TIMEOUT_S)
                progress.apply(event.kind, event.data)
                if progress.call_state == "ended" and not hung_up:
                    hung_up = True
                    screen.step("hung up: downloading the recording, transcribing and comparing it")
                screen.show(progress)
                if progress.closed:
                    return
    except TimeoutError:
        raise ServerError(
            f"call {call_id} has no verdict, and no event arrived for {EVENT_TIMEOUT_S:g} s"
        ) from None


async def _guarded(stopped: asyncio.Event | None, server: ServerProcess, work: Awaitable[T]) -> T:
    """The result of `work`. Raises ServerDiedError if the server exits meanwhile, CancelledError once `stopped` is set."""
    working = asyncio.ensure_future(work)
    guards = [asyncio.create_task(_watch(server))]
    if stopped is not None:
        guards.append(asyncio.create_task(_stop(stopped)))
    try:
        done, _ = await asyncio.wait({working, *guards}, return_when=asyncio.FIRST_COMPLETED)
        for guard in guards:
            if guard in done:
                await guard
        return await working
    finally:
        for task in (working, *guards):
            task.cancel()
        await asyncio.gather(working, *guards, return_exceptions=True)


async def _watch(server: ServerProcess) -> Never:
    while True:
        server.check_alive()
        await asyncio.sleep(0.2)


async def _stop(stopped: asyncio.Event) -> Never:
    await stopped.wait()
    raise asyncio.CancelledError
