"""Calls among several processes: who looks after one, and how it changes hands. Each live side here is a process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from callreel.carrier.webhooks import CallProgress
from callreel.domain.call import CallState, Role
from callreel.domain.ids import CallId, LegSid
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.domain.transcript import TranscriptKind
from callreel.services.callbacks import CallbackIntake
from callreel.services.custody import Custody
from callreel.services.group_commit import GroupCommit
from callreel.store import calls, layers, streams, transcripts
from callreel.store.growing_wav import GrowingWav
from callreel.store.streams import EndedBy
from tests.services.ground import ACCOUNT, PROCESS, Ground, LiveSide, eventually, leg, live_side, speech
from tests.services.test_lane import layer
from tests.services.test_live_calls import AGENT, CALL, TECHNICIAN, has_transcript, joined, play, sid, tokens
from tests.services.test_recovery import recovery


@asynccontextmanager
async def two_processes(
    ground: Ground, *, other_root: Path | None = None, told: bool = True
) -> AsyncIterator[tuple[LiveSide, LiveSide]]:
    """`told`: whether the word that a call was taken arrives."""
    async with live_side(ground, process="one") as one:
        hear = one.calls.taken_elsewhere if told else lambda call_id: None
        async with live_side(ground, process="two", root=other_root, taken=hear) as two:
            yield one, two


def agent_files(ground: Ground) -> list[LayerFile]:
    with ground.database.read() as conn:
        found = layers.of_call(conn, CALL)
    return [file for file in found if (file.layer, file.role) == (Layer.LIVE_8K, Role.AGENT)]


def owner(ground: Ground) -> str | None:
    return ground.call(CALL).owner


def leg_over(ground: Ground) -> None:
    """The callback was taken by a process which then died, before it told anybody."""
    intake = CallbackIntake(
        ground.clock,
        recording_changed=lambda: None,
        leg_ended=lambda call_id: None,
        stream_ended=lambda sid: None,
    )
    ended = CallProgress(leg(1), ACCOUNT, None, "completed", 3, 1, None, None)
    GroupCommit(ground.database, ground.announcer).do(lambda conn: intake.call(conn, ended, {}))


def test_a_call_belongs_to_who_answered_and_then_to_who_has_its_socket(ground: Ground) -> None:
    (token,) = tokens(ground)
    assert owner(ground) == PROCESS

    async def scene() -> None:
        async with live_side(ground, process="one") as one:
            stream = await joined(one, token)
            assert owner(ground) == "one"
            with ground.database.read() as conn:
                assert [row.owner for row in streams.of_call(conn, CALL)] == ["one"]
                assert layers.owners_of_growing(conn) == {"one"}
            await one.calls.close_stream(stream, EndedBy.STOP)

    asyncio.run(scene())


def test_only_the_owner_ends_a_call(ground: Ground) -> None:
    tokens(ground)
    stranger, here = (Custody(ground.database, ground.clock, name) for name in ("stranger", PROCESS))
    with ground.database.write() as conn:
        assert stranger.end(conn, CALL, ground.clock.now()) is None
        assert calls.get(conn, CALL) == ground.call(CALL)
        assert here.end(conn, CALL, ground.clock.now()) is not None
        assert here.end(conn, CALL, ground.clock.now()) is None
    assert ground.call(CALL).state is CallState.ENDED


def test_what_the_carrier_told_another_process_in_vain_is_found_in_the_rows(ground: Ground) -> None:
    (token,) = tokens(ground)

    async def scene() -> None:
        async with live_side(ground, process="one") as one:
            stream = await joined(one, token)
            leg_over(ground)
            await one.calls.look()
            await eventually(stream.ended.is_set)
            await one.calls.close_stream(stream, EndedBy.STATUS)
            await eventually(lambda: ground.call(CALL).state is CallState.ENDED)

    asyncio.run(scene())


def test_a_call_without_a_socket_ends_with_its_leg_although_nobody_told_its_owner(ground: Ground) -> None:
    tokens(ground)
    leg_over(ground)

    async def scene() -> None:
        async with live_side(ground, process="another") as another, live_side(ground) as here:
            await another.calls.look()
            another.calls.leg_ended(CALL)
            await here.calls.look()
            await eventually(lambda: here.ended == [CALL])
            assert another.ended == []

    asyncio.run(scene())
    assert ground.call(CALL).state is CallState.ENDED


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
def test_a_stream_that_lands_on_another_process_continues_the_file(ground: Ground, told: bool) -> None:
    first, second = tokens(ground, 2)
    before, after = speech(1_000, seed=1), speech(800, seed=2)

    async def scene() -> None:
        async with two_processes(ground, told=told) as (one, two):
            old = await joined(one, first)
            play(old, AGENT, before)
            arriving = asyncio.create_task(joined(two, second, number=2))
            if not told:
                await eventually(lambda: owner(ground) == "two")
                ground.clock.step(5)
                await one.calls.look()
            new = await arriving
            assert old.ended.is_set() and one.calls.count == 0
            play(new, AGENT, after)
            play(new, TECHNICIAN, after)
            await two.calls.close_stream(new, EndedBy.STOP)
            one.calls.leg_ended(CALL)
            two.calls.leg_ended(CALL)
            await eventually(lambda: has_transcript(ground))
            assert (one.ended, two.ended) == ([], [CALL])

    asyncio.run(scene())
    [file] = agent_files(ground)
    heard = layer(ground.blobs.path(file.path), 8_000)
    assert np.array_equal(heard[: before.size], before)
    assert np.array_equal(heard[-after.size :], after)
    assert file.state is LayerState.CLOSED
    with ground.database.read() as conn:
        rows = streams.of_call(conn, CALL)
        kept = transcripts.latest(conn, CALL, TranscriptKind.LIVE)
    assert [(row.sid, row.owner, row.ended_by) for row in rows] == [
        (sid(1), "one", EndedBy.SOCKET), (sid(2), "two", EndedBy.STOP),
    ]  # fmt: skip
    assert 1_000 <= rows[1].origin_ms < 2_000, (
        "it lies where it arrived, however long the other took to let go"
    )
    assert kept is not None and {turn.role for turn in kept.turns} == {Role.AGENT, Role.TECHNICIAN}
    assert len([turn for turn in kept.turns if turn.role is Role.AGENT]) >= 1


def test_a_call_comes_back_to_the_process_that_had_it(ground: Ground) -> None:
    first, second, third = tokens(ground, 3)
    parts = [speech(400, seed=seed) for seed in (1, 2, 3)]

    async def scene() -> None:
        async with two_processes(ground, told=True) as (one, two):
            play(await joined(one, first), AGENT, parts[0])
            play(await joined(two, second, number=2), AGENT, parts[1])
            back = asyncio.create_task(joined(one, third, number=3))
            await eventually(lambda: owner(ground) == "one")
            await two.calls.look()
            play(await back, AGENT, parts[2])

    asyncio.run(scene())
    [file] = agent_files(ground)
    heard = layer(ground.blobs.path(file.path), 8_000)
    at = [row.origin_ms * 8 for row in stream_rows(ground)]
    for origin, part in zip(at, parts, strict=True):
        assert np.array_equal(heard[origin : origin + part.size], part)


def stream_rows(ground: Ground) -> list[streams.StreamRow]:
    with ground.database.read() as conn:
        return streams.of_call(conn, CALL)


def test_where_the_files_are_not_at_hand_the_call_goes_on_in_others(ground: Ground, tmp_path: Path) -> None:
    first, second = tokens(ground, 2)
    before, after = speech(1_000, seed=1), speech(800, seed=2)

    async def scene() -> None:
        async with two_processes(ground, other_root=tmp_path) as (one, two):
            play(await joined(one, first), AGENT, before)
            play(await joined(two, second, number=2), AGENT, after)

    asyncio.run(scene())
    one_file, two_file = agent_files(ground)
    heard = layer(ground.blobs.path(one_file.path), 8_000)
    assert np.array_equal(heard, before), "what the first process has is as it was"
    rest = layer(tmp_path / two_file.path, 8_000)
    origin = stream_rows(ground)[1].origin_ms * 8
    assert origin >= before.size
    assert not rest[:origin].any() and np.array_equal(rest[origin:], after)


def test_a_file_that_is_still_written_is_never_continued(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process before neither lets go nor dies: it is stopped, say. Its lock holds."""
    monkeypatch.setattr("callreel.services.handover.LET_GO_S", 0.2)
    first, second = tokens(ground, 2)

    async def scene() -> None:
        async with live_side(ground, process="one") as one:
            play(await joined(one, first), AGENT, speech(400))
            [file] = agent_files(ground)
        with ground.database.write() as conn:
            conn.exec_driver_sql("UPDATE streams SET ended_by = NULL")
        with GrowingWav.open(ground.blobs.path(file.path), 8_000):
            async with live_side(ground, process="two") as two:
                play(await joined(two, second, number=2), AGENT, speech(400))

    asyncio.run(scene())
    assert len(agent_files(ground)) == 2


