"""The carrier's routes: the voice request and the three status callbacks.

Each route verifies the signature for the configured public address before anything else, parses the form once into
domain types, and calls one use case. A request with an invalid or missing signature gets 403 and is only counted.

In demo mode a program on this machine may try these routes without a signature: a dry run, which is answered as the carrier
would be and logged, but stores and places nothing.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar, cast
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from sqlalchemy import Connection

from callreel.cluster.group_commit import GroupCommit, Written
from callreel.ingest.callback_intake import CallbackIntake
from callreel.ingest.consent import ConsentHandler
from callreel.ingest.voice_request import VoiceRequestHandler
from callreel.runtime.counters import Counters
from callreel.runtime.loopback import is_loopback
from callreel.runtime.thread_pool import ThreadPool
from callreel.runtime.typed_command import as_typed
from callreel.store.db.types import storable_text
from callreel.twilio.signature import SignatureCheck
from callreel.twilio.webhooks import (
    RecordingProgress,
    WebhookError,
    parse_call_status,
    parse_recording_status,
    parse_stream_status,
    parse_voice,
)
from callreel.web.auth.origin import is_loopback_name
from callreel.web.errors import sentence

log = logging.getLogger(__name__)

MAX_FORM_BYTES = 65_536

_THREADS: Final = ThreadPool(4, "voice request")
"""So that a new call never waits for the threads that pages, live updates and password checks share."""

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
    dry_runs: bool = False
    """Whether unsigned requests from this machine are dry runs; in production they are refused."""


async def _services(request: Request) -> CarrierServices:
    return cast(CarrierServices, request.app.state.carrier)


Carrier = Annotated[CarrierServices, Depends(_services)]


@dataclass(frozen=True, slots=True)
class ReceivedForm:
    """A form whose signature is right, or that of a dry run."""

    fields: Form
    dry_run: bool


async def _signed_form(carrier: Carrier, request: Request) -> Form:
    pairs = await _pairs(request)
    _require_signature(carrier, request, pairs)
    return _fields(pairs)


async def _received_form(carrier: Carrier, request: Request) -> ReceivedForm:
    pairs = await _pairs(request)
    if not (carrier.dry_runs and _is_dry_run(request)):
        _require_signature(carrier, request, pairs)
        return ReceivedForm(_fields(pairs), dry_run=False)
    # A plus sign that was not encoded arrives as a space: `curl -d To=+1555…` sends one.
    typed = {name: f"+{value[1:]}" if value.startswith(" ") else value for name, value in pairs}
    return ReceivedForm(_DRY_RUN | _fields(list(typed.items())), dry_run=True)


_DRY_RUN = {
    "AccountSid": "AC" + "0" * 32,
    "CallSid": "CA" + "0" * 32,
    "CallStatus": "ringing",
    "RecordingSid": "RE" + "0" * 32,
    "RecordingStatus": "completed",
    "StreamSid": "MZ" + "0" * 32,
    "StreamEvent": "stream-started",
}
"""The fields that the carrier always sends, for a person who types only those that matter."""


def _is_dry_run(request: Request) -> bool:
    """Whether a program on this machine sends it, without a signature and not through a proxy or tunnel."""
    headers, client = request.headers, request.client
    return (
        client is not None
        and is_loopback(client.host)
        and is_loopback_name(headers.get("host", ""))
        and not any(
            name in headers for name in ("x-twilio-signature", "x-forwarded-for", "forwarded", "origin")
        )
    )


async def _pairs(request: Request) -> list[tuple[str, str]]:
    """The fields of the form in their order; none if the body is not a form."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM_BYTES:  # anybody may send a body until its signature is checked
            raise HTTPException(413, f"A form has at most {MAX_FORM_BYTES} bytes.")
    try:
        # The signature covers empty fields too.
        return parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body))
    except ValueError:
        return []


def _require_signature(carrier: CarrierServices, request: Request, pairs: list[tuple[str, str]]) -> None:
    """Raises HTTPException (403) unless the carrier signed the request."""
    query = f"?{request.url.query}" if request.url.query else ""
    url = f"{carrier.public_url}{request.url.path}"
    if fault := carrier.check.fault(f"{url}{query}", pairs, request.headers):
        carrier.counters.add("webhooks_refused")
        log.warning("webhook refused path=%s expected_url=%s reason=%s", request.url.path, url, fault)
        raise HTTPException(403, _refusal(request, url, fault))


def _fields(pairs: list[tuple[str, str]]) -> Form:
    return {storable_text(name): storable_text(value) for name, value in pairs}


def _refusal(request: Request, url: str, fault: str) -> str:
    """The message for a refused caller, with the reason only on this machine, since it would help others to guess."""
    if request.client is None or not is_loopback(request.client.host):
        return "The signature is missing or wrong."
    return (
        f"The signature is missing or wrong: {fault}. The carrier must sign {url} (CALLREEL_PUBLIC_URL)."
        + as_typed(
            " `callreel doctor` checks the settings; `callreel doctor twiml --to NUMBER` prints the answer to a call."
        )
    )


SignedForm = Annotated[Form, Depends(_signed_form)]
Received = Annotated[ReceivedForm, Depends(_received_form)]


@routes.post("/twilio/voice")
async def voice(carrier: Carrier, form: Received) -> Response:
    request = parsed(parse_voice, form.fields)
    if form.dry_run:
        log.info("dry run: TwiML generated, no call stored", extra={"direction": request.direction})
        return Response(carrier.voice.preview(request), media_type="text/xml")
    document = await _THREADS.run(carrier.voice.answer, request)
    return Response(document, media_type="text/xml")


@routes.post("/twilio/recording-status")
async def recording_status(carrier: Carrier, form: Received) -> Response:
    return await _store(carrier, form, parse_recording_status, carrier.intake.recording)


@routes.post("/twilio/stream-status")
async def stream_status(carrier: Carrier, form: Received) -> Response:
    return await _store(carrier, form, parse_stream_status, carrier.intake.stream)


@routes.post("/twilio/call-status")
async def call_status(carrier: Carrier, form: Received) -> Response:
    return await _store(carrier, form, parse_call_status, carrier.intake.call)


async def _store(
    carrier: CarrierServices,
    form: ReceivedForm,
    parse: Callable[[Form], T],
    write: Callable[[Connection, T, Form], Written],
) -> Response:
    fields = form.fields
    progress = parsed(parse, fields)
    if isinstance(progress, RecordingProgress):
        log.info(
            "dry run: recording callback not stored" if form.dry_run else "recording callback",
            extra=progress.log_fields,
        )
    elif form.dry_run:
        log.info("dry run: callback not stored", extra={"leg_sid": fields["CallSid"]})
    if form.dry_run:
        return Response(status_code=204)
    # Callbacks of one call are written in their order of arrival.
    await carrier.commits.commit(lambda conn: write(conn, progress, fields), order=fields.get("CallSid", ""))
    carrier.counters.add("callbacks_taken")
    return Response(status_code=204)


def parsed(parse: Callable[[Form], T], form: Form) -> T:
    """The fields of a form. Raises HTTPException (400) for a form without a required one."""
    try:
        return parse(form)
    except WebhookError as error:
        raise HTTPException(400, sentence(error)) from None
