"""The API of changing many calls at once: each as if it were changed alone, with its own check, transaction and audit entry."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from callreel.domain.access import LONGEST_NAME, Right
from callreel.domain.audit import AuditAction
from callreel.domain.erasure import LONGEST_REASON
from callreel.domain.errors import NoCallError
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.retention.legal_hold import HoldRefusedError, LegalHolds
from callreel.review.labeling import Labeling, NoLabelError, RetentionLabelError
from callreel.review.triage import AssigneeError, LiveReviewError, Triage
from callreel.store.audit.pending import audited
from callreel.store.calls import calls
from callreel.store.calls.calls import CallRow
from callreel.web.auth.person import Person
from callreel.web.dependencies import AuditService, CallLabels, CallTriage, Context, CurrentPerson, Holds
from callreel.web.errors import ForbiddenError, InvalidError, status_and_message
from callreel.web.options import WebContext
from callreel.web.values import LARGEST_INTEGER, Body

MOST_CALLS = 100

routes = APIRouter(tags=["calls"])


class Change(StrEnum):
    """What is done to each call."""

    LABEL = "label"
    UNLABEL = "unlabel"
    REVIEW = "review"
    UNREVIEW = "unreview"
    ASSIGN = "assign"
    HOLD = "hold"
    RELEASE = "release"


_NEEDS: Final[Mapping[Change, tuple[Right, AuditAction]]] = {
    Change.LABEL: (Right.WRITE_CALLS, AuditAction.CALL_LABELED),
    Change.UNLABEL: (Right.WRITE_CALLS, AuditAction.CALL_UNLABELED),
    Change.REVIEW: (Right.REVIEW_CALLS, AuditAction.REVIEWED),
    Change.UNREVIEW: (Right.REVIEW_CALLS, AuditAction.REVIEW_UNDONE),
    Change.ASSIGN: (Right.REVIEW_CALLS, AuditAction.ASSIGNED),
    Change.HOLD: (Right.HOLD_CALLS, AuditAction.HELD),
    Change.RELEASE: (Right.HOLD_CALLS, AuditAction.RELEASED),
}
"""The right for each change, and the entry of each changed call in the audit trail."""

_REFUSALS = (
    AssigneeError,
    HoldRefusedError,
    LiveReviewError,
    NoCallError,
    NoLabelError,
    RetentionLabelError,
)
"""What keeps one call from being changed; the others are changed, also if a label is deleted meanwhile."""


class BulkChange(Body):
    """`label_id` is for `label` and `unlabel`, `person` for `assign` (null for no one), `reason` for `hold` and `release`."""

    calls: list[Annotated[str, Field(max_length=40)]] = Field(min_length=1, max_length=MOST_CALLS)
    change: Change
    label_id: int | None = Field(default=None, ge=1, le=LARGEST_INTEGER)
    person: str | None = Field(default=None, min_length=1, max_length=LONGEST_NAME)
    reason: str = Field(default="", max_length=LONGEST_REASON)


@routes.post("/api/v1/calls/bulk")
def change_calls(
    request: Request,
    context: Context,
    auditor: AuditService,
    person: CurrentPerson,
    labeling: CallLabels,
    triage: CallTriage,
    holds: Holds,
    wanted: BulkChange,
) -> JSONResponse:
    """Change up to 100 calls. `refused` says why calls stay as they are; the others are changed."""
    right, action = _NEEDS[wanted.change]
    if not person.may(right):
        raise ForbiddenError("you do not have permission for this")
    if wanted.change is Change.ASSIGN and wanted.person is None:
        action = AuditAction.UNASSIGNED
    apply = _applied(wanted, person, labeling, triage, holds)
    changed: list[Json] = []
    unchanged: list[Json] = []
    refused: dict[str, Json] = {}
    for call_id in map(CallId, dict.fromkeys(wanted.calls)):
        call = _call_for(context, person, call_id)
        if call is None:
            refused[call_id] = "There is no such call."
            continue
        subject = str(wanted.label_id or "")
        try:
            with audited(auditor.event(request.scope, action, call_id, subject, wanted.reason)):
                done = apply(call)
        except _REFUSALS as error:
            refused[call_id] = status_and_message(error)[1]
            continue
        if done:
            changed.append({"call_id": call_id, "assigned_before": call.assigned_to})
        else:
            unchanged.append(call_id)
    return JSONResponse({"changed": changed, "unchanged": unchanged, "refused": refused})


def _applied(
    wanted: BulkChange, person: Person, labeling: Labeling, triage: Triage, holds: LegalHolds
) -> Callable[[CallRow], bool]:
    """What changes one call, and returns whether it did.

    Raises InvalidError if something is missing, NoLabelError, RetentionLabelError.
    """
    by, label_id = person.name, wanted.label_id
    if wanted.change in (Change.LABEL, Change.UNLABEL) and label_id is not None:
        labeling.check(label_id, person.rights)
    match wanted.change:
        case Change.LABEL | Change.UNLABEL if label_id is None:
            raise InvalidError("a label is required: give its id as label_id")
        case Change.LABEL:
            return lambda call: labeling.attach(call.id, label_id or 0, by, person.rights)
        case Change.UNLABEL:
            return lambda call: labeling.detach(call.id, label_id or 0, person.rights)
        case Change.REVIEW:
            return lambda call: triage.mark_reviewed(call, by)
        case Change.UNREVIEW:
            return triage.unmark_reviewed
        case Change.ASSIGN:
            return lambda call: triage.assign(call, wanted.person, by)
        case Change.HOLD:
            return lambda call: holds.hold(call.id, wanted.reason, by) is not None
        case Change.RELEASE:
            return lambda call: holds.release(call.id, wanted.reason, by) is not None


def _call_for(context: WebContext, person: Person, call_id: CallId) -> CallRow | None:
    """The call, if there is one that the person may see."""
    with context.database.read() as conn:
        call = calls.get(conn, call_id)
    return call if call is not None and person.own in (None, call.agent) else None