def test_calls_of_the_living_are_left_alone(ground: Ground) -> None:
    (token,) = tokens(ground)

    async def scene() -> None:
        async with live_side(ground, process="one") as one:
            stream = await joined(one, token)
            play(stream, AGENT, speech(400))
            peer = recovery(ground, alone=False, alive=frozenset({"one"}))
            assert (peer.close_files(), peer.close_calls()) == (0, 0)
            assert ground.call(CALL).state is CallState.LIVE
            judged_dead = recovery(ground, alone=False)
            assert judged_dead.close_files() == 0, "its lock says that it writes"

    asyncio.run(scene())


def test_a_peer_ends_the_calls_of_the_dead_whose_files_are_not_at_hand(
    ground: Ground, tmp_path: Path
) -> None:
    (token,) = tokens(ground)

    async def scene() -> None:
        async with live_side(ground, process="one", root=tmp_path) as one:
            play(await joined(one, token), AGENT, speech(400))

    asyncio.run(scene())
    with ground.database.write() as conn:
        conn.exec_driver_sql("UPDATE streams SET ended_by = NULL")
        conn.exec_driver_sql("UPDATE layers SET state = 'recording', sha256 = NULL")
    peer = recovery(ground, alone=False)
    assert peer.close_files() == 0
    assert peer.close_calls() == 0, "a process of its machine may close its files first"
    ground.clock.step(10)
    assert peer.close_calls() == 1
    assert ground.call(CALL).state is CallState.ENDED
    assert stream_rows(ground)[0].ended_by is EndedBy.SERVER
    assert {file.state for file in agent_files(ground)} == {LayerState.RECORDING}, "its machine may come back"
    with ground.database.read() as conn:
        assert transcripts.latest(conn, CALL, TranscriptKind.LIVE) is not None
        assert calls.without_live_transcript(conn) == []
    assert peer.close_calls() == 0


