import asyncio
from pathlib import Path

import numpy as np
import pytest

from callreel.domain.call import CallState, Role, Track
from callreel.domain.events import EventKind
from callreel.domain.ids import CallId, LegSid, StreamSid
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.domain.transcript import TranscriptKind
from callreel.ingest.live_calls import LiveStream
from callreel.simulator.calls.stream_sender import StreamSender
from callreel.store.calls import facts, layers, streams
from callreel.store.calls.streams import EndedBy, StreamRow
from callreel.store.transcripts import transcripts
from callreel.twilio.stream import Frame, Started, StreamReceiver
from tests.ingest.test_lane import layer
from tests.support.installation import (
    ACCOUNT,
    FRAME_MS,
    Installation,
    LiveSide,
    QuickHost,
    Samples,
    answering,
    eventually,
    frames,
    leg,
    live_side,
    silence,
    speech,
    token_in,
    voice_request,
)

CALL = CallId("000000000001")
AGENT, TECHNICIAN = Track.INBOUND, Track.OUTBOUND
BOTH = (Track.INBOUND, Track.OUTBOUND)


def sid(number: int) -> StreamSid:
    return StreamSid(f"MZ{number:032x}")


def started(
    token: str, *, number: int = 1, of: LegSid | None = None, tracks: tuple[Track, ...] = BOTH
) -> Started:
    """What our receiver makes of the carrier's `start`."""
    receiver, sender = StreamReceiver(), StreamSender(sid(number), of or leg(1), ACCOUNT)
    receiver.receive(sender.connected())
    event = receiver.receive(sender.start(tracks, {"token": token} if token else {}))
    assert isinstance(event, Started)
    return event


async def joined(
    live: LiveSide, token: str, *, number: int = 1, tracks: tuple[Track, ...] = BOTH
) -> LiveStream:
    stream = await live.calls.open_stream(started(token, number=number, tracks=tracks))
    assert stream is not None
    return stream


def play(stream: LiveStream, track: Track, samples: Samples) -> None:
    for timestamp_ms, payload in frames(samples):
        stream.place([Frame(track, timestamp_ms, payload)])


def tokens(installation: Installation, count: int = 1, *, from_: str = "client:ada") -> list[str]:
    """So many tokens of call 000000000001 on leg 1."""
    service = answering(installation)
    return [token_in(service.answer(voice_request(from_=from_))) for _ in range(count)]


def files(installation: Installation) -> dict[tuple[Layer, Role | None], LayerFile]:
    with installation.database.read() as conn:
        return {(file.layer, file.role): file for file in layers.of_call(conn, CALL)}


def rows(installation: Installation) -> list[StreamRow]:
    with installation.database.read() as conn:
        return streams.of_call(conn, CALL)


def layer_1(installation: Installation, role: Role) -> Samples:
    return layer(installation.blobs.root / files(installation)[Layer.LIVE_8K, role].path, 8_000)


def has_transcript(installation: Installation) -> bool:
    with installation.database.read() as conn:
        return transcripts.latest(conn, CALL, TranscriptKind.LIVE) is not None


def test_token_admits_once(installation: Installation) -> None:
    (token,) = tokens(installation)

    async def scene() -> None:
        async with live_side(installation) as live:
            assert await live.calls.open_stream(started(token)) is not None
            assert await live.calls.open_stream(started(token, number=2)) is None
            assert live.calls.count == 1

    asyncio.run(scene())
    assert [row.sid for row in rows(installation)] == [sid(1)]


def test_of_two_sockets_with_one_token_one_gets_in(installation: Installation) -> None:
    (token,) = tokens(installation)

    async def scene() -> list[LiveStream | None]:
        async with live_side(installation) as live:
            asked = (live.calls.open_stream(started(token, number=number)) for number in (1, 2))
            return await asyncio.gather(*asked)

    assert [stream is None for stream in asyncio.run(scene())].count(True) == 1


@pytest.mark.parametrize("case", ["none", "wrong", "another leg's", "expired"])
def test_token_that_does_not_admit(installation: Installation, case: str) -> None:
    (token,) = tokens(installation)
    given = {"none": "", "wrong": "guess"}.get(case, token)
    of = leg(2) if case == "another leg's" else leg(1)
    if case == "expired":
        installation.clock.step(300)

    async def scene() -> None:
        async with live_side(installation) as live:
            assert await live.calls.open_stream(started(given, of=of)) is None
            assert live.calls.count == 0

    asyncio.run(scene())
    assert rows(installation) == [] and not (installation.blobs.root / "audio_recordings").exists()


