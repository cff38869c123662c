"""Sessions: one's own on the account's page, those of all people for administrators; and the forms that end one."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse

from callreel.store.audit.pending import describe
from callreel.store.people import sessions, users
from callreel.web.dependencies import Context, CurrentPerson, Page, SignInService
from callreel.web.errors import not_found
from callreel.web.values import RowId

routes = APIRouter(include_in_schema=False)


@routes.get("/sessions")
def all_sessions(context: Context, sign_in: SignInService, page: Page) -> HTMLResponse:
    with context.database.read() as conn:
        rows = sessions.all_open(conn, context.clock.now(), sign_in.idle_s)
    return page("sessions.html", here="people", sessions=rows)


@routes.post("/sessions/{session_id}/end")
def end(context: Context, session_id: RowId) -> RedirectResponse:
    _end(context, session_id)
    return RedirectResponse("/sessions", 303)


@routes.post("/me/sessions/{session_id}/end")
def end_own(context: Context, person: CurrentPerson, session_id: RowId) -> RedirectResponse:
    _end(context, session_id, person.id or 0)
    return RedirectResponse("/me", 303)


def _end(context: Context, session_id: int, user_id: int | None = None) -> None:
    with context.database.write() as conn:
        owner = sessions.end(conn, session_id, user_id)
        user = None if owner is None else users.get(conn, owner)
        describe(subject=user.name if user else "")
    if user is None:
        raise not_found("session")
