"""Short simulated calls for tests: two voices of 1.5 s, at 25 times real time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import numpy as np

from callreel.domain.call import Direction
from callreel.simulator.account import Account
from callreel.simulator.carrier import CarrierConfig, SimulatedCarrier
from callreel.simulator.faults import parse_fault
from callreel.simulator.scenario import CallOutcome, CallScript, Progress, Stage
from tests.simulator.receiver import TOKEN, Receiver, receiving

SPEED = 25.0
VOICE_MS = 1500


def voice(seed: int, duration_ms: int = VOICE_MS) -> Any:
    """Noise that is unique to the seed."""
    noise = np.random.default_rng(seed).normal(0, 3000, duration_ms * 8)
    return np.clip(noise, -20000, 20000).astype(np.int16)


def script(*faults: str, **options: Any) -> CallScript:
    options = {"ring_s": 0.5, "voice_ms": VOICE_MS} | options
    voice_ms = options.pop("voice_ms")
    return CallScript(
        agent_voice=voice(1, voice_ms),
        technician_voice=voice(2, voice_ms),
        faults=tuple(parse_fault(fault) for fault in faults),
        **options,
    )


@contextlib.asynccontextmanager
async def carrier_for(receiver: Receiver, **options: Any) -> AsyncIterator[SimulatedCarrier]:
    settings: dict[str, Any] = {
        "voice_url": receiver.voice_url,
        "status_callback": f"{receiver.url}/call",
        "account": Account(auth_token=TOKEN),
        "speed": SPEED,
        "seed": 3,
    }
    async with SimulatedCarrier(CarrierConfig(**settings | options)) as carrier:
        yield carrier


@contextlib.asynccontextmanager
async def client_of(carrier: SimulatedCarrier) -> AsyncIterator[httpx2.AsyncClient]:
    account = carrier.account
    base = f"{carrier.api_url}/2010-04-01/Accounts/{account.sid}/"
    auth = (account.api_key_sid, account.api_key_secret)
    async with httpx2.AsyncClient(base_url=base, auth=auth, trust_env=False, verify=False) as client:
        yield client


async def place(
    *faults: str,
    receiver: dict[str, Any] | None = None,
    carrier: dict[str, Any] | None = None,
    **options: Any,
) -> tuple[CallOutcome, Receiver]:
    """Place one call; returns its outcome and its receiver."""

    direction = options.get("direction", Direction.OUTGOING)
    async with (
        receiving(direction=direction.value, **receiver or {}) as got,
        carrier_for(got, **carrier or {}) as simulated,
    ):
        return await simulated.place(script(*faults, **options)), got


@dataclass
class RunningCall:
    """A call that would last a minute. `outcome` is set once it has ended."""

    client: httpx2.AsyncClient
    sid: str
    receiver: Receiver
    hung_up: asyncio.Event
    carrier: SimulatedCarrier
    placing: "asyncio.Task[CallOutcome]"
    outcome: CallOutcome = field(init=False)


@contextlib.asynccontextmanager
async def running_call(
    *faults: str, until: Stage = Stage.ANSWERED, **options: Any
) -> AsyncIterator[RunningCall]:
    """A call that has reached a stage; it is ended afterwards."""
    async with (
        receiving() as got,
        carrier_for(got, **{"speed": 10.0} | options) as carrier,
        client_of(carrier) as client,
    ):
        reached, hung_up = asyncio.Event(), asyncio.Event()

        def seen(progress: Progress) -> None:
            if progress.stage is until:
                reached.set()
            if progress.stage is Stage.HUNG_UP:
                hung_up.set()

        placing = asyncio.create_task(carrier.place(script(*faults, voice_ms=60000), seen))
        await reached.wait()
        call = RunningCall(client, got.forms("/voice")[0]["CallSid"], got, hung_up, carrier, placing)
        yield call
        await client.post(f"Calls/{call.sid}.json", data={"Status": "completed"})
        call.outcome = await placing