def test_both_tracks_become_layers_of_the_right_roles(installation: Installation) -> None:
    (token,) = tokens(installation)
    agent, technician = speech(1_210), speech(990, seed=2)

    async def scene() -> None:
        async with live_side(installation) as live:
            stream = await joined(live, token)
            growing = files(installation)
            assert {file.state for file in growing.values()} == {LayerState.RECORDING}
            assert all(file.sha256 is None for file in growing.values())
            play(stream, AGENT, agent)
            play(stream, TECHNICIAN, technician)
            await live.calls.close_stream(stream, EndedBy.STOP)

    asyncio.run(scene())
    assert np.array_equal(layer_1(installation, Role.AGENT), agent)
    assert np.array_equal(layer_1(installation, Role.TECHNICIAN), technician)
    kept = files(installation)
    assert set(kept) == {(made, role) for made in (Layer.LIVE_8K, Layer.LIVE_16K) for role in Role}
    file = kept[Layer.LIVE_8K, Role.AGENT]
    assert file.path == f"audio_recordings/agent_{CALL}_20261122T120000Z_8000Hz.wav"
    assert (file.state, file.duration_ms, file.size_bytes) == (LayerState.CLOSED, 1_210, 44 + 1_210 * 16)
    for file in kept.values():
        assert file.sha256 == installation.blobs.digest(file.path)
    (row,) = rows(installation)
    assert (row.leg_sid, row.origin_ms, row.ended_by) == (leg(1), 0, EndedBy.STOP)
    assert {role: count["frames"] for role, count in row.counts.items() if isinstance(count, dict)} == {
        "agent": 61,
        "technician": 50,
    }
    assert [
        (e.data["layer"], e.data["state"]) for e in installation.heard if e.kind is EventKind.LAYER
    ].count(("live_8k", "closed")) == 2


def test_incoming_call_has_the_caller_on_the_inbound_track(installation: Installation) -> None:
    (token,) = tokens(installation, from_="+4989123456")
    caller = speech(400)

    async def scene() -> None:
        async with live_side(installation) as live:
            stream = await joined(live, token)
            play(stream, Track.INBOUND, caller)
            await live.calls.close_stream(stream, EndedBy.STOP)

    asyncio.run(scene())
    assert np.array_equal(layer_1(installation, Role.TECHNICIAN), caller)
    assert layer_1(installation, Role.AGENT).size == 0


def test_second_stream_continues_the_call(installation: Installation) -> None:
    first_token, second_token = tokens(installation, 2)
    before, after = speech(1_000), speech(600, seed=2)

    async def scene() -> None:
        async with live_side(installation) as live:
            stream = await joined(live, first_token)
            play(stream, AGENT, before)
            installation.clock.step(1.0)
            await live.calls.close_stream(stream, EndedBy.SOCKET)
            assert {file.state for file in files(installation).values()} == {LayerState.CLOSED}
            installation.clock.step(2.5)
            stream = await joined(live, second_token, number=2)
            assert live.calls.count == 1
            assert {file.state for file in files(installation).values()} == {LayerState.RECORDING}
            play(stream, AGENT, after)
            await live.calls.close_stream(stream, EndedBy.STOP)
            assert installation.call(CALL).state is CallState.LIVE

    asyncio.run(scene())
    assert np.array_equal(layer_1(installation, Role.AGENT), np.concatenate([before, silence(2_500), after]))
    assert layer_1(installation, Role.TECHNICIAN).size == 3_500 * 8
    assert [(row.sid, row.origin_ms, row.ended_by) for row in rows(installation)] == [
        (sid(1), 0, EndedBy.SOCKET),
        (sid(2), 3_500, EndedBy.STOP),
    ]


def test_orderly_stop_ends_the_call_after_its_linger(installation: Installation) -> None:
    (token,) = tokens(installation)

    async def scene() -> None:
        async with live_side(installation, stop_linger_s=0.01) as live:
            stream = await joined(live, token)
            play(stream, AGENT, np.concatenate([speech(800), silence(700)]))
            installation.clock.step(1.5)
            await live.calls.close_stream(stream, EndedBy.STOP)
            await eventually(lambda: has_transcript(installation))
            assert live.ended == [CALL] and live.calls.count == 0

    asyncio.run(scene())
    call = installation.call(CALL)
    assert call.state is CallState.ENDED and call.ended_at == installation.clock.now()
    states = [event.data["state"] for event in installation.stored_events() if "state" in event.data]
    assert states[0] == "live" and states[-1] == "ended"


