"""The API behind the softphone: whether it can call, its access tokens, numbers as typed, technicians by name."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from callreel.domain.errors import CallreelError
from callreel.domain.events import Json
from callreel.store.people import technicians
from callreel.store.people.technicians import TechnicianRow
from callreel.twilio.access_token import mint
from callreel.twilio.dial_policy import DialPolicy, Refused
from callreel.web.auth.person import person_of
from callreel.web.errors import conflict, not_found, unusable
from callreel.web.options import WebContext
from callreel.web.pages.wording import number_text

RECENT = 10
SOUNDS = "/static/sounds/"
_Number = Field(min_length=1, max_length=100)
_Name = Field(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")


class NumberError(CallreelError):
    """What was typed may not be dialled."""


class RawNumber(BaseModel):
    """A number as it was typed."""

    model_config = ConfigDict(extra="forbid")

    raw: str = Field(max_length=100)


class NewTechnician(BaseModel):
    """A name for a number."""

    model_config = ConfigDict(extra="forbid")

    name: str = _Name
    number: str = _Number


class TechnicianChange(BaseModel):
    """Another name or another number."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(default=None, min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")
    number: str | None = Field(default=None, min_length=1, max_length=100)


def router(context: WebContext) -> APIRouter:
    """`/api/softphone`, `/api/numbers` and `/api/technicians`."""
    routes = APIRouter(tags=["softphone"])
    phone, policy = context.options.softphone, context.options.dial_policy

    @routes.get("/api/softphone")
    def state(request: Request) -> JSONResponse:
        """Whether calls can be placed from here, and what is missing if not."""
        local = {"signal_host": phone.local_signal, "sounds": SOUNDS} if phone.local_signal else None
        answer = {
            "ready": not phone.missing,
            "missing": phone.missing,
            "identity": person_of(request).identity,
            "local": local,
        }
        return JSONResponse(answer)

    @routes.post("/api/softphone/token")
    def token(request: Request) -> JSONResponse:
        """An access token for oneself, for the carrier's library in the browser."""
        if phone.missing:
            raise conflict(CallreelError(f"calls cannot be placed: {'; '.join(phone.missing)}"))
        identity = person_of(request).identity
        made = mint(
            phone.account_sid,
            phone.api_key_sid,
            phone.api_key_secret,
            identity,
            phone.application_sid,
            ttl_s=phone.token_ttl_s,
            now=context.clock.now(),
        )
        answer = {"token": made, "identity": identity, "ttl_s": phone.token_ttl_s}
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    @routes.post("/api/numbers")
    def number(typed: RawNumber) -> JSONResponse:
        """Whether a number may be called, and how it is written."""
        return JSONResponse(_judged(policy, typed.raw))

    @routes.get("/api/technicians")
    def listed(request: Request) -> JSONResponse:
        """Technicians by name, and the numbers of the last calls."""
        with context.database.read() as conn:
            named = technicians.all_technicians(conn)
            recent = technicians.recent_numbers(conn, person_of(request).own, RECENT)
        names = {row.number: row.name for row in named}
        called: list[Json] = [
            {"number": number, "name": names.get(number), "last_at": at.isoformat(timespec="milliseconds")}
            for number, at in recent
        ]
        return JSONResponse({"named": [_technician(row) for row in named], "recent": called})

    @routes.post("/api/technicians", status_code=201)
    def add(technician: NewTechnician) -> JSONResponse:
        """Give a number a name."""
        e164 = _dialable(policy, technician.number)
        try:
            with context.database.write() as conn:
                row = technicians.add(conn, technician.name, e164, context.clock.now())
        except technicians.TakenError as error:
            raise conflict(error) from None
        return JSONResponse(_technician(row), 201)

    @routes.patch("/api/technicians/{technician_id}")
    def change(technician_id: int, change: TechnicianChange) -> JSONResponse:
        """Another name or another number."""
        e164 = None if change.number is None else _dialable(policy, change.number)
        try:
            with context.database.write() as conn:
                row = technicians.change(conn, technician_id, name=change.name, number=e164)
        except technicians.TakenError as error:
            raise conflict(error) from None
        if row is None:
            raise not_found("technician")
        return JSONResponse(_technician(row))

    @routes.delete("/api/technicians/{technician_id}", status_code=204)
    def remove(technician_id: int) -> Response:
        """Forget a name."""
        with context.database.write() as conn:
            if not technicians.remove(conn, technician_id):
                raise not_found("technician")
        return Response(status_code=204)

    return routes


def _judged(policy: DialPolicy, raw: str) -> dict[str, Json]:
    decision = policy.decide(raw)
    if isinstance(decision, Refused):
        reason = f"{decision.reason[:1].upper()}{decision.reason[1:]}."
        return {"valid": False, "e164": None, "international": None, "reason": reason}
    return {
        "valid": True,
        "e164": decision.e164,
        "international": number_text(decision.e164),
        "reason": None,
    }


def _dialable(policy: DialPolicy, raw: str) -> str:
    decision = policy.decide(raw)
    if isinstance(decision, Refused):
        raise unusable(NumberError(decision.reason))
    return decision.e164


def _technician(row: TechnicianRow) -> dict[str, Json]:
    return {"id": row.id, "name": row.name, "number": row.number}
