"""Call ownership among several processes, and its handover. Each live side here is a process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from callreel.domain.call import CallState, Role
from callreel.domain.ids import CallId, LegSid
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.domain.transcript import TranscriptKind
from callreel.ingest.call_ownership import end_call
from callreel.ingest.callback_intake import CallbackIntake
from callreel.store.calls import calls, layers, streams
from callreel.store.calls.streams import EndedBy
from callreel.store.files.growing_wav import GrowingWav
from callreel.store.transcripts import transcripts
from callreel.twilio.webhooks import CallProgress
from tests.support.installation import (
    ACCOUNT,
    PROCESS,
    Installation,
    LiveSide,
    eventually,
    leg,
    live_side,
    speech,
)
from tests.support.streams import (
    AGENT,
    CALL,
    TECHNICIAN,
    has_transcript,
    joined,
    layer,
    play,
    recovery,
    sid,
    tokens,
)


@asynccontextmanager
async def two_processes(
    installation: Installation, *, other_root: Path | None = None, notified: bool = True
) -> AsyncIterator[tuple[LiveSide, LiveSide]]:
    """`notified`: whether the notification that a call was taken arrives."""
    async with live_side(installation, process="one") as one:
        notify = one.ownership.taken_elsewhere if notified else lambda call_id: None
        async with live_side(installation, process="two", root=other_root, announce_taken=notify) as two:
            yield one, two


def agent_files(installation: Installation) -> list[LayerFile]:
    with installation.database.read() as conn:
        found = layers.of_call(conn, CALL)
    return [file for file in found if (file.layer, file.role) == (Layer.LIVE_8K, Role.AGENT)]


def owner(installation: Installation) -> str | None:
    return installation.call(CALL).owner


def leg_over(installation: Installation) -> None:
    """The callback was taken by a process which then died, before it notified the others."""
    intake = CallbackIntake(
        installation.clock,
        recording_changed=lambda: None,
        leg_ended=lambda call_id: None,
        stream_ended=lambda sid: None,
    )
    ended = CallProgress(leg(1), ACCOUNT, None, "completed", 3, 1, None, None)
    installation.commits.commit_blocking(lambda conn: intake.call(conn, ended, {}))


async def test_process_with_the_socket_owns_the_call(
    installation: Installation,
) -> None:
    (token,) = tokens(installation)
    assert owner(installation) == PROCESS

    async with live_side(installation, process="one") as one:
        stream = await joined(one, token)
        assert owner(installation) == "one"
        with installation.database.read() as conn:
            assert [row.owner for row in streams.of_call(conn, CALL)] == ["one"]
            assert layers.owners_of_growing(conn) == {"one"}
        await stream.close(EndedBy.STOP)


def test_only_the_owner_ends_a_call(installation: Installation) -> None:
    tokens(installation)
    now = installation.clock.now()
    with installation.database.write() as conn:
        assert end_call(conn, CALL, now, owner="stranger") is None
        assert calls.get(conn, CALL) == installation.call(CALL)
        assert end_call(conn, CALL, now, owner=PROCESS) is not None
        assert end_call(conn, CALL, now, owner=PROCESS) is None
    assert installation.call(CALL).state is CallState.ENDED


async def test_owner_finds_a_lost_notification_in_the_rows(
    installation: Installation,
) -> None:
    (token,) = tokens(installation)

    async with live_side(installation, process="one") as one:
        stream = await joined(one, token)
        leg_over(installation)
        await one.ownership.reconcile()
        await eventually(stream.end_requested.is_set)
        await stream.close(EndedBy.STATUS)
        await eventually(lambda: installation.call(CALL).state is CallState.ENDED)


async def test_call_without_a_socket_ends_without_a_notification(
    installation: Installation,
) -> None:
    tokens(installation)
    leg_over(installation)

    async with live_side(installation, process="another") as another, live_side(installation) as here:
        await another.ownership.reconcile()
        another.ownership.leg_ended(CALL)
        await here.ownership.reconcile()
        await eventually(lambda: here.ended == [CALL])
        assert another.ended == []

    assert installation.call(CALL).state is CallState.ENDED


@pytest.mark.parametrize("notified", [True, False], ids=["notified", "not notified"])
async def test_stream_on_another_process_continues_the_file(
    installation: Installation, notified: bool
) -> None:
    first, second = tokens(installation, 2)
    before, after = speech(1_000, seed=1), speech(800, seed=2)

    async with two_processes(installation, notified=notified) as (one, two):
        old = await joined(one, first)
        play(old, AGENT, before)
        arriving = asyncio.create_task(joined(two, second, number=2))
        if not notified:
            await eventually(lambda: owner(installation) == "two")
            installation.clock.step(5)
            await one.ownership.reconcile()
        new = await arriving
        assert old.end_requested.is_set() and one.registry.count == 0
        play(new, AGENT, after)
        play(new, TECHNICIAN, after)
        await new.close(EndedBy.STOP)
        one.ownership.leg_ended(CALL)
        two.ownership.leg_ended(CALL)
        await eventually(lambda: has_transcript(installation))
        assert (one.ended, two.ended) == ([], [CALL])

    [file] = agent_files(installation)
    captured = layer(installation.blobs.path(file.path), 8_000)
    assert np.array_equal(captured[: before.size], before)
    assert np.array_equal(captured[-after.size :], after)
    assert file.state is LayerState.CLOSED
    with installation.database.read() as conn:
        rows = streams.of_call(conn, CALL)
        kept = transcripts.latest(conn, CALL, TranscriptKind.LIVE)
    assert [(row.sid, row.owner, row.ended_by) for row in rows] == [
        (sid(1), "one", EndedBy.SOCKET), (sid(2), "two", EndedBy.STOP),
    ]  # fmt: skip
    assert 1_000 <= rows[1].origin_ms < 2_000, (
        "it lies where it arrived, however long the other took to close it"
    )
    assert kept is not None and {turn.role for turn in kept.turns} == {Role.AGENT, Role.TECHNICIAN}
    assert len([turn for turn in kept.turns if turn.role is Role.AGENT]) >= 1


async def test_call_returns_to_its_earlier_process(installation: Installation) -> None:
    first, second, third = tokens(installation, 3)
    parts = [speech(400, seed=seed) for seed in (1, 2, 3)]

    async with two_processes(installation, notified=True) as (one, two):
        play(await joined(one, first), AGENT, parts[0])
        play(await joined(two, second, number=2), AGENT, parts[1])
        back = asyncio.create_task(joined(one, third, number=3))
        await eventually(lambda: owner(installation) == "one")
        await two.ownership.reconcile()
        play(await back, AGENT, parts[2])

    [file] = agent_files(installation)
    captured = layer(installation.blobs.path(file.path), 8_000)
    at = [row.origin_ms * 8 for row in stream_rows(installation)]
    for origin, part in zip(at, parts, strict=True):
        assert np.array_equal(captured[origin : origin + part.size], part)


def stream_rows(installation: Installation) -> list[streams.StreamRow]:
    with installation.database.read() as conn:
        return streams.of_call(conn, CALL)


async def test_call_continues_in_new_files_on_another_machine(
    installation: Installation, tmp_path: Path
) -> None:
    first, second = tokens(installation, 2)
    before, after = speech(1_000, seed=1), speech(800, seed=2)

    async with two_processes(installation, other_root=tmp_path) as (one, two):
        play(await joined(one, first), AGENT, before)
        play(await joined(two, second, number=2), AGENT, after)

    one_file, two_file = agent_files(installation)
    captured = layer(installation.blobs.path(one_file.path), 8_000)
    assert np.array_equal(captured, before), "what the first process has is as it was"
    rest = layer(tmp_path / two_file.path, 8_000)
    origin = stream_rows(installation)[1].origin_ms * 8
    assert origin >= before.size
    assert not rest[:origin].any() and np.array_equal(rest[origin:], after)


async def test_file_that_is_still_written_is_never_continued(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The previous process neither closes the file nor dies: it is suspended, say. Its lock holds."""
    monkeypatch.setattr("callreel.ingest.handover.RELEASE_WAIT_S", 0.2)
    first, second = tokens(installation, 2)

    async with live_side(installation, process="one") as one:
        play(await joined(one, first), AGENT, speech(400))
        [file] = agent_files(installation)
    with installation.database.write() as conn:
        conn.exec_driver_sql("UPDATE streams SET ended_by = NULL")
    with GrowingWav.open(installation.blobs.path(file.path), 8_000):
        async with live_side(installation, process="two") as two:
            play(await joined(two, second, number=2), AGENT, speech(400))

    assert len(agent_files(installation)) == 2


