"""The API's own tokens: made, listed and removed by their owner. A token is shown once, when it is made."""

from datetime import datetime, timedelta
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from callreel.domain.access import Scope
from callreel.domain.events import Json
from callreel.runtime.secret_tokens import new_token, token_hash
from callreel.store.people import api_tokens
from callreel.store.people.api_tokens import ApiTokenRow
from callreel.web.auth.person import person_of
from callreel.web.errors import not_found
from callreel.web.options import WebContext

PREFIX: Final = "crt_"
"""Tells people, and tools that look for leaked secrets, what it is."""
LONGEST_DAYS: Final = 3650


class NewToken(BaseModel):
    """A token for a program. `days` None: until it is removed."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    scopes: set[Scope] = Field(min_length=1)
    days: int | None = Field(default=90, ge=1, le=LONGEST_DAYS)


def router(context: WebContext) -> APIRouter:
    """`/api/tokens`. In demo mode nobody has the right: there is nobody who could own one."""
    routes = APIRouter(tags=["tokens"])

    @routes.get("/api/tokens")
    def own(request: Request) -> JSONResponse:
        """One's own tokens, newest first."""
        with context.database.read() as conn:
            rows = api_tokens.of_user(conn, _owner(request))
        return JSONResponse({"tokens": [_token(row) for row in rows]})

    @routes.post("/api/tokens", status_code=201)
    def add(request: Request, wanted: NewToken) -> JSONResponse:
        """A new token; it is in this answer and nowhere else."""
        token = PREFIX + new_token()
        now = context.clock.now()
        ends = None if wanted.days is None else now + timedelta(days=wanted.days)
        with context.database.write() as conn:
            row = api_tokens.add(
                conn, _owner(request), wanted.name, token_hash(token), wanted.scopes, now, ends
            )
        return JSONResponse({**_token(row), "token": token}, 201, headers={"Cache-Control": "no-store"})

    @routes.delete("/api/tokens/{token_id}", status_code=204)
    def remove(request: Request, token_id: int) -> Response:
        """From now on the token is nobody's."""
        with context.database.write() as conn:
            if not api_tokens.remove(conn, _owner(request), token_id):
                raise not_found("token")
        return Response(status_code=204)

    return routes


def _owner(request: Request) -> int:
    user_id = person_of(request).id
    if user_id is None:
        raise not_found("person")
    return user_id


def _token(row: ApiTokenRow) -> dict[str, Json]:
    return {
        "id": row.id,
        "name": row.name,
        "scopes": [scope.value for scope in row.scopes],
        "created_at": _time(row.created_at),
        "expires_at": _time(row.expires_at),
        "last_used_at": _time(row.last_used_at),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")
