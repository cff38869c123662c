"""An application on loopback that the simulated carrier calls: it validates every signature with the official library,
responds with TwiML made by that library, accepts streams, and records everything in order of arrival."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from twilio.request_validator import RequestValidator, get_signature_algorithm
from twilio.twiml.voice_response import Dial, Start, VoiceResponse

from callreel.twilio.connection_overrides import with_overrides

TOKEN = "test-auth-token"


@dataclass
class Webhook:
    """A received request. `at_s` is the loop's time."""

    path: str
    form: dict[str, str]
    valid: bool
    headers: dict[str, str]
    at_s: float


@dataclass
class Socket:
    """One media socket: its handshake and messages with their times, and how it ended."""

    valid: bool
    signature_header: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    close_code: int | None = None

    def media(self, track: str) -> list[dict[str, Any]]:
        return [
            message["media"]
            for message in self.messages
            if message["event"] == "media" and message["media"]["track"] == track
        ]


@dataclass
class Receiver:
    """`pages` are further paths with a document. `before_answer` gets the parent leg before the dialled leg's document is sent.

    `answers` maps a path to the statuses of its next responses; later ones, and those of other paths, are 204."""

    port: int
    secret: str = TOKEN
    twiml: Callable[["Receiver"], str] | None = None
    stream_token: str = "one-time"
    close_with: int | None = None
    on_message: Callable[[WebSocket, dict[str, Any]], Awaitable[None]] | None = None
    callback_policy: str | None = "all"
    events: str = "in-progress completed absent"
    recording: dict[str, str] = field(default_factory=dict)
    direction: str = "outgoing"
    action: bool = False
    answer_on_bridge: bool = True
    pages: tuple[str, ...] = ()
    before_answer: Callable[[str], Awaitable[None]] | None = None
    answers: dict[str, list[int]] = field(default_factory=dict)
    webhooks: list[Webhook] = field(default_factory=list)
    sockets: list[Socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def voice_url(self) -> str:
        return f"{self.url}/voice"

    def forms(self, path: str) -> list[dict[str, str]]:
        return [hook.form for hook in self.webhooks if hook.path == path]

    def callback(self, path: str) -> str:
        url = f"{self.url}{path}"
        return url if self.callback_policy is None else with_overrides(url, 5, self.callback_policy)

    def document(self) -> str:
        """The TwiML of Callreel, made by the official library."""
        response = VoiceResponse()
        start = Start()
        stream = start.stream(
            url=f"wss://127.0.0.1:{self.port}/media",
            track="both_tracks",
            status_callback=self.callback("/stream"),
        )
        stream.parameter(name="token", value=self.stream_token)
        response.append(start)
        start = Start()
        options = {"channels": "dual", "track": "both", "trim": "do-not-trim"} | self.recording
        start.recording(
            recording_status_callback=self.callback("/recording"),
            recording_status_callback_event=self.events,
            **options,
        )
        response.append(start)
        dial = Dial(
            caller_id="+14155550100",
            answer_on_bridge=self.answer_on_bridge,
            action=f"{self.url}/action" if self.action else None,
        )
        progress = {
            "status_callback": self.callback("/leg"),
            "status_callback_event": "initiated ringing answered completed",
        }
        if self.direction == "outgoing":
            dial.number("+14155550123", **progress)
        else:
            dial.client("agent", **progress)
        response.append(dial)
        return str(response)


def _app(receiver: Receiver) -> FastAPI:
    app = FastAPI()
    validator = RequestValidator(receiver.secret)

    @app.post("/{path:path}")
    async def take(path: str, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        algorithm = get_signature_algorithm(request.headers.get("x-twilio-webhooks-signature-settings"))
        signature = request.headers.get("x-twilio-signature", "")
        valid = validator.validate(f"{receiver.url}/{path}", form, signature, algorithm)
        loop = asyncio.get_running_loop()
        receiver.webhooks.append(Webhook(f"/{path}", form, valid, dict(request.headers), loop.time()))
        if not valid:
            return Response(status_code=403)
        waiting = receiver.answers.get(f"/{path}")
        if waiting:
            return Response(status_code=waiting.pop(0))
        if path in ("voice", "again", *receiver.pages):
            if path == "again" and receiver.before_answer is not None:
                await receiver.before_answer(form["ParentCallSid"])
            text = receiver.document() if receiver.twiml is None else receiver.twiml(receiver)
            return Response(text, media_type="text/xml")
        if path == "action":
            return Response("<Response/>", media_type="text/xml")
        return Response(status_code=204)

    @app.websocket("/media")
    async def stream(websocket: WebSocket) -> None:
        signature = websocket.headers.get("x-twilio-signature", "")
        names = [name.decode() for name, _ in websocket.scope["headers"] if b"signature" in name.lower()]
        url = f"wss://127.0.0.1:{receiver.port}/media"
        algorithm = get_signature_algorithm(websocket.headers.get("x-twilio-webhooks-signature-settings"))
        came = Socket(validator.validate(url, {}, signature, algorithm), names[0] if names else "")
        receiver.sockets.append(came)
        if not came.valid:
            await websocket.close(1008)
            return
        await websocket.accept()
        try:
            while True:
                came.messages.append(json.loads(await websocket.receive_text()))
                came.times_s.append(asyncio.get_running_loop().time())
                if receiver.on_message is not None:
                    await receiver.on_message(websocket, came.messages[-1])
                if receiver.close_with and came.messages[-1]["event"] == "start":
                    await websocket.close(receiver.close_with)
                    return
        except WebSocketDisconnect as gone:
            came.close_code = gone.code

    return app


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.leaving = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self.leaving.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Without uvicorn's pause of a tenth of a second, which a hundred tests would feel."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def receiving(**options: Any) -> AsyncIterator[Receiver]:
    """A receiver that listens. Fails the test if the block leaves a task running."""
    before = asyncio.all_tasks()
    listener = socket.create_server(("127.0.0.1", 0))
    receiver = Receiver(listener.getsockname()[1], **options)
    config = uvicorn.Config(
        _app(receiver), lifespan="off", log_config=None, access_log=False, ws="websockets-sansio"
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield receiver
    finally:
        server.leaving.set()
        await serving
    left = asyncio.all_tasks() - before
    assert not left, left
