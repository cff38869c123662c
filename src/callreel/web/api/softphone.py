"""The API of the softphone: readiness, access tokens, number checks, and technicians by name."""

from typing import Annotated

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from callreel.domain.access import Right
from callreel.domain.events import Json
from callreel.domain.json_time import json_time
from callreel.store.audit.pending import describe
from callreel.store.calls import consent_policies
from callreel.store.people import technicians
from callreel.store.people.technicians import TechnicianRow
from callreel.twilio.access_token import mint
from callreel.twilio.dial_policy import DialPolicy, Refused
from callreel.web.dependencies import Context, CurrentPerson
from callreel.web.errors import InvalidError, RequestConflictError, existing, not_found
from callreel.web.pages.wording import number_text
from callreel.web.values import Body, RowId

RECENT = 10
MOST_TECHNICIANS = 5_000
SOUNDS = "/static/sounds/"
Number = Annotated[str, Field(min_length=1, max_length=100)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")]

routes = APIRouter(tags=["softphone"])


class RawNumber(Body):
    """A number as it was typed."""

    raw: str = Field(max_length=100)


class NewTechnician(Body):
    """A name for a number."""

    name: Name
    number: Number


class TechnicianChange(Body):
    """Another name or another number."""

    name: Name | None = None
    number: Number | None = None


@routes.get("/api/v1/softphone")
def state(context: Context, person: CurrentPerson) -> JSONResponse:
    """Whether you can place calls. If not, administrators also get the missing settings."""
    phone = context.options.softphone
    with context.database.read() as conn:
        may_skip = consent_policies.current(conn).policy.agents_may_skip
    local = {"signal_host": phone.local_signal, "sounds": SOUNDS} if phone.local_signal else None
    return JSONResponse(
        {
            "ready": not phone.missing,
            "missing": phone.missing if person.may(Right.READ_SETTINGS) else [],
            "identity": person.identity,
            "local": local,
            "may_skip_recording": may_skip,
        }
    )


@routes.post("/api/v1/softphone/token")
def token(context: Context, person: CurrentPerson) -> JSONResponse:
    """An access token for yourself, for the carrier's library in the browser."""
    phone = context.options.softphone
    if phone.missing:
        named = f": {'; '.join(phone.missing)}" if person.may(Right.READ_SETTINGS) else ""
        raise RequestConflictError(f"calls cannot be placed; settings are missing{named}")
    minted = mint(
        phone.account_sid,
        phone.api_key_sid,
        phone.api_key_secret,
        person.identity,
        phone.application_sid,
        ttl_s=phone.token_ttl_s,
        now=context.clock.now(),
    )
    answer = {"token": minted, "identity": person.identity, "ttl_s": phone.token_ttl_s}
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


@routes.post("/api/v1/numbers")
def check_number(context: Context, typed: RawNumber) -> JSONResponse:
    """Whether a number may be called, and its standard notation."""
    decision = context.options.dial_policy.decide(typed.raw)
    if isinstance(decision, Refused):
        reason = f"{decision.reason[:1].upper()}{decision.reason[1:]}."
        return JSONResponse({"valid": False, "e164": None, "international": None, "reason": reason})
    number = decision.e164
    return JSONResponse({"valid": True, "e164": number, "international": number_text(number), "reason": None})


@routes.get("/api/v1/technicians")
def listed(context: Context, person: CurrentPerson) -> JSONResponse:
    """Technicians by name, and the numbers of recent calls."""
    with context.database.read() as conn:
        named = technicians.all_technicians(conn)
        recent = technicians.recent_numbers(conn, person.own, RECENT)
    names = {row.number: row.name for row in named}
    called: list[Json] = [
        {"number": number, "name": names.get(number), "last_at": json_time(at)} for number, at in recent
    ]
    return JSONResponse({"named": [_technician(row) for row in named], "recent": called})


@routes.post("/api/v1/technicians", status_code=201)
def add(context: Context, technician: NewTechnician) -> JSONResponse:
    """Add a technician: a name for a number."""
    e164 = _dialable(context.options.dial_policy, technician.number)
    with context.database.write() as conn:
        if technicians.count(conn) >= MOST_TECHNICIANS:
            raise RequestConflictError(f"there are {MOST_TECHNICIANS} technicians already; remove one first")
        row = technicians.add(conn, technician.name, e164, context.clock.now())
        describe(subject=str(row.id))
    return JSONResponse(_technician(row), 201)


@routes.patch("/api/v1/technicians/{technician_id}")
def change(context: Context, technician_id: RowId, change: TechnicianChange) -> JSONResponse:
    """Set another name or another number."""
    e164 = None if change.number is None else _dialable(context.options.dial_policy, change.number)
    with context.database.write() as conn:
        row = technicians.change(conn, technician_id, name=change.name, number=e164)
    return JSONResponse(_technician(existing("technician", row)))


@routes.delete("/api/v1/technicians/{technician_id}", status_code=204)
def remove(context: Context, technician_id: RowId) -> Response:
    """Remove a technician's name."""
    with context.database.write() as conn:
        if not technicians.remove(conn, technician_id):
            raise not_found("technician")
    return Response(status_code=204)


def _dialable(policy: DialPolicy, raw: str) -> str:
    decision = policy.decide(raw)
    if isinstance(decision, Refused):
        raise InvalidError(decision.reason)
    return decision.e164


def _technician(row: TechnicianRow) -> dict[str, Json]:
    return {"id": row.id, "name": row.name, "number": row.number}