async def test_recovery_leaves_calls_of_live_processes_alone(installation: Installation) -> None:
    (token,) = tokens(installation)

    async with live_side(installation, process="one") as one:
        stream = await joined(one, token)
        play(stream, AGENT, speech(400))
        peer = recovery(installation, single_machine=False, alive=frozenset({"one"}))
        assert (peer.close_files(), peer.close_calls()) == (0, 0)
        assert installation.call(CALL).state is CallState.LIVE
        judged_dead = recovery(installation, single_machine=False)
        assert judged_dead.close_files() == 0, "its lock says that it writes"


async def test_peer_ends_calls_of_a_dead_process_on_another_machine(
    installation: Installation, tmp_path: Path
) -> None:
    (token,) = tokens(installation)

    async with live_side(installation, process="one", root=tmp_path) as one:
        play(await joined(one, token), AGENT, speech(400))

    with installation.database.write() as conn:
        conn.exec_driver_sql("UPDATE streams SET ended_by = NULL")
        conn.exec_driver_sql("UPDATE layers SET state = 'recording', sha256 = NULL")
    peer = recovery(installation, single_machine=False)
    assert peer.close_files() == 0
    assert peer.close_calls() == 0, "a process of its machine may close its files first"
    installation.clock.step(10)
    assert peer.close_calls() == 1
    assert installation.call(CALL).state is CallState.ENDED
    assert stream_rows(installation)[0].ended_by is EndedBy.SERVER
    assert {file.state for file in agent_files(installation)} == {LayerState.RECORDING}, (
        "its machine may come back"
    )
    with installation.database.read() as conn:
        assert transcripts.latest(conn, CALL, TranscriptKind.LIVE) is not None
        assert calls.without_live_transcript(conn) == []
    assert peer.close_calls() == 0


