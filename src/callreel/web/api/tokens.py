"""The API's tokens: created, listed and removed by their owner. A token is shown once, when it is created."""

from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from callreel.domain.access import Scope
from callreel.domain.events import Json
from callreel.domain.json_time import json_time
from callreel.runtime.secret_tokens import new_token, token_hash
from callreel.store.audit.pending import describe
from callreel.store.people import api_tokens
from callreel.store.people.api_tokens import ApiTokenRow
from callreel.web.dependencies import Context, CurrentPerson
from callreel.web.errors import RequestConflictError, not_found
from callreel.web.values import Body, RowId

PREFIX: Final = "crt_"
"""Lets people and secret scanners recognise a token."""
LONGEST_DAYS: Final = 3650
MOST_TOKENS: Final = 100

routes = APIRouter(tags=["tokens"])


class NewToken(Body):
    """A token for a program. `days` None: valid until it is removed."""

    name: str = Field(min_length=1, max_length=100)
    scopes: set[Scope] = Field(min_length=1)
    days: int | None = Field(default=90, ge=1, le=LONGEST_DAYS)


async def _owner(person: CurrentPerson) -> int:
    if person.id is None:
        raise not_found("person")
    return person.id


Owner = Annotated[int, Depends(_owner)]


@routes.get("/api/v1/tokens")
def own(context: Context, owner: Owner) -> JSONResponse:
    """Your own tokens, newest first."""
    with context.database.read() as conn:
        rows = api_tokens.of_user(conn, owner)
    return JSONResponse({"tokens": [_token(row) for row in rows]})


@routes.post("/api/v1/tokens", status_code=201)
def add(context: Context, owner: Owner, wanted: NewToken) -> JSONResponse:
    """Create a token; only this answer contains it."""
    token = PREFIX + new_token()
    now = context.clock.now()
    expires_at = None if wanted.days is None else now + timedelta(days=wanted.days)
    with context.database.write() as conn:
        if len(api_tokens.of_user(conn, owner)) >= MOST_TOKENS:
            raise RequestConflictError(f"a person has at most {MOST_TOKENS} tokens; remove one first")
        row = api_tokens.add(conn, owner, wanted.name, token_hash(token), wanted.scopes, now, expires_at)
        describe(subject=str(row.id), name=row.name, scopes=[scope.value for scope in row.scopes])
    return JSONResponse({**_token(row), "token": token}, 201, headers={"Cache-Control": "no-store"})


@routes.delete("/api/v1/tokens/{token_id}", status_code=204)
def remove(context: Context, owner: Owner, token_id: RowId) -> Response:
    """Revoke a token."""
    with context.database.write() as conn:
        if not api_tokens.remove(conn, owner, token_id):
            raise not_found("token")
    return Response(status_code=204)


def _token(row: ApiTokenRow) -> dict[str, Json]:
    return {
        "id": row.id,
        "name": row.name,
        "scopes": [scope.value for scope in row.scopes],
        "created_at": json_time(row.created_at),
        "expires_at": json_time(row.expires_at),
        "last_used_at": json_time(row.last_used_at),
    }
