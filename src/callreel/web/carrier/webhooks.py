"""The carrier's routes: the voice request and the three status callbacks.

Each route verifies the signature for the configured public address before anything else, parses the form once into
domain types, and calls one use case. A request with an invalid or missing signature gets 403 and is only counted.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar, cast
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from sqlalchemy import Connection

from callreel.cluster.group_commit import GroupCommit, Written
from callreel.ingest.callback_intake import CallbackIntake
from callreel.ingest.consent import ConsentHandler
from callreel.ingest.voice_request import VoiceRequestHandler
from callreel.runtime.counters import Counters
from callreel.runtime.loopback import is_loopback
from callreel.store.db.types import storable_text
from callreel.twilio.signature import SignatureCheck
from callreel.twilio.webhooks import (
    WebhookError,
    parse_call_status,
    parse_recording_status,
    parse_stream_status,
    parse_voice,
)
from callreel.web.errors import sentence

log = logging.getLogger(__name__)

MAX_FORM_BYTES = 65_536

Form = dict[str, str]
T = TypeVar("T")

routes = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class CarrierServices:
    """What the carrier's routes use; `app.state.carrier` holds them."""

    check: SignatureCheck
    public_url: str
    voice: VoiceRequestHandler
    consent: ConsentHandler
    intake: CallbackIntake
    commits: GroupCommit
    counters: Counters


async def _services(request: Request) -> CarrierServices:
    return cast(CarrierServices, request.app.state.carrier)


Carrier = Annotated[CarrierServices, Depends(_services)]


async def _signed_form(carrier: Carrier, request: Request) -> Form:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM_BYTES:  # anybody may send a body until its signature is checked
            raise HTTPException(413, f"A form has at most {MAX_FORM_BYTES} bytes.")
    try:
        # The signature covers empty fields too.
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body))
    except ValueError:
        pairs = []
    query = f"?{request.url.query}" if request.url.query else ""
    url = f"{carrier.public_url}{request.url.path}"
    if fault := carrier.check.fault(f"{url}{query}", pairs, request.headers):
        carrier.counters.add("webhooks_refused")
        log.warning("webhook refused path=%s expected_url=%s reason=%s", request.url.path, url, fault)
        raise HTTPException(403, _refusal(request, url, fault))
    return {storable_text(name): storable_text(value) for name, value in pairs}


def _refusal(request: Request, url: str, fault: str) -> str:
    """The message for a refused caller, with the reason only on this machine, since it would help others to guess."""
    if request.client is None or not is_loopback(request.client.host):
        return "The signature is missing or wrong."
    return (
        f"The signature is missing or wrong: {fault}. The carrier must sign {url} (CALLREEL_PUBLIC_URL)."
        " `callreel doctor` checks the settings; `callreel doctor twiml --to NUMBER` prints the answer to a call."
    )


SignedForm = Annotated[Form, Depends(_signed_form)]


@routes.post("/twilio/voice")
async def voice(carrier: Carrier, form: SignedForm) -> Response:
    document = await asyncio.to_thread(carrier.voice.answer, parsed(parse_voice, form))
    return Response(document, media_type="text/xml")


@routes.post("/twilio/recording-status")
async def recording_status(carrier: Carrier, form: SignedForm) -> Response:
    return await _store(carrier, form, parse_recording_status, carrier.intake.recording)


@routes.post("/twilio/stream-status")
async def stream_status(carrier: Carrier, form: SignedForm) -> Response:
    return await _store(carrier, form, parse_stream_status, carrier.intake.stream)


@routes.post("/twilio/call-status")
async def call_status(carrier: Carrier, form: SignedForm) -> Response:
    return await _store(carrier, form, parse_call_status, carrier.intake.call)


async def _store(
    carrier: CarrierServices,
    form: Form,
    parse: Callable[[Form], T],
    write: Callable[[Connection, T, Form], Written],
) -> Response:
    progress = parsed(parse, form)
    # Callbacks of one call are written in their order of arrival.
    await carrier.commits.commit(lambda conn: write(conn, progress, form), order=form.get("CallSid", ""))
    carrier.counters.add("callbacks_taken")
    return Response(status_code=204)


def parsed(parse: Callable[[Form], T], form: Form) -> T:
    """The fields of a form. Raises HTTPException (400) for a form without a required one."""
    try:
        return parse(form)
    except WebhookError as error:
        raise HTTPException(400, sentence(error)) from None
