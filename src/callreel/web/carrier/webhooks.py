"""The carrier's routes: the voice request and the three status callbacks.

Each checks the signature against the configured public address before it looks at anything else, parses once into
domain types, hands over to one use case, and answers. An invalid or missing signature gets 403 and leaves no trace but
a count.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from callreel.cluster.group_commit import GroupCommit, Written
from callreel.ingest.callback_intake import CallbackIntake
from callreel.ingest.voice_request import VoiceRequestHandler
from callreel.runtime.counters import Counters
from callreel.twilio.signature import SignatureCheck
from callreel.twilio.webhooks import (
    WebhookError,
    parse_call_status,
    parse_recording_status,
    parse_stream_status,
    parse_voice,
)

log = logging.getLogger(__name__)

MAX_FORM_BYTES = 65_536

Form = dict[str, str]
T = TypeVar("T")


def carrier_router(
    check: SignatureCheck,
    public_url: str,
    answering: VoiceRequestHandler,
    intake: CallbackIntake,
    commits: GroupCommit,
    counters: Counters,
) -> APIRouter:
    """The routes under `/twilio`, all signed by the carrier."""
    router = APIRouter(prefix="/twilio", include_in_schema=False)

    async def signed_form(request: Request) -> Form | Response:
        body = await _body(request)
        if body is None:
            return _plain(413, f"expected a form of at most {MAX_FORM_BYTES} bytes")
        try:
            # Empty fields are part of what is signed, so they are kept.
            pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body))
        except ValueError:
            pairs = []
        query = f"?{request.url.query}" if request.url.query else ""
        if not check.valid(f"{public_url}{request.url.path}{query}", pairs, request.headers):
            counters.add("webhooks_refused")
            log.warning("refused a request to %s: its signature is missing or wrong", request.url.path)
            return _plain(403, "the signature is missing or wrong")
        return dict(pairs)

    async def take_in(
        request: Request, read: Callable[[Form], T], write: Callable[[Connection, T, Form], Written]
    ) -> Response:
        form = await signed_form(request)
        if isinstance(form, Response):
            return form
        try:
            progress = read(form)
        except WebhookError as error:
            return _plain(400, str(error))
        await commits.commit(lambda conn: write(conn, progress, form), order=form.get("CallSid", ""))
        counters.add("callbacks_taken")
        return Response(status_code=204)

    @router.post("/voice")
    async def voice(request: Request) -> Response:
        form = await signed_form(request)
        if isinstance(form, Response):
            return form
        try:
            document = await asyncio.to_thread(lambda: answering.answer(parse_voice(form)))
        except WebhookError as error:
            return _plain(400, str(error))
        return Response(document, media_type="text/xml")

    @router.post("/recording-status")
    async def recording_status(request: Request) -> Response:
        return await take_in(request, parse_recording_status, intake.recording)

    @router.post("/stream-status")
    async def stream_status(request: Request) -> Response:
        return await take_in(request, parse_stream_status, intake.stream)

    @router.post("/call-status")
    async def call_status(request: Request) -> Response:
        return await take_in(request, parse_call_status, intake.call)

    return router


async def _body(request: Request) -> bytes | None:
    """The whole body, or None as soon as it is too large: until the signature is checked, anybody may send it."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM_BYTES:
            return None
    return bytes(body)


def _plain(status: int, text: str) -> Response:
    return Response(text + "\n", status, media_type="text/plain")