def test_cut_socket_lingers_longer(installation: Installation) -> None:
    (token,) = tokens(installation)

    async def scene() -> None:
        async with live_side(installation, stop_linger_s=0.0, cut_linger_s=30) as live:
            await live.calls.close_stream(await joined(live, token), EndedBy.SOCKET)
            await asyncio.wait_for(live.transcription.finish_call(CALL), 5)  # any amount of turns of the loop
            assert live.calls.count == 1
            assert installation.call(CALL).state is CallState.LIVE

    asyncio.run(scene())


def test_cut_socket_asks_for_a_new_stream_and_an_orderly_stop_does_not(installation: Installation) -> None:
    first, second = tokens(installation, 2)
    asked: list[tuple[CallId, LegSid]] = []

    def ask(call_id: CallId, leg_sid: LegSid) -> bool:
        asked.append((call_id, leg_sid))
        return True

    async def scene() -> None:
        async with live_side(installation, ask_for_stream=ask) as live:
            await live.calls.close_stream(await joined(live, first), EndedBy.SOCKET)
            await eventually(lambda: asked)
            await live.calls.close_stream(await joined(live, second, number=2), EndedBy.STOP)

    asyncio.run(scene())
    assert asked == [(CALL, leg(1))]


def test_end_of_the_leg_ends_the_call_at_once(installation: Installation) -> None:
    (token,) = tokens(installation)

    async def scene() -> None:
        async with live_side(installation) as live:
            await live.calls.close_stream(await joined(live, token), EndedBy.STOP)
            await asyncio.to_thread(live.calls.leg_ended, CALL)  # as the callback's thread does
            await eventually(lambda: has_transcript(installation))
            assert live.ended == [CALL]

    asyncio.run(scene())
    assert installation.call(CALL).state is CallState.ENDED


def test_end_of_the_leg_before_the_socket_ends(installation: Installation) -> None:
    """The carrier's word comes first; the socket gets a moment for what is under way, then is told to end."""
    (token,) = tokens(installation)
    said = speech(600)

    async def scene() -> None:
        async with live_side(installation) as live:
            stream = await joined(live, token)
            live.calls.leg_ended(CALL)
            await eventually(stream.ended.is_set)
            assert installation.call(CALL).state is CallState.LIVE
            play(stream, AGENT, said)
            await live.calls.close_stream(stream, EndedBy.STATUS)
            await eventually(lambda: has_transcript(installation))

    asyncio.run(scene())
    assert installation.call(CALL).state is CallState.ENDED
    assert np.array_equal(layer_1(installation, Role.AGENT), said)


def test_word_that_the_stream_stopped_ends_a_socket_that_hangs_on(installation: Installation) -> None:
    (token,) = tokens(installation)

    async def scene() -> None:
        async with live_side(installation) as live:
            stream = await joined(live, token)
            await asyncio.to_thread(live.calls.stream_ended, sid(2))
            await asyncio.to_thread(live.calls.stream_ended, sid(1))
            await eventually(stream.ended.is_set)

    asyncio.run(scene())


def test_call_whose_socket_never_came_ends_with_its_leg(installation: Installation) -> None:
    tokens(installation)

    async def scene() -> None:
        async with live_side(installation) as live:
            for _ in range(2):
                live.calls.leg_ended(CALL)
            await eventually(lambda: has_transcript(installation))
            await eventually(lambda: len(live.ended) == 1)

    asyncio.run(scene())
    assert installation.call(CALL).state is CallState.ENDED
    ended = [event for event in installation.stored_events() if event.data.get("state") == "ended"]
    assert len(ended) == 1


def test_frames_of_a_track_that_start_did_not_name_are_counted(installation: Installation) -> None:
    (token,) = tokens(installation)

    async def scene() -> None:
        async with live_side(installation) as live:
            stream = await joined(live, token, tracks=(AGENT,))
            play(stream, TECHNICIAN, speech(100))
            play(stream, AGENT, speech(100))
            await live.calls.close_stream(stream, EndedBy.STOP)
            assert live.counters.snapshot()["frames_of_unknown_track"] == 100 // FRAME_MS

    asyncio.run(scene())
    assert {role for _, role in files(installation)} == {Role.AGENT}


