"""The carrier's history becomes calls: complete, each recording once, in spite of faults."""

import asyncio
from datetime import timedelta
from time import perf_counter

import pytest

from callreel.domain.call import Direction, Role
from callreel.domain.errors import StoreError
from callreel.domain.ids import LegSid
from callreel.domain.recording import Layer
from callreel.imports.account import ATTEMPTS, FAILURES_IN_A_ROW, ImportStoppedError
from callreel.imports.imported_calls import call_id_of
from callreel.imports.outcome import Result
from callreel.postcall.carrier_inventory import CarrierList
from callreel.simulator.faults import Fault
from callreel.store.calls import calls, deletions, erasures, layers, legs, recordings
from callreel.store.calls.calls import CallRow
from callreel.store.calls.erasures import ErasureRow
from callreel.store.files.blobs import BlobInfo
from tests.imports.history import history
from tests.support.installation import NOON, Installation, a_call, leg


def imported(installation: Installation) -> list[CallRow]:
    with installation.database.read() as conn:
        return calls.since(conn, NOON - timedelta(days=99))


async def check_history(installation: Installation, number: int) -> None:
    """Import a history with 5 % faults in two runs, the first of which is stopped."""
    async with history(installation, number, faulty=0.05) as here:
        days = number // 3 + 2
        first = await here.run(days=days, only=number // 2)
        rest = await here.run(days=days)
        assert {one.result for one in first} == {Result.IMPORTED}
        assert [one.result for one in rest] == [Result.PRESENT] * len(first) + [Result.IMPORTED] * (
            number - len(first)
        )
        assert len(imported(installation)) == number and here.waits
        with installation.database.read() as conn:
            found = [(row, layers.of_call(conn, row.id)) for row in imported(installation)]
        sids = {sid for row, files in found for sid in here.state.recordings if sid in files[0].path}
        assert sids == set(here.state.recordings)
        for _, files in found:
            (file,) = files
            assert (file.layer, file.channels, file.duration_ms) == (Layer.CLOUD, 2, 4_500)
            assert installation.blobs.digest(file.path) == file.sha256
        assert {one.result for one in await here.run(days=days)} == {Result.PRESENT}


async def test_history_is_imported_once_in_spite_of_faults(installation: Installation) -> None:
    await check_history(installation, 20)


@pytest.mark.long
async def test_history_of_200_is_imported_once(installation: Installation) -> None:
    began = perf_counter()
    await check_history(installation, 200)
    print(f"200 recordings, imported, repeated and checked in {perf_counter() - began:.1f} s")


async def test_call_has_its_parties_and_times(installation: Installation) -> None:
    async with history(installation, 2) as here:
        await here.run()
        incoming, outgoing = imported(installation)
    assert (incoming.direction, incoming.agent, incoming.remote_number, incoming.inbound_role) == (
        Direction.INCOMING, "agent-0", "+12125550000", Role.TECHNICIAN,
    )  # fmt: skip
    assert (outgoing.direction, outgoing.agent, outgoing.remote_number, outgoing.inbound_role) == (
        Direction.OUTGOING, "agent-1", "+12125550001", Role.AGENT,
    )  # fmt: skip
    assert outgoing.created_at == NOON - timedelta(days=21) + timedelta(hours=8)
    assert outgoing.answered_at == outgoing.created_at + timedelta(seconds=4)
    with installation.database.read() as conn:
        assert [row.role for row in legs.of_call(conn, outgoing.id)] == [Role.AGENT, Role.TECHNICIAN]
        (recording,) = recordings.of_call(conn, outgoing.id)
    assert (recording.channels, recording.started_at) == (2, outgoing.created_at)


async def test_dry_run_downloads_nothing(installation: Installation) -> None:
    async with history(installation, 3) as here:
        found = await here.run(dry_run=True)
    assert [one.result for one in found] == [Result.IMPORTED] * 3 and imported(installation) == []
    assert all("two channels" in one.detail and "+1212" not in one.detail for one in found)


async def test_carriers_copies_are_deleted_once_ours_are_safe(installation: Installation) -> None:
    async with history(installation, 3) as here:
        await here.run(only=2)
        broken = next(reversed(here.state.recordings.values()))
        broken.duration_ms += 9_000  # the carrier reports more than its file has
        found = await here.run(delete=True)
        assert [one.result for one in found] == [Result.PRESENT] * 2 + [Result.FAILED]
        assert "our copy has 4.5 s, the carrier reports 14 s" in found[2].detail
        assert [one.status for one in here.state.recordings.values()] == ["deleted", "deleted", "completed"]
        with installation.database.read() as conn:
            assert len(deletions.all_deletions(conn)) == 2
        assert [one.result for one in await here.run()] == [Result.PRESENT]
        (again,) = await here.run(delete=True)
        assert again.result is Result.FAILED and "the carrier reports 14 s" in again.detail
        assert broken.status == "completed"
        # Reconciliation neither misses them nor takes them for calls of its own.
        inventory = CarrierList(
            installation.database, installation.publisher, here.client, installation.clock
        )
        review = await asyncio.to_thread(inventory.review, 40)
    assert (review.taken_in, review.not_there) == ([], [])


async def test_requested_wait_is_kept(installation: Installation) -> None:
    async with history(installation, 1) as here:
        answers = iter([429, None, 503])
        here.state.outage = lambda: next(answers, None)
        assert [one.result for one in await here.run(days=3)] == [Result.IMPORTED]
    assert len(here.waits) == 2 and here.waits[0][0] >= 1.0 and "429" in here.waits[0][1]


async def test_one_bad_recording_does_not_stop_the_rest(installation: Installation) -> None:
    async with history(installation, 3) as here:
        gone, cut, encrypted = here.state.recordings.values()
        gone.faults.add([Fault("media-404", 1)], ["media-404"])
        cut.faults.add([Fault("media-truncated", ATTEMPTS * 2)], ["media-truncated"])
        encrypted.status = "absent"
        found = await here.run()
    assert [one.result for one in found] == [Result.FAILED, Result.FAILED, Result.ABSENT]
    assert "404" in found[0].detail and "broke" in found[1].detail
    assert imported(installation) == []


async def test_failing_carrier_stops_the_import(installation: Installation) -> None:
    async with history(installation, FAILURES_IN_A_ROW + 1) as here:
        for recording in here.state.recordings.values():
            recording.faults.add([Fault("media-500", ATTEMPTS)], ["media-500"])
        with pytest.raises(ImportStoppedError, match="repeat the command to continue"):
            await here.run()
        here.state.outage = lambda: 401
        with pytest.raises(Exception, match="401"):
            await here.run()


async def test_full_disk_stops_the_import(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(key: str) -> BlobInfo:
        raise StoreError(f"{key} cannot be stored: No space left on device")

    monkeypatch.setattr(installation.blobs, "commit_part", full)
    async with history(installation, FAILURES_IN_A_ROW + 1) as here:
        with pytest.raises(ImportStoppedError, match="No space left"):
            await here.run()


async def test_call_erased_during_its_download_leaves_no_file(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with history(installation, 1) as here:
        (recording,) = here.state.recordings.values()
        call_id = call_id_of(LegSid(recording.call_sid))
        commit = installation.blobs.commit_part

        def erased_meanwhile(key: str) -> BlobInfo:
            with installation.database.write() as conn:
                erasures.begin(conn, ErasureRow(call_id, "ada", NOON, {}))
            return commit(key)

        monkeypatch.setattr(installation.blobs, "commit_part", erased_meanwhile)
        assert [one.result for one in await here.run()] == [Result.ERASED]
    assert list(installation.blobs.root.rglob("*.wav")) == []


async def test_recordings_of_own_calls_are_left_alone(installation: Installation) -> None:
    a_call(installation)
    async with history(installation, 1) as here:
        (recording,) = here.state.recordings.values()
        recording.call_sid = leg(1)
        assert [one.result for one in await here.run()] == [Result.OWN]
    assert len(imported(installation)) == 1
