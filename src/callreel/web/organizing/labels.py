"""The API and the page of labels. The page's script changes them through the API, which checks the rights."""

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import Field

from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.domain.json_time import json_time
from callreel.domain.label import LONGEST_LABEL, LabelColor
from callreel.insight.instructions import LONGEST_INSTRUCTIONS
from callreel.review.summary import label_summary
from callreel.store.calls import labels
from callreel.store.insight import instructions
from callreel.store.insight.instructions import InstructionsRow
from callreel.web.dependencies import CallLabels, Context, CurrentPerson, ExistingCall, Page
from callreel.web.errors import not_found
from callreel.web.options import WebContext
from callreel.web.values import LARGEST_INTEGER, Body, RowId

routes = APIRouter(tags=["labels"])


class NewLabel(Body):
    """A label for the team's list."""

    name: str = Field(max_length=2 * LONGEST_LABEL)
    color: LabelColor = LabelColor.GRAY


class LabelChange(Body):
    """Another name or another color."""

    name: str | None = Field(default=None, max_length=2 * LONGEST_LABEL)
    color: LabelColor | None = None


class NewInstructions(Body):
    """`base` is the number of the version that was edited, 0 without any. An empty text takes the instructions out of force."""

    base: int = Field(ge=0, le=LARGEST_INTEGER)
    text: str = Field(max_length=2 * LONGEST_INSTRUCTIONS)


@routes.get("/labels", include_in_schema=False)
def label_page(page: Page) -> HTMLResponse:
    return page(
        "labels.html",
        here="labels",
        colors=list(LabelColor),
        longest=LONGEST_LABEL,
        longest_instructions=LONGEST_INSTRUCTIONS,
    )


@routes.get("/api/v1/labels")
def listed(context: Context, person: CurrentPerson) -> JSONResponse:
    """All labels by name, each with the number of its calls that you can see, and the version of its instructions, null without any."""
    with context.database.read() as conn:
        rows, numbers = labels.all_labels(conn), labels.counts(conn, person.own)
        given = instructions.in_force(conn)
    return JSONResponse(
        {
            "labels": [
                {
                    **label_summary(row),
                    "calls": numbers.get(row.id, 0),
                    "instructions": given[row.id].number if row.id in given else None,
                }
                for row in rows
            ]
        }
    )


@routes.post("/api/v1/labels", status_code=201)
def add(labeling: CallLabels, label: NewLabel) -> JSONResponse:
    """Add a label."""
    return JSONResponse(label_summary(labeling.add(label.name, label.color)), 201)


@routes.patch("/api/v1/labels/{label_id}")
def change(labeling: CallLabels, person: CurrentPerson, label_id: RowId, change: LabelChange) -> JSONResponse:
    """Rename or recolor a label, on all calls that have it."""
    return JSONResponse(label_summary(labeling.change(label_id, change.name, change.color, person.rights)))


@routes.delete("/api/v1/labels/{label_id}")
def remove(labeling: CallLabels, person: CurrentPerson, label_id: RowId) -> JSONResponse:
    """Delete a label, also from all calls that have it."""
    return JSONResponse({"calls": labeling.remove(label_id, person.rights)})


@routes.get("/api/v1/labels/{label_id}/instructions")
def instruction_versions(context: Context, label_id: RowId) -> JSONResponse:
    """Every version of the instructions of a label, newest first."""
    with context.database.read() as conn:
        if labels.get(conn, label_id) is None:
            raise not_found("label")
        found = instructions.of_label(conn, label_id)
    return JSONResponse({"versions": [_version(row) for row in found]})


@routes.put("/api/v1/labels/{label_id}/instructions")
def instruct(
    labeling: CallLabels, person: CurrentPerson, label_id: RowId, wanted: NewInstructions
) -> JSONResponse:
    """Add a version, for the analyses of calls with this label from now on."""
    return JSONResponse(_version(labeling.instruct(label_id, wanted.base, wanted.text, person.name)))


@routes.put("/api/v1/calls/{call_id}/labels/{label_id}")
def attach(
    context: Context, labeling: CallLabels, person: CurrentPerson, call: ExistingCall, label_id: RowId
) -> JSONResponse:
    """Give a call a label. Giving it again changes nothing."""
    labeling.attach(call.id, label_id, person.name, person.rights)
    return JSONResponse({"labels": _of_call(context, call.id)})


@routes.delete("/api/v1/calls/{call_id}/labels/{label_id}", status_code=204)
def detach(labeling: CallLabels, person: CurrentPerson, call: ExistingCall, label_id: RowId) -> Response:
    """Take a label from a call."""
    labeling.detach(call.id, label_id, person.rights)
    return Response(status_code=204)


def _version(row: InstructionsRow) -> dict[str, Json]:
    return {"version": row.number, "text": row.text, "by": row.by, "at": json_time(row.at)}


def _of_call(context: WebContext, call_id: CallId) -> list[Json]:
    with context.database.read() as conn:
        return [label_summary(row) for row in labels.of_calls(conn, [call_id]).get(call_id, [])]