def test_levels_are_told_as_audio_comes(installation: Installation) -> None:
    (token,) = tokens(installation)

    async def scene() -> None:
        async with live_side(installation) as live:
            stream = await joined(live, token)
            said = speech(3_000)
            for timestamp_ms, payload in frames(said):
                stream.place([Frame(AGENT, timestamp_ms, payload)])
                stream.place([Frame(TECHNICIAN, timestamp_ms, b"\xff" * 160)])
            await live.calls.close_stream(stream, EndedBy.STOP)

    asyncio.run(scene())
    levels = [event for event in installation.heard if event.kind is EventKind.LEVEL]
    assert 5 <= len(levels) <= 7 and all(event.id is None for event in levels)
    agent, technician = levels[-1].data["agent_dbfs"], levels[-1].data["technician_dbfs"]
    assert isinstance(agent, float) and isinstance(technician, float)
    assert agent > -20 > -60 > technician


def test_closing_twice_is_no_matter(installation: Installation) -> None:
    (token,) = tokens(installation)

    async def scene() -> None:
        async with live_side(installation) as live:
            stream = await joined(live, token)
            await live.calls.close_stream(stream, EndedBy.STOP)
            await live.calls.close_stream(stream, EndedBy.SOCKET)

    asyncio.run(scene())
    assert rows(installation)[0].ended_by is EndedBy.STOP


def test_facts_are_kept_with_their_call(installation: Installation) -> None:
    (token,) = tokens(installation)

    async def scene() -> None:
        async with live_side(installation) as live:
            stream = await joined(live, token)
            await asyncio.to_thread(live.calls.note_fact, "digit", {"digit": "5"}, stream)

    asyncio.run(scene())
    with installation.database.read() as conn:
        (fact,) = facts.of_call(conn, CALL)
    assert (fact.kind, fact.data) == ("digit", {"digit": "5"})


def test_stopping_the_server_leaves_whole_files_and_the_call_to_the_next_start(
    installation: Installation,
) -> None:
    (token,) = tokens(installation)
    said = speech(730)

    async def scene() -> None:
        async with live_side(installation) as live:
            play(await joined(live, token), AGENT, said)
            await live.calls.close()

    asyncio.run(scene())
    assert np.array_equal(layer_1(installation, Role.AGENT), said)
    for file in files(installation).values():
        assert (file.state, file.sha256) == (LayerState.CLOSED, installation.blobs.digest(file.path))
    assert rows(installation)[0].ended_by is EndedBy.SERVER
    assert installation.call(CALL).state is CallState.LIVE


def test_audio_is_heard_and_written_down_while_the_call_goes_on(installation: Installation) -> None:
    (token,) = tokens(installation)

    async def scene() -> None:
        host = QuickHost()
        async with live_side(installation, host=host) as live:
            stream = await joined(live, token)
            play(stream, TECHNICIAN, np.concatenate([speech(2_000), silence(1_500)]))
            await eventually(lambda: any(event.kind is EventKind.FINAL for event in installation.heard))
            assert installation.call(CALL).state is CallState.LIVE
            await live.calls.close_stream(stream, EndedBy.STOP)

    asyncio.run(scene())
    (final,) = [event for event in installation.heard if event.kind is EventKind.FINAL]
    assert final.data["role"] == "technician"


def test_recordings_are_for_us_alone(installation: Installation) -> None:
    (token,) = tokens(installation)

    async def scene() -> None:
        async with live_side(installation) as live:
            await joined(live, token)

    asyncio.run(scene())
    folder = installation.blobs.root / "audio_recordings"
    modes: list[Path] = [folder, *folder.iterdir()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in modes)


# What the lead is to mend: see the report of task H.


def test_second_stream_while_the_first_hangs_takes_over(installation: Installation) -> None:
    first, second = tokens(installation, 2)

    async def scene() -> None:
        async with live_side(installation) as live:
            play(await joined(live, first), AGENT, speech(500))
            installation.clock.step(1.0)
            stream = await joined(live, second, number=2)
            play(stream, AGENT, speech(500, seed=2))
            await live.calls.close_stream(stream, EndedBy.STOP)

    asyncio.run(scene())
    wanted = np.concatenate([speech(500), silence(500), speech(500, seed=2)])
    assert np.array_equal(layer_1(installation, Role.AGENT), wanted)


def test_stream_that_comes_after_its_call_has_ended_is_refused(installation: Installation) -> None:
    first, second = tokens(installation, 2)

    async def scene() -> None:
        async with live_side(installation, cut_linger_s=0.0) as live:
            stream = await joined(live, first)
            play(stream, AGENT, speech(800))
            await live.calls.close_stream(stream, EndedBy.SOCKET)
            await eventually(lambda: has_transcript(installation))
            before = layer_1(installation, Role.AGENT)
            assert await live.calls.open_stream(started(second, number=2)) is None
            assert np.array_equal(layer_1(installation, Role.AGENT), before)

    asyncio.run(scene())
