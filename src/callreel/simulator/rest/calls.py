"""Calls over REST: create, list, fetch, update, delete (reference/twilio.md, section 6.5)."""

import re

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import FormData

from callreel.simulator.calls.twiml_script import StartRecording
from callreel.simulator.rest.protocol import (
    NOT_IN_PROGRESS,
    Context,
    Form,
    RestContext,
    RestError,
    callback,
    choice,
    get,
    in_days,
    invalid,
    not_found,
    page_of,
    recording_order,
    seconds,
    text,
    web_url,
)
from callreel.simulator.rest.resources import call_json
from callreel.simulator.state import Leg, LiveCall, OutgoingCall, Redirection

router = APIRouter()

NO_TO_NUMBER = 21201
NO_DOCUMENT = 21205
INVALID_TO_NUMBER = 21211
INVALID_FROM_NUMBER = 21212

_MAX_TWIML_CHARACTERS = 4000
_DEFAULT_RING_S = 60
_MAX_RING_S = 600
_MAX_CALL_S = 86400
_CALL_EVENTS = ("initiated", "ringing", "answered", "completed")
_PHONE = re.compile(r"\+[1-9][0-9]{7,14}")


def existing_leg(context: RestContext, sid: str) -> Leg:
    """Raises RestError with 404."""
    if sid not in context.state.legs:
        raise not_found(f"/Calls/{sid}.json")
    return context.state.legs[sid]


def running_call(context: RestContext, sid: str) -> LiveCall:
    """Raises RestError: 404 for an unknown call, 400 for one that has ended."""
    existing_leg(context, sid)
    if sid not in context.state.live:
        raise RestError(400, NOT_IN_PROGRESS, "Call is not in-progress. Cannot redirect.")
    return context.state.live[sid]


def answered_call(context: RestContext, sid: str) -> LiveCall:
    """As `running_call`, and also 400 while the leg still rings: recordings and streams need an answered call (error
    21220), with `answerOnBridge` a bridged one."""
    call = running_call(context, sid)
    if existing_leg(context, sid).answered_at is None:
        raise RestError(400, NOT_IN_PROGRESS, "Call is not in-progress. It has not been answered.")
    return call


@router.post("/Calls.json")
async def create_call(form: Form, context: Context) -> Response:
    """Place a call to a phone. Its document runs once the phone answers."""
    to, from_, document = text(form, "To"), text(form, "From"), _document(form)
    if not to:
        raise RestError(400, NO_TO_NUMBER, "No 'To' number is specified")
    if not _PHONE.fullmatch(to):
        raise RestError(400, INVALID_TO_NUMBER, "The 'To' number is not a valid phone number")
    if not _PHONE.fullmatch(from_):
        raise RestError(400, INVALID_FROM_NUMBER, "The 'From' number is missing or not a valid phone number")
    if document is None:
        raise RestError(400, NO_DOCUMENT, "Url or Twiml is required")
    order = OutgoingCall(
        to,
        from_,
        document,
        callback=callback(form, "StatusCallback", _CALL_EVENTS, "completed"),
        timeout_s=seconds(form, "Timeout", _MAX_RING_S) or _DEFAULT_RING_S,
        time_limit_s=seconds(form, "TimeLimit", _MAX_CALL_S),
        recording=_requested_recording(form),
    )
    assert context.state.originate is not None
    leg = context.state.originate(order)
    return JSONResponse(call_json(leg, context.account.sid), 201)


@get(router, "/Calls.json")
async def list_calls(request: Request, context: Context) -> Response:
    query = request.query_params
    legs = [
        leg
        for leg in reversed(context.state.legs.values())
        if query.get("ParentCallSid") in (None, leg.parent_sid)
        and query.get("Status") in (None, leg.status)
        and query.get("From") in (None, leg.from_)
        and query.get("To") in (None, leg.to)
        and in_days(query, "StartTime", leg.answered_at)
        and in_days(query, "EndTime", leg.ended_at)
    ]
    return JSONResponse(page_of(request, "calls", [call_json(leg, context.account.sid) for leg in legs]))


@get(router, "/Calls/{sid}.json")
async def fetch_call(sid: str, context: Context) -> Response:
    return JSONResponse(call_json(existing_leg(context, sid), context.account.sid))


@router.post("/Calls/{sid}.json")
async def update_call(sid: str, form: Form, context: Context) -> Response:
    """End a call, continue it with another document, limit its duration, or report its end elsewhere."""
    call = running_call(context, sid)
    document, time_limit_s = _document(form), seconds(form, "TimeLimit", _MAX_CALL_S)
    reported = callback(form, "StatusCallback", ("completed",), "completed")
    amended = time_limit_s is not None or reported is not None
    if text(form, "Status") or not (document or amended):
        choice(form, "Status", ("completed", "canceled"))
    call.amend(time_limit_s, reported)
    if document is not None:
        call.redirect(document)
    elif text(form, "Status"):
        call.hang_up()
    return JSONResponse(call_json(existing_leg(context, sid), context.account.sid))


@router.delete("/Calls/{sid}.json")
async def delete_call(sid: str, context: Context) -> Response:
    """Only a call that has ended can be deleted. Its recordings remain."""
    existing_leg(context, sid)
    if sid in context.state.live:
        raise RestError(400, NOT_IN_PROGRESS, "Call is in progress. Cannot delete.")
    del context.state.legs[sid]
    return Response(status_code=204)


def _requested_recording(form: FormData) -> StartRecording | None:
    """The recording of a new call: `Record` requests it, the other parameters are validated in any case."""
    order = recording_order(form, "trim-silence")
    return order if choice(form, "Record", ("true", "false"), "false") == "true" else None


def _document(form: FormData) -> Redirection | None:
    """The document that a form names or contains; None without one. Raises RestError."""
    twiml, url = text(form, "Twiml"), web_url(form, "Url")
    if len(twiml) > _MAX_TWIML_CHARACTERS:
        raise invalid("Twiml", f"at most {_MAX_TWIML_CHARACTERS} characters long")
    method = choice(form, "Method", ("GET", "POST"), "POST")
    return Redirection(url or "", method, twiml) if twiml or url else None
