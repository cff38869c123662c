"""The API's people: oneself for everybody, all of them for administrators."""

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from callreel.domain.access import LONGEST_NAME, UserRole
from callreel.domain.errors import CallreelError
from callreel.domain.events import Json
from callreel.store.people import users
from callreel.store.people.users import UserRow
from callreel.web.auth.passwords import LONGEST_PASSWORD, PasswordError
from callreel.web.auth.person import person_of
from callreel.web.auth.signin import COOKIE, SignIn, set_session_cookie
from callreel.web.errors import conflict, not_found, too_many, unusable
from callreel.web.options import WebContext


class NewPerson(BaseModel):
    """Somebody who may sign in from now on."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)

    name: str = Field(min_length=1, max_length=LONGEST_NAME, pattern=r"^\S(.*\S)?$")
    password: str = Field(max_length=LONGEST_PASSWORD)
    role: UserRole = UserRole.AGENT


class PersonChange(BaseModel):
    """What of a person becomes another."""

    model_config = ConfigDict(extra="forbid")

    password: str | None = Field(default=None, max_length=LONGEST_PASSWORD)
    role: UserRole | None = None
    disabled: bool | None = None


class OwnPassword(BaseModel):
    """The password as it was, and as it shall be."""

    model_config = ConfigDict(extra="forbid")

    current: str = Field(max_length=LONGEST_PASSWORD)
    new: str = Field(max_length=LONGEST_PASSWORD)


def router(context: WebContext, sign_in: SignIn) -> APIRouter:
    """`/api/people`."""
    routes = APIRouter(tags=["people"])

    @routes.get("/api/people/me")
    def me(request: Request) -> JSONResponse:
        """Who you are and what you may do."""
        person = person_of(request)
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

    @routes.post("/api/people/me/sign-out-everywhere", status_code=204)
    def sign_out_everywhere(request: Request) -> Response:
        """End all of one's sessions, this one too."""
        user_id = person_of(request).id
        if user_id is not None:
            with context.database.write() as conn:
                users.close_all_sessions(conn, user_id)
        left = Response(status_code=204)
        left.delete_cookie(COOKIE, secure=context.options.secure_cookies, httponly=True, samesite="lax")
        return left

    @routes.post("/api/people/me/password", status_code=204)
    async def own_password(request: Request, change: OwnPassword) -> Response:
        """Another password for oneself. Ends every session but this one, which gets a new cookie."""
        person = person_of(request)
        if person.id is None:
            raise not_found("person")
        user_id, address = person.id, request.client.host if request.client else ""
        wait_s = sign_in.wait_s(person.name, address)
        if wait_s > 0:
            raise too_many(wait_s)
        if await sign_in.proven(person.name, change.current, address) is None:
            raise unusable(PasswordError("the present password is another"))
        hashed = await _hashed(sign_in, change.new)

        def keep() -> None:
            with context.database.write() as conn:
                users.change(conn, user_id, password_hash=hashed)

        await asyncio.to_thread(keep)
        answer = Response(status_code=204)
        token = await sign_in.open_session(user_id)
        set_session_cookie(answer, token, sign_in.session_s, secure=context.options.secure_cookies)
        return answer

    @routes.get("/api/people")
    def everyone() -> JSONResponse:
        """Everybody who was ever let in."""
        with context.database.read() as conn:
            rows = users.all_users(conn)
        return JSONResponse({"people": [_person(row) for row in rows]})

    @routes.post("/api/people", status_code=201)
    async def add(person: NewPerson) -> JSONResponse:
        """Let somebody sign in."""
        hashed = await _hashed(sign_in, person.password)

        def keep() -> UserRow:
            with context.database.write() as conn:
                return users.add(conn, person.name, hashed, person.role, context.clock.now())

        try:
            row = await asyncio.to_thread(keep)
        except users.NameTakenError:
            raise conflict(CallreelError("this name is taken")) from None
        return JSONResponse(_person(row), 201)

    @routes.patch("/api/people/{person_id}")
    async def change(person_id: int, change: PersonChange) -> JSONResponse:
        """Another password, another role, or no more signing in."""
        hashed = None if change.password is None else await _hashed(sign_in, change.password)

        def keep() -> UserRow | None:
            with context.database.write() as conn:
                return users.change(
                    conn, person_id, password_hash=hashed, role=change.role, disabled=change.disabled
                )

        try:
            row = await asyncio.to_thread(keep)
        except users.LastAdministratorError as error:
            raise conflict(error) from None
        if row is None:
            raise not_found("person")
        return JSONResponse(_person(row))

    return routes


async def _hashed(sign_in: SignIn, password: str) -> str:
    try:
        return await sign_in.hashed(password)
    except PasswordError as error:
        raise unusable(error) from None


def _person(row: UserRow) -> dict[str, Json]:
    return {
        "id": row.id,
        "name": row.name,
        "role": row.role.value,
        "identity": row.identity,
        "disabled": row.disabled,
        "created_at": row.created_at.isoformat(timespec="milliseconds"),
    }
