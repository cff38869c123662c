"""`<Connect><Stream>`: the application plays audio to the caller, and receives marks and keys."""

import asyncio
import base64
from typing import Any

import numpy as np
from starlette.websockets import WebSocket

from callreel.audio import mulaw
from callreel.domain.call import Track
from tests.simulator.calling import place, voice
from tests.simulator.receiver import Receiver

PROMPT = mulaw.encode(voice(7, 400))
LONG = mulaw.encode(voice(8, 20000))


def document(got: Receiver) -> str:
    """The stream, then words that the caller receives if the stream ends before the call."""
    stream = f"<Stream url='wss://127.0.0.1:{got.port}/media' statusCallback='{got.url}/stream'/>"
    return f"<Response><Connect>{stream}</Connect><Pause length='1'/></Response>"


def media(codes: bytes) -> dict[str, Any]:
    return {"event": "media", "media": {"payload": base64.b64encode(codes).decode()}}


def mark(name: str) -> dict[str, Any]:
    return {"event": "mark", "mark": {"name": name}}


def marks(got: Receiver) -> list[str]:
    return [message["mark"]["name"] for message in got.sockets[0].messages if message["event"] == "mark"]


async def test_application_plays_and_receives_marks_and_keys() -> None:
    async def talk(websocket: WebSocket, message: dict[str, Any]) -> None:
        if message["event"] == "start":
            for answer in (media(PROMPT), mark("played"), {"event": "dance"}, mark("after")):
                await websocket.send_json(answer)

    outcome, got = await place(
        receiver={"twiml": document, "on_message": talk}, keys="4#", voice_ms=4000, carrier={"speed": 5.0}
    )
    (socket,) = got.sockets
    assert socket.messages[1]["start"]["tracks"] == ["inbound"]
    assert marks(got) == ["played", "after"]
    keys = [message["dtmf"]["digit"] for message in socket.messages if message["event"] == "dtmf"]
    assert keys == ["4", "#"]
    numbers = [int(message["sequenceNumber"]) for message in socket.messages[1:]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert socket.messages[-1]["event"] == "stop"
    assert [warning[:5] for warning in outcome.warnings] == ["31951"]
    assert (outcome.status, outcome.refused, outcome.answered_ms) == ("completed", False, None)
    said = mulaw.decode(outcome.sent[Track.INBOUND])
    assert np.array_equal(said[: 4000 * 8], mulaw.decode(mulaw.encode(voice(1, 4000))))


async def test_clear_discards_audio_and_returns_its_marks_at_once() -> None:
    async def talk(websocket: WebSocket, message: dict[str, Any]) -> None:
        if message["event"] == "start":
            for answer in (media(LONG), mark("end"), {"event": "clear"}, media(PROMPT), mark("last")):
                await websocket.send_json(answer)

    outcome, got = await place(
        receiver={"twiml": document, "on_message": talk}, voice_ms=4000, carrier={"speed": 5.0}
    )
    assert marks(got) == ["end", "last"]
    assert outcome.duration_ms < 20000


async def test_document_continues_when_the_application_closes_the_stream() -> None:
    closed = asyncio.Event()

    async def talk(websocket: WebSocket, message: dict[str, Any]) -> None:
        if message["event"] == "media" and not closed.is_set():
            closed.set()
            await websocket.close()

    outcome, got = await place(receiver={"twiml": document, "on_message": talk}, voice_ms=60000)
    assert outcome.socket_close_code == 1000
    assert [form["StreamEvent"] for form in got.forms("/stream")] == ["stream-started", "stream-stopped"]
    assert 1000 < outcome.duration_ms < 60000
