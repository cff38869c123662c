"""`/operations` and `/metrics`: queued, running, failed and parked work, for people and for Prometheus.

A parked recording can be retried or skipped, and all of them can be retried, for example after an outage. None of this
deletes anything.
"""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from callreel.domain.ids import RecordingSid
from callreel.ops.metrics import CONTENT_TYPE
from callreel.store.calls import calls, recordings, tallies
from callreel.store.db import processes
from callreel.web.dependencies import Context, Pages
from callreel.web.errors import not_found

SHOWN = 200

routes = APIRouter(include_in_schema=False)


@routes.get("/operations")
def page(context: Context, pages: Pages, request: Request) -> HTMLResponse:
    with context.database.read() as conn:
        stuck, running = recordings.stuck(conn), recordings.running(conn)
        found = {row.call_id: calls.get(conn, row.call_id) for row in [*stuck, *running][: 2 * SHOWN]}
        states = tallies.calls_by_state(conn)
        everybody = processes.all_processes(conn)
    return pages.page(
        request,
        "operations.html",
        here="operations",
        problems=context.health.problems() if context.health else [],
        stuck=stuck[:SHOWN],
        stuck_total=len(stuck),
        running=running[:SHOWN],
        running_total=len(running),
        calls=found,
        states={str(state): number for state, number in states.items()},
        processes=everybody,
    )


@routes.post("/operations/recordings/{sid}/retry")
def retry(context: Context, sid: RecordingSid) -> RedirectResponse:
    with context.database.write() as conn:
        return _back(recordings.retry(conn, sid, context.clock.now()))


@routes.post("/operations/retry")
def retry_all(context: Context) -> RedirectResponse:
    with context.database.write() as conn:
        recordings.retry_all(conn, context.clock.now())
    return _back()


@routes.post("/operations/recordings/{sid}/skip")
def skip(context: Context, sid: RecordingSid) -> RedirectResponse:
    with context.database.write() as conn:
        return _back(recordings.skip(conn, sid, context.clock.now()))


@routes.get("/metrics")
def metrics(context: Context) -> Response:
    if context.metrics is None:
        raise not_found("metric")
    return Response(context.metrics.text(), media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


def _back(found: bool = True) -> RedirectResponse:
    if not found:
        raise not_found("stuck recording")
    return RedirectResponse("/operations", 303)
