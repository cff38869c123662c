"""`/operations` and `/metrics`: queued, running, failed and parked work, and the mail of the weekly report, for people and for Prometheus.

A parked recording can be retried or skipped, and all of them can be retried, for example after an outage. None of this
deletes anything.
"""

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from callreel.domain.ids import RecordingSid
from callreel.domain.mail import masked_address
from callreel.domain.work import ON_RECORDINGS, Workflow, WorkState
from callreel.ops.metrics import CONTENT_TYPE
from callreel.store.calls import calls, outbox, recordings, tallies
from callreel.store.db import processes
from callreel.store.mail import report_mails
from callreel.web.dependencies import Context, Page
from callreel.web.errors import not_found
from callreel.web.heavy_requests import heavy

SHOWN = 200

routes = APIRouter(include_in_schema=False)


@routes.get("/operations")
@heavy
def operations(context: Context, page: Page) -> HTMLResponse:
    items = [item for item in context.work.unfinished() if item.workflow in ON_RECORDINGS]
    with context.database.read() as conn:
        orders = [order for order in outbox.all_orders(conn) if order.workflow in ON_RECORDINGS]
        subjects = {item.subject for item in items[: 2 * SHOWN]} | {order.subject for order in orders[:SHOWN]}
        known = recordings.call_ids(conn, subjects).items()
        call_of = {sid: call for sid, call_id in known if (call := calls.get(conn, call_id)) is not None}
        states = tallies.calls_by_state(conn)
        running_processes = processes.all_processes(conn)
        mails = report_mails.latest(conn) if context.options.mails_report else []
    attempts = (
        [item for item in context.work.unfinished(mails[0].week) if item.workflow is Workflow.MAIL_REPORT]
        if mails
        else []
    )
    parked = [item for item in items if item.state is WorkState.PARKED]
    others = [item for item in items if item.state is not WorkState.PARKED]
    return page(
        "operations.html",
        here="operations",
        problems=context.health.problems() if context.health else [],
        parked=[item for item in parked if item.subject in call_of][:SHOWN],
        parked_total=len(parked),
        orders=[order for order in orders if order.subject in call_of][:SHOWN],
        running=[item for item in others if item.subject in call_of][:SHOWN],
        running_total=len(others) + len(orders),
        call_of=call_of,
        states={str(state): number for state, number in states.items()},
        processes=running_processes,
        mails=[(masked_address(mail.recipient), mail) for mail in mails],
        mails_report=context.options.mails_report,
        next_mail_at=next((item.retry_at for item in attempts if item.retry_at), None),
        engines={
            purpose: engine
            for purpose, engine in context.options.engine_report().items()
            if purpose != "engines"
        },
    )


@routes.post("/operations/recordings/{sid}/retry")
def retry(context: Context, sid: RecordingSid, back: Annotated[str, Form()] = "") -> RedirectResponse:
    """`back` is `call` on the page of the call, to which the answer leads then."""
    answer = _back(sum(context.work.run_now(workflow, sid) for workflow in ON_RECORDINGS) > 0)
    if back == "call":
        with context.database.read() as conn:
            [call_id] = recordings.call_ids(conn, {sid}).values()
        answer = RedirectResponse(f"/calls/{call_id}", 303)
    return answer


@routes.post("/operations/retry")
@heavy
def retry_all(context: Context) -> RedirectResponse:
    for item in context.work.unfinished():
        if item.state is WorkState.PARKED and item.workflow in ON_RECORDINGS:
            context.work.run_now(item.workflow, item.key)
    return _back()


@routes.post("/operations/recordings/{sid}/skip")
def skip(context: Context, sid: RecordingSid) -> RedirectResponse:
    return _back(sum(context.work.cancel(workflow, sid) for workflow in ON_RECORDINGS) > 0)


@routes.get("/metrics")
def metrics(context: Context) -> Response:
    if context.metrics is None:
        raise not_found("metric")
    return Response(context.metrics.text(), media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


def _back(found: bool = True) -> RedirectResponse:
    if not found:
        raise not_found("parked recording")
    return RedirectResponse("/operations", 303)
