"""A call that a person leaves unrecorded once it has begun: nothing more is captured, and what was captured is erased."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from callreel.carrier_client.client import CarrierRecordings
from callreel.carrier_client.rest import CarrierAccess
from callreel.domain.call import CallState
from callreel.domain.consent import Policy, Stamp
from callreel.domain.note import NoteKind
from callreel.domain.recording import CloudState
from callreel.retention.stopped_recording import LATEST, RETRY_S, RecordingStop, StopRefusedError
from callreel.store.audit import trail
from callreel.store.calls import calls, consent_policies, consents, holds, notes, recordings
from callreel.store.calls.consent_policies import PolicyRow
from callreel.store.calls.recordings import RecordingRow
from callreel.store.transcripts import finals
from tests.support.installation import (
    ACCOUNT,
    NOON,
    PROCESS,
    Installation,
    LiveSide,
    QuickHost,
    eventually,
    leg,
    live_side,
    silence,
    speech,
)
from tests.support.recorded_call import SID
from tests.support.rest_server import Answer, RestServer, rest_server
from tests.support.streams import AGENT, CALL, TECHNICIAN, files, joined, play, rows, started, tokens

API = f"/2010-04-01/Accounts/{ACCOUNT}"
CURRENT = f"{API}/Calls/{leg(1)}/Recordings/Twilio.CURRENT.json"
RUNNING = f"{API}/Calls/{leg(1)}/Recordings/{SID}.json"
FINISHED = f"{API}/Recordings/{SID}.json"
OK, BROKEN, GONE = Answer(200, b"{}"), Answer(503), Answer(204)
NONE_LISTED = Answer(200, json.dumps({"recordings": [], "next_page_uri": None}).encode())
STOPPED = b"Status=stopped"


@dataclass(slots=True)
class Stopping:
    installation: Installation
    live: LiveSide
    stop: RecordingStop
    server: RestServer

    async def choose(self) -> Stamp:
        return await asyncio.to_thread(self.stop.stop, CALL)

    async def sweep(self) -> None:
        await asyncio.to_thread(self.stop.sweep)

    async def swept(self, condition: Callable[[], object]) -> None:
        """Sweep until `condition` holds."""
        while not condition():
            await self.sweep()
            await asyncio.sleep(0)

    def stamp(self) -> Stamp:
        with self.installation.database.read() as conn:
            stamp = consents.of_call(conn, CALL)
        assert stamp is not None
        return stamp

    def recorded(self, state: CloudState) -> None:
        """The carrier's report about its recording."""
        row = RecordingRow(SID, CALL, leg(1), state, NOON)
        with self.installation.database.write() as conn:
            consents.reopen_erasure(conn, CALL)
            recordings.upsert(conn, row)

    def cloud(self) -> CloudState:
        with self.installation.database.read() as conn:
            (row,) = recordings.of_call(conn, CALL)
        return row.state

    @property
    def asked(self) -> list[tuple[str, bytes]]:
        return [(seen.path, seen.body) for seen in self.server.seen]

    def actions(self) -> list[str]:
        with self.installation.database.read() as conn:
            return [entry.action for entry in trail.entries(conn)]

    def end(self) -> None:
        with self.installation.database.write() as conn:
            calls.end(conn, CALL, NOON, PROCESS)


@asynccontextmanager
async def stopping(
    installation: Installation, *, host: QuickHost | None = None, notified: bool = True
) -> AsyncIterator[Stopping]:
    """`notified`: the message about the choice reaches the process with the streams."""
    with rest_server() as server:
        server.put(CURRENT, OK)
        server.put(RUNNING, OK)
        server.put(FINISHED, GONE)
        server.put(f"{API}/Recordings.json", NONE_LISTED)
        carrier = CarrierRecordings(CarrierAccess(server.url, ACCOUNT, "SK1", "secret", timeout_s=5))
        try:
            async with live_side(installation, host=host) as live:
                stop = RecordingStop(
                    installation.database, installation.blobs, carrier, installation.publisher, installation.clock,
                    live.ownership.recording_stopped if notified else lambda call_id: None,
                )  # fmt: skip
                yield Stopping(installation, live, stop, server)
        finally:
            carrier.close()


def stored_sound(installation: Installation) -> list[bytes]:
    return [path.read_bytes() for path in installation.folder.rglob("*") if path.is_file()]


async def test_call_continues_and_nothing_of_it_remains(installation: Installation) -> None:
    (token,) = tokens(installation, from_="+12125550188")
    said = speech(900)
    async with stopping(installation, host=QuickHost()) as call:
        stream = await joined(call.live, token)
        play(stream, AGENT, said)
        play(stream, AGENT, silence(900), first_ms=900)
        with installation.database.write() as conn:
            notes.add(conn, CALL, NoteKind.NOTE, 0, "asked not to be recorded", "maria", NOON)

        def words() -> bool:
            with installation.database.read() as conn:
                return any(final.words for final in finals.of_call(conn, CALL))

        await eventually(words)
        assert any(said[:80].tobytes() in file for file in stored_sound(installation))
        call.recorded(CloudState.IN_PROGRESS)
        stamp = await call.choose()
        assert stamp.stopped_at and not stamp.permits_recording and stamp.excludes_recording
        assert (CURRENT, STOPPED) in call.asked
        await eventually(lambda: not call.live.registry.count)
        await eventually(lambda: all(row.ended_by for row in rows(installation)))
        call.recorded(CloudState.COMPLETED)
        await call.swept(lambda: not files(installation) and call.cloud() is CloudState.MISSING)
        assert not words() and not any(
            said[at : at + 80].tobytes() in file for file in stored_sound(installation) for at in (0, 3_000)
        )
        assert not list((installation.blobs.root / "audio_recordings").iterdir())
        assert installation.call(CALL).state is CallState.LIVE, "only its recording has ended"
        assert call.stamp().erased_at is None, "more may come until its end"
        assert {"recording_erased", "deleted_at_carrier"} <= set(call.actions())
        with installation.database.read() as conn:
            assert [note.text for note in notes.of_call(conn, CALL)] == ["asked not to be recorded"]
        call.live.ownership.leg_ended(CALL)
        await eventually(lambda: installation.call(CALL).state is not CallState.LIVE)
        await call.sweep()
        assert call.stamp().erased_at and call.stamp().text.endswith(
            "What was recorded until then was erased."
        )
        reason = call.stamp().unrecorded
        assert reason is not None and reason.code == "do_not_record"


