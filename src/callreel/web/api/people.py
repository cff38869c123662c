"""The API of people: everyone's own account, and all accounts for administrators."""

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field
from sqlalchemy import Connection

from callreel.domain.access import LONGEST_NAME, UserRole
from callreel.domain.events import Json
from callreel.domain.json_time import json_time
from callreel.store.audit.pending import describe
from callreel.store.people import second_factors, sessions, users
from callreel.store.people.users import UserRow
from callreel.web.auth.origin import limited_address
from callreel.web.auth.passwords import LONGEST_PASSWORD
from callreel.web.auth.signin import delete_session_cookie, set_session_cookie
from callreel.web.dependencies import AuditService, Context, CurrentPerson, SignInService
from callreel.web.errors import InvalidError, RequestConflictError, existing, not_found
from callreel.web.options import WebContext
from callreel.web.values import Body, RowId

routes = APIRouter(tags=["people"])


class NewPerson(Body):
    """A new account."""

    name: str = Field(min_length=1, max_length=LONGEST_NAME, pattern=r"^\S(.*\S)?$")
    password: str = Field(max_length=LONGEST_PASSWORD)
    role: UserRole = UserRole.AGENT


class PersonChange(Body):
    """The fields of an account to change."""

    password: str | None = Field(default=None, max_length=LONGEST_PASSWORD)
    role: UserRole | None = None
    disabled: bool | None = None


class OwnPassword(Body):
    """The current password and the new one."""

    current: str = Field(max_length=LONGEST_PASSWORD)
    new: str = Field(max_length=LONGEST_PASSWORD)


@routes.get("/api/v1/people/me")
def me(context: Context, person: CurrentPerson) -> JSONResponse:
    """Who you are and what you may do."""
    return JSONResponse(
        {
            "id": person.id,
            "name": person.name,
            "role": person.role,
            "identity": person.identity,
            "can": sorted(person.rights),
            "demo": context.options.demo,
        }
    )


@routes.post("/api/v1/people/me/sign-out-everywhere", status_code=204)
def sign_out_everywhere(context: Context, person: CurrentPerson) -> Response:
    """End all of your sessions, including this one."""
    if person.id is not None:
        with context.database.write() as conn:
            sessions.end_all(conn, person.id)
    response = Response(status_code=204)
    delete_session_cookie(response, secure=context.options.secure_cookies)
    return response


@routes.post("/api/v1/people/me/password", status_code=204)
async def own_password(
    context: Context,
    sign_in: SignInService,
    auditor: AuditService,
    request: Request,
    person: CurrentPerson,
    change: OwnPassword,
) -> Response:
    """Change your password. Ends every other session; this one gets a new cookie."""
    if person.id is None:
        raise not_found("person")
    address = limited_address(request.scope.get("client"))
    if await sign_in.proven(person.name, change.current, address) is None:
        await asyncio.to_thread(auditor.sign_in_failed, request.scope, person.name)
        raise InvalidError("the current password is wrong")
    hashed = await sign_in.hashed(change.new)
    device, user_id = request.headers.get("user-agent", ""), person.id

    def replace() -> str:
        """In one transaction, so that a change by somebody else cannot fall between the end of all sessions and the new one."""
        with context.database.write() as conn:
            _change(context, conn, user_id, hashed, PersonChange())
            return sign_in.add_session(conn, user_id, address, device)

    token = await asyncio.to_thread(replace)
    response = Response(status_code=204)
    set_session_cookie(response, token, sign_in.session_s, secure=context.options.secure_cookies)
    return response


@routes.get("/api/v1/people")
def everyone(context: Context) -> JSONResponse:
    """All accounts, disabled ones too."""
    with context.database.read() as conn:
        enrolled = second_factors.enrolled(conn)
        rows = users.all_users(conn)
    return JSONResponse({"people": [_person(row, second_factor=row.id in enrolled) for row in rows]})


@routes.post("/api/v1/people", status_code=201)
async def add(context: Context, sign_in: SignInService, person: NewPerson) -> JSONResponse:
    """Create an account."""
    if not context.options.local_accounts:
        raise RequestConflictError("local accounts are switched off; people sign in at the provider")
    hashed = await sign_in.hashed(person.password)

    describe(subject=person.name, role=person.role.value)

    def insert() -> UserRow:
        with context.database.write() as conn:
            return users.add(conn, person.name, hashed, person.role, context.clock.now())

    try:
        row = await asyncio.to_thread(insert)
    except users.NameTakenError:
        raise RequestConflictError("this name is taken") from None
    return JSONResponse(_person(row), 201)


@routes.patch("/api/v1/people/{person_id}")
async def change(
    context: Context, sign_in: SignInService, person_id: RowId, change: PersonChange
) -> JSONResponse:
    """Set another password or role, or disable or enable the account."""
    hashed = None if change.password is None else await sign_in.hashed(change.password)
    row = existing("person", await asyncio.to_thread(_update, context, person_id, hashed, change))
    return JSONResponse(_person(row, second_factor=await asyncio.to_thread(_enrolled, context, row.id)))


@routes.delete("/api/v1/people/{person_id}/second-factor", status_code=204)
def reset_second_factor(context: Context, person: CurrentPerson, person_id: RowId) -> Response:
    """Remove the second factor of somebody who lost it, and end their sessions. Not your own: that needs a code."""
    if person_id == person.id:
        raise RequestConflictError("remove your own second factor on the page My account, with a code")
    with context.database.write() as conn:
        row = users.get(conn, person_id)
        describe(subject=row.name if row else "")
        removed = second_factors.reset(conn, person_id)
    if not removed:
        raise not_found("second factor")
    return Response(status_code=204)


def _enrolled(context: WebContext, person_id: int) -> bool:
    with context.database.read() as conn:
        return second_factors.get(conn, person_id) is not None


def _update(
    context: WebContext, person_id: int, password_hash: str | None, change: PersonChange
) -> UserRow | None:
    with context.database.write() as conn:
        return _change(context, conn, person_id, password_hash, change)


def _change(
    context: WebContext, conn: Connection, person_id: int, password_hash: str | None, change: PersonChange
) -> UserRow | None:
    known = users.get(conn, person_id)
    if password_hash is not None and known is not None and known.subject is not None:
        raise RequestConflictError("this account has no password; it signs in at the provider")
    row = users.change(
        conn, person_id, password_hash=password_hash, role=change.role, disabled=change.disabled,
        local_accounts=context.options.local_accounts,
    )  # fmt: skip
    if row is not None:
        given = change.model_dump(mode="json", include={"role", "disabled"}, exclude_none=True)
        describe(subject=row.name, password=password_hash is not None, **given)
    return row


def _person(row: UserRow, *, second_factor: bool = False) -> dict[str, Json]:
    return {
        "id": row.id,
        "name": row.name,
        "role": row.role.value,
        "identity": row.identity,
        "disabled": row.disabled,
        "second_factor": second_factor,
        "local": row.subject is None,
        "created_at": json_time(row.created_at),
    }
