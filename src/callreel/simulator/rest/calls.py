"""Calls over REST: list, fetch, update, delete (reference/twilio.md, section 6.5)."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from callreel.simulator.rest.protocol import (
    NOT_IN_PROGRESS,
    Context,
    Form,
    RestContext,
    RestError,
    choice,
    get,
    in_days,
    invalid,
    not_found,
    page_of,
    text,
    web_url,
)
from callreel.simulator.rest.resources import call_json
from callreel.simulator.state import Leg, LiveCall, Redirection

router = APIRouter()

_MAX_TWIML_CHARACTERS = 4000


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
    """End a call, or continue it with another document."""
    call = running_call(context, sid)
    twiml, url = text(form, "Twiml"), web_url(form, "Url")
    if twiml or url:
        if len(twiml) > _MAX_TWIML_CHARACTERS:
            raise invalid("Twiml", f"at most {_MAX_TWIML_CHARACTERS} characters long")
        call.redirect(Redirection(url or "", choice(form, "Method", ("GET", "POST"), "POST"), twiml))
    else:
        choice(form, "Status", ("completed", "canceled"))
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
