"""The API that pauses, resumes and ends the recordings of a live call. docs/api.md describes the answers."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from callreel.domain.ids import CallId
from callreel.domain.pause import PauseCause, PauseEnd
from callreel.ingest.pause_control import PauseControl, PauseError
from callreel.store.calls.pauses import PauseRow
from callreel.web.dependencies import Context, CurrentPerson, ExistingCall, existing_call
from callreel.web.errors import not_found
from callreel.web.options import WebContext
from callreel.web.values import Body

routes = APIRouter(tags=["pauses"])


class PauseRequest(Body):
    """`cause` is `field` where a form field for secret data was entered or left."""

    cause: Literal["person", "field"] = "person"


async def _control(context: Context) -> PauseControl:
    if context.pausing is None:
        raise not_found("live call")
    return context.pausing


Control = Annotated[PauseControl, Depends(_control)]


@routes.post("/api/v1/calls/{call_id}/pause")
async def pause(
    control: Control,
    context: Context,
    person: CurrentPerson,
    call_id: CallId,
    request: PauseRequest | None = None,
) -> JSONResponse:
    """Pause all recordings of a live call: both live layers, the carrier's recording, text, levels and digits."""
    # Silence does not wait for a thread and the database, which a busy machine gives late.
    announcement = control.announce(call_id)
    cause = PauseCause((request or PauseRequest()).cause)
    return await run_in_threadpool(_pause, control, context, call_id, cause, person.name, announcement)


def _pause(
    control: PauseControl, context: WebContext, call_id: CallId, cause: PauseCause, by: str, announcement: str
) -> JSONResponse:
    try:
        return _state(control.pause(call_id, cause, by, announcement=announcement))
    except PauseError:
        existing_call(call_id, context)
        raise


@routes.post("/api/v1/calls/{call_id}/resume")
def resume(control: Control, call: ExistingCall, request: PauseRequest | None = None) -> JSONResponse:
    """Resume the recordings of a paused call."""
    return _state(control.resume(call.id, PauseEnd((request or PauseRequest()).cause)))


@routes.post("/api/v1/calls/{call_id}/do-not-record")
def do_not_record(context: Context, call: ExistingCall) -> JSONResponse:
    """Do not record a call that has begun: end all recordings of it, and erase what was captured until now."""
    if context.recording_stop is None:
        raise not_found("live call")
    return JSONResponse({**context.recording_stop.stop(call.id).summary, "call_id": call.id})


def _state(row: PauseRow) -> JSONResponse:
    return JSONResponse({**row.event.data, "call_id": row.call_id})