async def test_stopping_server_hands_its_calls_over(installation: Installation) -> None:
    """It requests a stream that the load balancer sends elsewhere, and no peer ends the call in the meantime."""
    first, second = tokens(installation, 2)
    before, after = speech(600, seed=1), speech(400, seed=2)
    asked: list[tuple[CallId, LegSid]] = []

    def ask(call_id: CallId, leg_sid: LegSid) -> bool:
        asked.append((call_id, leg_sid))
        return True

    async with live_side(
        installation, process="one", hand_over=True, stop_linger_s=0.0, request_stream=ask
    ) as one:
        play(await joined(one, first), AGENT, before)
    assert asked == [(CALL, leg(1))]
    assert installation.call(CALL).state is CallState.LIVE
    peer = recovery(installation, single_machine=False)
    assert peer.close_calls() == 0, "its socket is on its way"
    async with live_side(installation, process="two") as two:
        play(await joined(two, second, number=2), AGENT, after)

    captured = layer(installation.blobs.path(agent_files(installation)[0].path), 8_000)
    assert np.array_equal(captured[: before.size], before) and np.array_equal(captured[-after.size :], after)
    assert owner(installation) == "two"


async def test_call_that_no_process_took_over_is_ended_by_a_peer(installation: Installation) -> None:
    (first,) = tokens(installation)

    async with live_side(
        installation, process="one", hand_over=True, request_stream=lambda call_id, sid: False
    ) as one:
        play(await joined(one, first), AGENT, speech(400))

    assert installation.call(CALL).state is CallState.LIVE
    assert recovery(installation, single_machine=False).close_calls() == 1
    assert installation.call(CALL).state is CallState.ENDED
