"""The wall: all calls that are live now; agents see their own. Its script follows them by one stream of events."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from callreel.review.wall import live_calls
from callreel.store.calls import live_events
from callreel.web.dependencies import Context, CurrentPerson, Page

routes = APIRouter(include_in_schema=False)


@routes.get("/wall")
def wall(context: Context, page: Page, person: CurrentPerson) -> HTMLResponse:
    # One snapshot for the newest event's id and the rows, so that live updates continue exactly where the page ends.
    with context.database.read() as conn:
        after = live_events.last_id(conn)
        calls = live_calls(conn, person.own)
    return page("wall.html", here="wall", calls=calls, after=after)
