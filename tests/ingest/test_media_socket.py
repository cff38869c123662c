"""The media socket through a real server and a real client on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from callreel.audio.samples import Samples
from callreel.domain.call import CallState, Role, Track
from callreel.domain.ids import LegSid, StreamSid
from callreel.domain.recording import LayerState
from callreel.ingest.media.protocol import SocketLimits, media_protocol, take_here
from callreel.settings import MEDIA_PATH
from callreel.simulator.calls.stream_sender import StreamSender
from callreel.store.calls import facts
from callreel.store.calls.streams import EndedBy
from callreel.twilio.signature import settings_header, sign
from callreel.twilio.stream import UNREADABLE_IN_A_ROW
from callreel.web.uvicorn_server import http_with_media
from tests.support.installation import (
    ACCOUNT,
    Installation,
    LiveSide,
    answering,
    eventually,
    frames,
    leg,
    live_side,
    silence,
    speech,
    temporary_installation,
    token_in,
    voice_request,
)
from tests.support.streams import CALL, files, layer_1, rows, tokens
from tests.web.carrier_side import AUTH_TOKEN, KEY, KEY_SID, STREAM_URL, signature_check

PATIENT = SocketLimits(start_deadline_s=10.0, idle_s=30.0)
HASTY = SocketLimits(start_deadline_s=0.2, idle_s=30.0)
DROWSY = SocketLimits(start_deadline_s=10.0, idle_s=0.2)
SIGNED = {"X-Twilio-Signature": sign(STREAM_URL, None, AUTH_TOKEN)}


@pytest.fixture(params=[True, False], ids=["transcribed", "recorded only"])
def installation(request: pytest.FixtureRequest) -> Iterator[Installation]:
    """Sockets of calls without live transcription are read in batches, all others at once: the outcome is the same."""
    with temporary_installation() as here:
        yield replace(here, listen=request.param)


@dataclass(slots=True)
class Listening:
    """A server on loopback with its live side."""

    port: int
    live: LiveSide
    server: uvicorn.Server

    @asynccontextmanager
    async def socket(self, headers: dict[str, str] | None = None) -> AsyncIterator[ClientConnection]:
        url = f"ws://127.0.0.1:{self.port}{MEDIA_PATH}"
        given = SIGNED if headers is None else headers
        async with connect(url, additional_headers=given, proxy=None, compression=None) as client:
            yield client

    def counted(self, name: str) -> int:
        return self.live.counters.snapshot().get(name, 0)

    def troubles(self) -> dict[str, int]:
        """Whatever was counted but frames that found their place."""
        counts = self.live.counters.snapshot()
        return {name: count for name, count in counts.items() if count and name != "frames_placed"}


@asynccontextmanager
async def listening(
    installation: Installation, limits: SocketLimits = PATIENT, **options: Any
) -> AsyncIterator[Listening]:
    async with live_side(installation, **options) as live:
        open_media = media_protocol(
            signature_check(), STREAM_URL, live.streams, live.facts, live.counters, limits
        )
        app = FastAPI()
        app.get("/health")(lambda: {"status": "ok"})
        config = uvicorn.Config(
            app, "127.0.0.1", 0, http=http_with_media(MEDIA_PATH, take_here(open_media)), ws="websockets-sansio", lifespan="off",
            log_config=None, access_log=False, timeout_graceful_shutdown=5,
        )  # fmt: skip
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        # Without `serve`, which looks every tenth of a second whether it is to stop.
        await server.startup()
        try:
            port = server.servers[0].sockets[0].getsockname()[1]
            yield Listening(port, live, server)
        finally:
            await server.shutdown()


def sender(number: int = 1, *, of: LegSid | None = None) -> StreamSender:
    return StreamSender(StreamSid(f"MZ{number:032x}"), of or leg(1), ACCOUNT)


def opening(carrier: StreamSender, token: str) -> list[str]:
    return [carrier.connected(), carrier.start(parameters={"token": token})]


def speaking(carrier: StreamSender, track: Track, samples: Samples) -> list[str]:
    return [carrier.media(track, timestamp_ms, payload) for timestamp_ms, payload in frames(samples)]


async def say(client: ClientConnection, *messages: str | bytes) -> None:
    for message in messages:
        await client.send(message)


async def closed(client: ClientConnection) -> int:
    """The code with which the other side closes."""
    async with asyncio.timeout(10):
        try:
            while True:
                await client.recv()
        except ConnectionClosed as gone:
            assert gone.rcvd is not None, "the connection was cut without a word"
            return gone.rcvd.code


def facts_of(installation: Installation) -> list[tuple[str, dict[str, Any]]]:
    with installation.database.read() as conn:
        return [(fact.kind, fact.data) for fact in facts.of_call(conn, CALL)]


def has_ended(installation: Installation) -> bool:
    return any(row.ended_by is not None for row in rows(installation))


# A stream from its beginning to its end


async def test_call_comes_through_the_socket_sample_by_sample(installation: Installation) -> None:
    (token,) = tokens(installation)
    agent, technician = speech(2_030), speech(1_510, seed=2)

    async with listening(installation) as here, here.socket() as client:
        carrier = sender()
        # All at once: frames that arrive while the token is verified must not be lost.
        await say(
            client,
            *opening(carrier, token),
            *speaking(carrier, Track.INBOUND, agent),
            *speaking(carrier, Track.OUTBOUND, technician),
            carrier.stop(),
        )
        assert await closed(client) == 1000
        assert here.troubles() == {}
        assert here.counted("frames_placed") == -(-2_030 // 20) + -(-1_510 // 20)

    assert np.array_equal(layer_1(installation, Role.AGENT), agent)
    assert np.array_equal(layer_1(installation, Role.TECHNICIAN), technician)
    (row,) = rows(installation)
    assert (row.sid, row.ended_by) == (StreamSid(f"MZ{1:032x}"), EndedBy.STOP)
    assert {file.state for file in files(installation).values()} == {LayerState.CLOSED}


async def test_audio_is_on_the_disk_without_waiting_for_more(installation: Installation) -> None:
    """100 ms, less than a block, must be on the disk before a kill."""
    (token,) = tokens(installation)
    said = speech(100)

    def on_disk() -> bool:
        found = list(installation.blobs.root.glob("audio_recordings/agent_*_8000Hz.wav"))
        return bool(found) and found[0].stat().st_size == 44 + 2 * said.size

    async with listening(installation) as here, here.socket() as client:
        carrier = sender()
        await say(client, *opening(carrier, token), *speaking(carrier, Track.INBOUND, said))
        await eventually(on_disk)


async def test_shared_key_opens_the_socket(installation: Installation) -> None:
    headers = {
        "X-Twilio-Signature": sign(STREAM_URL, None, KEY, sha256=True),
        "X-Twilio-Webhooks-Signature-Settings": settings_header(KEY_SID),
    }

    async with listening(installation) as here, here.socket(headers) as client:
        await say(client, sender().connected())


@pytest.mark.parametrize("binary", [False, True])
async def test_messages_may_come_in_pieces_and_as_bytes(installation: Installation, binary: bool) -> None:
    (token,) = tokens(installation)
    said = speech(400)

    async with listening(installation) as here, here.socket() as client:
        carrier = sender()
        for message in (
            *opening(carrier, token),
            *speaking(carrier, Track.INBOUND, said),
            carrier.stop(),
        ):
            if binary:
                await client.send(message.encode())
            else:
                await client.send([message[:7], message[7:30], message[30:]])
        assert await closed(client) == 1000

    assert np.array_equal(layer_1(installation, Role.AGENT), said)


async def test_second_socket_continues_the_call(installation: Installation) -> None:
    first, second = tokens(installation, 2)
    said = speech(600)

    async with listening(installation) as here:
        for number, token in enumerate((first, second), start=1):
            async with here.socket() as client:
                carrier = sender(number)
                await say(
                    client,
                    *opening(carrier, token),
                    *speaking(carrier, Track.INBOUND, said),
                    carrier.stop(),
                )
                assert await closed(client) == 1000
            installation.clock.step(1.0)
        assert here.live.registry.count == 1

    assert np.array_equal(layer_1(installation, Role.AGENT), np.concatenate([said, silence(400), said]))


async def test_pings_are_answered(installation: Installation) -> None:
    async with listening(installation) as here, here.socket() as client:
        await asyncio.wait_for(await client.ping(), 10)


# Who may come in


WRONG = {
    "missing": {},
    "empty": {"X-Twilio-Signature": ""},
    "another secret": {"X-Twilio-Signature": sign(STREAM_URL, None, "guess")},
    "another address": {"X-Twilio-Signature": sign("wss://elsewhere.example/", None, AUTH_TOKEN)},
    "unknown key": {**SIGNED, "X-Twilio-Webhooks-Signature-Settings": settings_header("other")},
}


@pytest.mark.parametrize("how", WRONG)
async def test_handshake_that_is_not_the_carriers_is_refused(installation: Installation, how: str) -> None:
    tokens(installation)

    async with listening(installation) as here:
        with pytest.raises(InvalidStatus) as refused:
            async with here.socket(WRONG[how]):
                pass
        assert refused.value.response.status_code == 403
        assert here.counted("sockets_refused") == 1

    assert rows(installation) == []


@pytest.mark.parametrize("how", ["none", "a guess", "spent", "of another call", "expired"])
async def test_refused_token_closes_with_1008_and_is_counted(installation: Installation, how: str) -> None:
    (token,) = tokens(installation)
    carrier = sender(2, of=leg(2) if how == "of another call" else None)

    async with listening(installation) as here:
        if how == "spent":
            async with here.socket() as client:
                first = sender()
                await say(client, *opening(first, token), first.stop())
                assert await closed(client) == 1000
        if how == "expired":
            installation.clock.step(301)
        async with here.socket() as client:
            given = {"none": "", "a guess": "guess"}.get(how, token)
            await say(client, *opening(carrier, given), *speaking(carrier, Track.INBOUND, speech(100)))
            assert await closed(client) == 1008
        assert here.counted("sockets_refused") == 1

    assert [row.sid for row in rows(installation)] == ([StreamSid(f"MZ{1:032x}")] if how == "spent" else [])


@pytest.mark.parametrize("first", [[], [sender().connected()]])
async def test_socket_that_does_not_start_in_time_is_closed(
    installation: Installation, first: list[str]
) -> None:
    tokens(installation)

    async with listening(installation, HASTY) as here, here.socket() as client:
        await say(client, *first)
        assert await closed(client) == 1008
        assert here.counted("sockets_refused") == 1

    assert rows(installation) == []


async def test_call_over_the_limit_closes_with_1013(installation: Installation) -> None:
    (token,) = tokens(installation)

    async with listening(installation, max_calls=0) as here, here.socket() as client:
        await say(client, *opening(sender(), token))
        assert await closed(client) == 1013

    assert rows(installation) == []


async def test_draining_server_accepts_streams_of_live_calls_only(installation: Installation) -> None:
    service = answering(installation)
    first, again, stranger = (token_in(service.answer(voice_request(number))) for number in (1, 1, 2))
    said, more = speech(400), speech(400, seed=2)

    async def speak(here: Listening, number: int, token: str, samples: Samples) -> int:
        async with here.socket() as client:
            carrier = sender(number, of=leg(2) if token == stranger else None)
            await say(
                client, *opening(carrier, token), *speaking(carrier, Track.INBOUND, samples), carrier.stop()
            )
            return await closed(client)

    async with listening(installation, max_calls=1) as here:
        assert await speak(here, 1, first, said) == 1000
        here.live.registry.drain()
        assert await speak(here, 2, stranger, more) == 1013
        assert await speak(here, 3, again, more) == 1000

    assert np.array_equal(layer_1(installation, Role.AGENT), np.concatenate([said, more]))


# What they say


BEFORE_START = {
    "start without what it needs": ('{"event": "start", "start": {}}', 1007),
    "other audio": (
        json.dumps(
            {
                "event": "start",
                "start": {
                    "streamSid": "MZ1",
                    "accountSid": ACCOUNT,
                    "callSid": leg(1),
                    "mediaFormat": {"encoding": "audio/opus", "sampleRate": 48000, "channels": 2},
                },
            }
        ),
        1003,
    ),
}


@pytest.mark.parametrize("how", BEFORE_START)
async def test_unusable_start_closes_with_its_code(installation: Installation, how: str) -> None:
    message, code = BEFORE_START[how]

    async with listening(installation) as here, here.socket() as client:
        await say(client, sender().connected(), message)
        assert await closed(client) == code
        assert here.counted("stream_violations") == here.counted("sockets_refused") == 1


UNREADABLE_IN_BETWEEN: dict[str, str | bytes] = {
    "no JSON": "{never",
    "empty": "",
    "binary": b"\xff" * 160,
    "second connected": sender().connected(),
    "second start": sender().start(),
    "too large": "x" * 1_100_000,
}


@pytest.mark.parametrize("what", UNREADABLE_IN_BETWEEN)
async def test_unreadable_message_in_the_middle_loses_no_audio(installation: Installation, what: str) -> None:
    (token,) = tokens(installation)
    said = speech(400)

    async with listening(installation) as here, here.socket() as client:
        carrier = sender()
        audio = speaking(carrier, Track.INBOUND, said)
        await say(client, *opening(carrier, token), *audio[:10], UNREADABLE_IN_BETWEEN[what], *audio[10:])
        await say(client, carrier.stop())
        assert await closed(client) == 1000
        assert here.troubles() == {"stream_violations": 1}

    assert np.array_equal(layer_1(installation, Role.AGENT), said)


async def test_persisting_unreadable_messages_close_and_keep_the_audio(
    installation: Installation,
) -> None:
    (token,) = tokens(installation)
    said = speech(300)

    async with listening(installation) as here, here.socket() as client:
        carrier = sender()
        audio = speaking(carrier, Track.INBOUND, said)
        await say(client, *opening(carrier, token), *audio, *["{never"] * UNREADABLE_IN_A_ROW)
        assert await closed(client) == 1007
        assert here.counted("sockets_closed_by_us") == 1

    assert np.array_equal(layer_1(installation, Role.AGENT), said)
    assert rows(installation)[0].ended_by is EndedBy.SOCKET


async def test_malformed_media_is_counted_and_capture_continues(installation: Installation) -> None:
    (token,) = tokens(installation)
    said = speech(200)
    strange = '{"event": "media", "media": {"track": "inbound", "timestamp": "soon", "payload": ""}}'

    async with listening(installation) as here, here.socket() as client:
        carrier = sender()
        await say(client, *opening(carrier, token), strange, '{"event": "media"}', "{}")
        await say(client, *speaking(carrier, Track.INBOUND, said), carrier.stop())
        assert await closed(client) == 1000
        assert here.troubles() == {"stream_violations": 3}

    assert np.array_equal(layer_1(installation, Role.AGENT), said)


async def test_unknown_messages_become_facts_and_capture_continues(installation: Installation) -> None:
    (token,) = tokens(installation)
    said, unknown = speech(200), '{"event": "weather", "weather": {"is": "fine"}}'

    async with listening(installation) as here, here.socket() as client:
        carrier = sender()
        await say(client, *opening(carrier, token), unknown, carrier.dtmf("5"), carrier.mark("here"))
        await say(client, *speaking(carrier, Track.INBOUND, said), carrier.stop())
        assert await closed(client) == 1000

    assert facts_of(installation) == [
        ("unknown_stream_event", {"event": "weather", "body": unknown}),
        ("digit", {"track": "inbound_track", "digit": "5"}),
        ("mark", {"name": "here"}),
    ]
    assert np.array_equal(layer_1(installation, Role.AGENT), said)


async def test_digits_of_a_pause_are_masked(installation: Installation) -> None:
    (token,) = tokens(installation)
    async with listening(installation) as here, here.socket() as client:
        carrier = sender()
        await say(client, *opening(carrier, token), carrier.dtmf("5"))
        await eventually(lambda: facts_of(installation))
        call = here.live.registry.get(CALL)
        assert call is not None
        call.paused.begin(call.reached)
        unknown = json.dumps({"event": "keys", "pressed": "4711"})
        await say(client, carrier.dtmf("6"), carrier.dtmf("7"), unknown, carrier.stop())
        assert await closed(client) == 1000
    assert facts_of(installation) == [
        ("digit", {"track": "inbound_track", "digit": "5"}),
        *[("digit", {"track": "inbound_track", "digit": "masked"})] * 2,
        ("unknown_stream_event", {"event": "keys", "body": "masked"}),
    ]


async def test_fact_that_cannot_be_stored_does_not_stop_audio(installation: Installation) -> None:
    """A digit arrives while the database takes no writes: audio is written on, and the fact is stored afterwards."""
    (token,) = tokens(installation)
    before, after = speech(400), speech(2_000, seed=2)

    def on_disk() -> int:
        (path,) = installation.blobs.root.glob("audio_recordings/agent_*_8000Hz.wav")
        return (path.stat().st_size - 44) // 2

    async with listening(installation) as here, here.socket() as client:
        carrier = sender()
        await say(client, *opening(carrier, token), *speaking(carrier, Track.INBOUND, before))
        await eventually(lambda: rows(installation))
        with installation.database.write():
            later = [
                carrier.media(Track.INBOUND, timestamp_ms, payload)
                for timestamp_ms, payload in frames(after, first_ms=400)
            ]
            await say(client, carrier.dtmf("5"), carrier.mark("a\0b"), *later)
            await eventually(lambda: on_disk() >= before.size + after.size - 8 * 160)
        await say(client, carrier.stop())
        assert await closed(client) == 1000
        assert here.troubles() == {}

    assert [data for _, data in facts_of(installation)] == [
        {"track": "inbound_track", "digit": "5"},
        {"name": "ab"},
    ]
    assert np.array_equal(layer_1(installation, Role.AGENT), np.concatenate([before, after]))
    assert rows(installation)[0].ended_by is EndedBy.STOP


async def test_unknown_messages_before_the_token_are_only_counted(installation: Installation) -> None:
    (token,) = tokens(installation)

    async with listening(installation) as here, here.socket() as client:
        carrier = sender()
        connected, start = opening(carrier, token)
        await say(client, connected, '{"event": "weather"}', start, carrier.stop())
        assert await closed(client) == 1000
        assert here.troubles() == {"events_before_start": 1}

    assert facts_of(installation) == []


# How it ends


async def test_socket_that_dies_without_a_stop_closes_the_layers(installation: Installation) -> None:
    (token,) = tokens(installation)
    said = speech(730)

    async with listening(installation) as here:
        async with here.socket() as client:
            carrier = sender()
            await say(client, *opening(carrier, token), *speaking(carrier, Track.INBOUND, said))
            await eventually(lambda: here.live.registry.count == 1)
            await asyncio.wait_for(await client.ping(), 10)  # all of it has arrived
            client.transport.abort()
        await eventually(lambda: has_ended(installation))
        assert installation.call(CALL).state is CallState.LIVE, "another stream may continue it"

    assert rows(installation)[0].ended_by is EndedBy.SOCKET
    assert np.array_equal(layer_1(installation, Role.AGENT), said)
    for file in files(installation).values():
        assert (file.state, file.sha256) == (LayerState.CLOSED, installation.blobs.digest(file.path))


async def test_other_side_closing_without_a_stop_is_a_cut(installation: Installation) -> None:
    (token,) = tokens(installation)

    async with listening(installation) as here:
        async with here.socket() as client:
            await say(client, *opening(sender(), token))
            await client.close(1001)
        await eventually(lambda: has_ended(installation))

    assert rows(installation)[0].ended_by is EndedBy.SOCKET


async def test_idle_stream_is_closed(installation: Installation) -> None:
    (token,) = tokens(installation)

    async with listening(installation, DROWSY) as here, here.socket() as client:
        await say(client, *opening(sender(), token))
        assert await closed(client) == 1000

    assert rows(installation)[0].ended_by is EndedBy.SOCKET


async def test_stream_with_audio_is_not_idle(installation: Installation) -> None:
    (token,) = tokens(installation)

    async with listening(installation, SocketLimits(idle_s=0.5)) as here, here.socket() as client:
        carrier = sender()
        await say(client, *opening(carrier, token))
        for message in speaking(carrier, Track.INBOUND, speech(700)):
            await client.send(message)
            await asyncio.sleep(0.02)
        await client.send(carrier.stop())
        assert await closed(client) == 1000

    assert rows(installation)[0].ended_by is EndedBy.STOP


async def test_socket_that_stays_open_after_the_leg_ended_is_closed(
    installation: Installation,
) -> None:
    (token,) = tokens(installation)

    async with listening(installation) as here, here.socket() as client:
        await say(client, *opening(sender(), token))
        await eventually(lambda: rows(installation))
        here.live.ownership.leg_ended(CALL)
        assert await closed(client) == 1000
        await eventually(lambda: installation.call(CALL).state is CallState.ENDED)

    assert rows(installation)[0].ended_by is EndedBy.STATUS


async def test_frames_received_while_closing_a_stream_are_dropped(
    installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    """Its files are closed and its row waits for the database; the carrier has not been informed."""
    (token,) = tokens(installation)
    said = speech(500)

    async with listening(installation) as here, here.socket() as client:
        carrier = sender()
        await say(client, *opening(carrier, token), *speaking(carrier, Track.INBOUND, said))
        await asyncio.wait_for(await client.ping(), 10)
        await eventually(lambda: rows(installation))
        with installation.database.write():
            stopping = asyncio.create_task(here.server.shutdown())
            await eventually(lambda: here.counted("frames_placed"))
            await say(client, *speaking(carrier, Track.INBOUND, speech(100, seed=2)))
            await asyncio.wait_for(await client.ping(), 10)
        assert await closed(client) == 1012
        await stopping

    assert rows(installation)[0].ended_by is EndedBy.SERVER
    assert np.array_equal(layer_1(installation, Role.AGENT), said)
    assert installation.call(CALL).state is CallState.LIVE
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_the_port_serves_pages_too(installation: Installation) -> None:
    async with listening(installation) as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 200") and b'{"status":"ok"}' in answer
