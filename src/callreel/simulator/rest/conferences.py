"""Conferences and their participants over REST: list, fetch, hold, mute, remove, end.

Fields and filters are those of Twilio's documentation of the two resources. Participants are listed while they take part.
"""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import FormData

from callreel.simulator.calls.conference import Conference, Participant
from callreel.simulator.calls.webhook_forms import API_VERSION
from callreel.simulator.rest.protocol import (
    Context,
    Form,
    RestContext,
    choice,
    get,
    in_days,
    not_found,
    page_of,
    text,
)
from callreel.twilio.timestamps import rfc2822

router = APIRouter()


@get(router, "/Conferences.json")
async def list_conferences(request: Request, context: Context) -> Response:
    query = request.query_params
    items = [
        _conference_json(conference, context.account.sid)
        for conference in reversed(context.state.conferences.values())
        if query.get("FriendlyName") in (None, conference.name)
        and query.get("Status") in (None, conference.status)
        and in_days(query, "DateCreated", conference.began_at)
        and in_days(query, "DateUpdated", conference.updated_at)
    ]
    return JSONResponse(page_of(request, "conferences", items))


@get(router, "/Conferences/{sid}.json")
async def fetch_conference(sid: str, context: Context) -> Response:
    return JSONResponse(_conference_json(_existing(context, sid), context.account.sid))


@router.post("/Conferences/{sid}.json")
async def update_conference(sid: str, form: Form, context: Context) -> Response:
    conference = _existing(context, sid)
    choice(form, "Status", ("completed",))
    conference.end()
    return JSONResponse(_conference_json(conference, context.account.sid))


@get(router, "/Conferences/{sid}/Participants.json")
async def list_participants(sid: str, request: Request, context: Context) -> Response:
    query, conference = request.query_params, _existing(context, sid)
    items = [
        _participant_json(conference, participant, context.account.sid)
        for participant in reversed(conference.participants.values())
        if query.get("Hold") in (None, str(participant.hold).lower())
        and query.get("Muted") in (None, str(participant.muted).lower())
    ]
    return JSONResponse(page_of(request, "participants", items))


@get(router, "/Conferences/{sid}/Participants/{call_sid}.json")
async def fetch_participant(sid: str, call_sid: str, context: Context) -> Response:
    conference, participant = _present(context, sid, call_sid)
    return JSONResponse(_participant_json(conference, participant, context.account.sid))


@router.post("/Conferences/{sid}/Participants/{call_sid}.json")
async def update_participant(sid: str, call_sid: str, form: Form, context: Context) -> Response:
    conference, participant = _present(context, sid, call_sid)
    conference.update(
        participant,
        hold=_flag(form, "Hold", participant.hold),
        muted=_flag(form, "Muted", participant.muted),
        ends_on_exit=_flag(form, "EndConferenceOnExit", participant.ends_on_exit),
    )
    return JSONResponse(_participant_json(conference, participant, context.account.sid))


@router.delete("/Conferences/{sid}/Participants/{call_sid}.json")
async def remove_participant(sid: str, call_sid: str, context: Context) -> Response:
    """The call continues with the verb after its `<Dial>`."""
    conference, participant = _present(context, sid, call_sid)
    conference.remove(participant, kicked=True)
    return Response(status_code=204)


def _existing(context: RestContext, sid: str) -> Conference:
    """Raises RestError with 404."""
    if sid not in context.state.conferences:
        raise not_found(f"/Conferences/{sid}.json")
    return context.state.conferences[sid]


def _present(context: RestContext, sid: str, call_sid: str) -> tuple[Conference, Participant]:
    """Raises RestError with 404, also for a participant that has left."""
    conference = _existing(context, sid)
    if call_sid not in conference.participants:
        raise not_found(f"/Conferences/{sid}/Participants/{call_sid}.json")
    return conference, conference.participants[call_sid]


def _flag(form: FormData, name: str, current: bool) -> bool:
    """Every value except `true` is false, as documented for `Muted`; an absent parameter changes nothing."""
    return text(form, name).lower() == "true" if name in form else current


def _conference_json(conference: Conference, account_sid: str) -> dict[str, Any]:
    uri = f"/{API_VERSION}/Accounts/{account_sid}/Conferences/{conference.sid}"
    return {
        "sid": conference.sid,
        "account_sid": account_sid,
        "api_version": API_VERSION,
        "date_created": rfc2822(conference.began_at),
        "date_updated": rfc2822(conference.updated_at),
        "friendly_name": conference.name,
        "region": "us1",
        "status": conference.status,
        "reason_conference_ended": conference.end_reason,
        "call_sid_ending_conference": conference.ending_call_sid,
        "uri": f"{uri}.json",
        "subresource_uris": {"participants": f"{uri}/Participants.json"},
    }


def _participant_json(conference: Conference, participant: Participant, account_sid: str) -> dict[str, Any]:
    uri = f"/{API_VERSION}/Accounts/{account_sid}/Conferences/{conference.sid}/Participants/{participant.sid}"
    return {
        "account_sid": account_sid,
        "call_sid": participant.sid,
        "call_sid_to_coach": None,
        "coaching": False,
        "conference_sid": conference.sid,
        "date_created": rfc2822(participant.joined_at),
        "date_updated": rfc2822(participant.updated_at),
        "end_conference_on_exit": participant.ends_on_exit,
        "hold": participant.hold,
        "label": None,
        "muted": participant.muted,
        "queue_time": None,
        "start_conference_on_enter": participant.starts_on_enter,
        "status": "connected",
        "uri": f"{uri}.json",
    }