def test_a_server_that_stops_hands_its_calls_over(ground: Ground) -> None:
    """It asks for a stream that the load balancer sends elsewhere, and no peer ends the call in the meantime."""
    first, second = tokens(ground, 2)
    before, after = speech(600, seed=1), speech(400, seed=2)
    asked: list[tuple[CallId, LegSid]] = []

    def ask(call_id: CallId, leg_sid: LegSid) -> bool:
        asked.append((call_id, leg_sid))
        return True

    async def scene() -> None:
        async with live_side(
            ground, process="one", hand_over=True, stop_linger_s=0.0, ask_for_stream=ask
        ) as one:
            play(await joined(one, first), AGENT, before)
        assert asked == [(CALL, leg(1))]
        assert ground.call(CALL).state is CallState.LIVE
        peer = recovery(ground, alone=False)
        assert peer.close_calls() == 0, "its socket is on its way"
        async with live_side(ground, process="two") as two:
            play(await joined(two, second, number=2), AGENT, after)

    asyncio.run(scene())
    heard = layer(ground.blobs.path(agent_files(ground)[0].path), 8_000)
    assert np.array_equal(heard[: before.size], before) and np.array_equal(heard[-after.size :], after)
    assert owner(ground) == "two"


def test_a_call_that_nobody_took_over_is_ended_by_a_peer(ground: Ground) -> None:
    (first,) = tokens(ground)

    async def scene() -> None:
        async with live_side(
            ground, process="one", hand_over=True, ask_for_stream=lambda call_id, sid: False
        ) as one:
            play(await joined(one, first), AGENT, speech(400))

    asyncio.run(scene())
    assert ground.call(CALL).state is CallState.LIVE
    assert recovery(ground, alone=False).close_calls() == 1
    assert ground.call(CALL).state is CallState.ENDED
