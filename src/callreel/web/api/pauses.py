"""The API that pauses and resumes the recordings of a live call. docs/api.md describes the answers."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from callreel.domain.pause import PauseCause, PauseEnd
from callreel.ingest.pause_control import PauseControl
from callreel.store.calls.pauses import PauseRow
from callreel.web.dependencies import Context, CurrentPerson, ExistingCall
from callreel.web.errors import not_found
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
def pause(
    control: Control, person: CurrentPerson, call: ExistingCall, request: PauseRequest | None = None
) -> JSONResponse:
    """Pause all recordings of a live call: both live layers, the carrier's recording, text, levels and digits."""
    cause = (request or PauseRequest()).cause
    return _state(control.pause(call.id, PauseCause(cause), person.name))


@routes.post("/api/v1/calls/{call_id}/resume")
def resume(control: Control, call: ExistingCall, request: PauseRequest | None = None) -> JSONResponse:
    """Resume the recordings of a paused call."""
    return _state(control.resume(call.id, PauseEnd((request or PauseRequest()).cause)))


def _state(row: PauseRow) -> JSONResponse:
    return JSONResponse({**row.event.data, "call_id": row.call_id})