async def test_stream_of_a_stopped_call_is_refused(installation: Installation) -> None:
    """The choice falls while the phone rings, after the carrier has its document."""
    (token,) = tokens(installation, from_="+12125550188")
    async with stopping(installation) as call:
        await call.choose()
        assert await call.live.streams.open(started(token)) is None
        assert not rows(installation)


async def test_stop_that_was_not_reported_is_found_in_the_rows(installation: Installation) -> None:
    (token,) = tokens(installation, from_="+12125550188")
    async with stopping(installation, notified=False) as call:
        stream = await joined(call.live, token)
        play(stream, TECHNICIAN, speech(400))
        await call.choose()
        await call.sweep()
        assert files(installation), "still being written"
        await call.live.ownership.reconcile()
        assert not call.live.registry.count
        await call.sweep()
        assert not files(installation)


async def test_recording_that_begins_after_the_choice_is_ended_and_deleted(
    installation: Installation,
) -> None:
    """The carrier records from the answer on, whatever was chosen while the phone rang."""
    tokens(installation, from_="+12125550188")
    async with stopping(installation) as call:
        call.server.put(CURRENT, Answer(404))
        await call.choose()
        call.end()
        await call.sweep()
        assert call.stamp().erased_at
        with installation.database.write() as conn:
            conn.exec_driver_sql("UPDATE calls SET state = 'live'")
        call.recorded(CloudState.IN_PROGRESS)
        assert call.stamp().erased_at is None
        await call.sweep()
        assert (RUNNING, STOPPED) in call.asked
        call.recorded(CloudState.COMPLETED)
        await call.sweep()
        assert call.cloud() is CloudState.MISSING and FINISHED in [path for path, _ in call.asked]


async def test_hold_after_the_choice_keeps_what_there_is_until_its_release(
    installation: Installation,
) -> None:
    (token,) = tokens(installation, from_="+12125550188")
    async with stopping(installation) as call:
        stream = await joined(call.live, token)
        play(stream, TECHNICIAN, speech(400))
        await call.choose()
        await eventually(lambda: all(row.ended_by for row in rows(installation)))
        call.recorded(CloudState.IN_PROGRESS)
        with installation.database.write() as conn:
            held = holds.add(conn, CALL, "case 17", "ada", NOON)
        await call.sweep()
        assert files(installation) and (RUNNING, STOPPED) in call.asked
        with installation.database.write() as conn:
            holds.release(conn, held.id, "closed", "ada", NOON)
        await call.sweep()
        assert not files(installation)


async def test_carrier_that_is_away_is_asked_again(installation: Installation) -> None:
    tokens(installation, from_="+12125550188")
    async with stopping(installation) as call:
        call.server.put(CURRENT, BROKEN)
        call.server.put(FINISHED, BROKEN, GONE)
        await call.choose()
        call.recorded(CloudState.COMPLETED)
        call.end()
        await call.sweep()
        await call.sweep()
        assert call.cloud() is CloudState.COMPLETED and call.stamp().erased_at is None
        assert [path for path, _ in call.asked].count(FINISHED) == 1, "not every second"
        installation.clock.step(RETRY_S)
        await call.sweep()
        await call.sweep()
        assert call.cloud() is CloudState.MISSING and call.stamp().erased_at


@pytest.mark.parametrize(
    ("why", "message"),
    [
        ("late", "more than 60 seconds ago"),
        ("held", "the call is held"),
        ("forbidden", "the recording policy does not allow"),
        ("over", "the call is over"),
    ],
)
async def test_refused_choices_change_nothing(installation: Installation, why: str, message: str) -> None:
    (token,) = tokens(installation, from_="+12125550188")
    async with stopping(installation) as call:
        await joined(call.live, token)
        with installation.database.write() as conn:
            if why == "late":
                calls.set_answered(conn, CALL, NOON - LATEST - timedelta(seconds=1))
            elif why == "held":
                holds.add(conn, CALL, "case 17", "ada", NOON)
            elif why == "forbidden":
                consent_policies.add(conn, PolicyRow(1, Policy(agents_may_skip=False), "ada", NOON))
            else:
                calls.end(conn, CALL, NOON, PROCESS)
        with pytest.raises(StopRefusedError, match=message):
            await call.choose()
        with installation.database.read() as conn:
            assert consents.of_call(conn, CALL) is None
        assert call.asked == [] and files(installation)


async def test_repeated_choice_changes_nothing(installation: Installation) -> None:
    tokens(installation, from_="+12125550188")
    async with stopping(installation) as call:
        first = await call.choose()
        installation.clock.step(5)
        assert await call.choose() == first
