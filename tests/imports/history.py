"""A history at the stand-in carrier, and its import."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from callreel.audio.samples import TELEPHONE_HZ, Samples
from callreel.carrier_client.client import CarrierRecordings
from callreel.carrier_client.rest import CarrierAccess
from callreel.domain.ids import CallId, RecordingSid
from callreel.imports.account import AccountImport, Options
from callreel.imports.imported_calls import ImportedCalls
from callreel.imports.outcome import Outcome
from callreel.retention.carrier_deletion import Deletion
from callreel.simulator.calls.cloud_recording import CloudRecording
from callreel.simulator.carrier import CarrierConfig, SimulatedCarrier
from callreel.simulator.faults import Fault
from callreel.simulator.state import CarrierState, Leg
from tests.imports.sound_files import two_channels
from tests.support.installation import NOON, Installation

FIRST_DAY = date(2026, 11, 1)
RING = timedelta(seconds=4)


@dataclass(slots=True)
class History:
    """The carrier, its state, and what the import waited for: seconds and reasons."""

    installation: Installation
    carrier: SimulatedCarrier
    client: CarrierRecordings
    state: CarrierState
    waits: list[tuple[float, str]] = field(default_factory=list)

    def wait(self, seconds: float, reason: str) -> None:
        self.waits.append((seconds, reason))

    async def run(
        self, *, days: int = 3, dry_run: bool = False, delete: bool = False, only: int | None = None
    ) -> list[Outcome]:
        """Import what was recorded from the first day on; `only` stops after so many outcomes, as a kill does."""
        return await asyncio.to_thread(self._run, days, dry_run, delete, only)

    def _run(self, days: int, dry_run: bool, delete: bool, only: int | None) -> list[Outcome]:
        here = self.installation
        calls = ImportedCalls(here.database, here.publisher, here.clock, by="ada")
        deletion = Deletion(here.database, here.blobs, self.client, here.clock, after_days=None)

        def delete_now(sid: RecordingSid, call_id: CallId) -> str | None:
            return deletion.delete_now(sid, call_id, "ada")

        options = Options(self.wait, delete_now if delete else None, dry_run=dry_run)
        work = AccountImport(calls, here.blobs, self.client, options)
        found = []
        for outcome in work.run(FIRST_DAY, FIRST_DAY + timedelta(days=days - 1)):
            found.append(outcome)
            if len(found) == only:
                break
        return found


@asynccontextmanager
async def history(installation: Installation, number: int, *, faulty: float = 0.0) -> AsyncIterator[History]:
    """A carrier with `number` recordings, three a day. A share of `faulty` requests fails with 503 or 429, and as many
    downloads break off."""
    state, chance = CarrierState(), random.Random(7)
    samples = [two_channels(seed) for seed in range(5)]
    for n in range(number):
        began = NOON - timedelta(days=21) + timedelta(hours=8 * n)
        recording = add_past_call(state, n, began, samples[n % 5], incoming=n % 4 == 0)
        if chance.random() < faulty:
            recording.faults.add([Fault("media-truncated", 1)], ["media-truncated"])
    if faulty:
        state.outage = _outage(chance, faulty)
    async with SimulatedCarrier(
        CarrierConfig(voice_url="http://127.0.0.1:9/voice", ranges=True), state
    ) as carrier:
        access = CarrierAccess(
            carrier.api_url, carrier.account.sid, carrier.account.api_key_sid, carrier.account.api_key_secret, 5
        )  # fmt: skip
        client = CarrierRecordings(access)
        try:
            yield History(installation, carrier, client, state)
        finally:
            client.close()


def add_past_call(
    state: CarrierState, number: int, began_at: datetime, samples: Samples, *, incoming: bool
) -> CloudRecording:
    """Add a recorded call of an agent's browser to a phone, or of a phone to an agent, newest last; returns its recording.

    Ids and numbers follow from `number`; `samples` are those of the recording: [n] or [n, 2].
    """
    duration_ms = len(samples) * 1000 // TELEPHONE_HZ
    ended_at = began_at + timedelta(milliseconds=duration_ms)
    agent, phone, own = f"client:agent-{number % 3}", f"+1212555{number % 10_000:04}", "+12025550123"
    from_, to, dialled = (phone, own, agent) if incoming else (agent, phone, phone)
    parent = Leg(f"CA{number:031x}0", from_, to, "inbound", began_at, "completed", None, began_at, ended_at)
    child = replace(
        parent, sid=f"CA{number:031x}1", from_=own, to=dialled, direction="outbound-dial", parent_sid=parent.sid,
        answered_at=began_at + RING,
    )  # fmt: skip
    state.legs |= {leg.sid: leg for leg in (parent, child)}
    recording = CloudRecording(
        f"RE{number:032x}", parent.sid, began_at, 0, channels=samples.ndim, status="completed",
        end_ms=duration_ms, updated_at=ended_at, samples=samples, duration_ms=duration_ms,
    )  # fmt: skip
    state.recordings[recording.sid] = recording
    return recording


def _outage(chance: random.Random, share: float) -> Callable[[], int | None]:
    return lambda: chance.choice((503, 429)) if chance.random() < share else None
