"""`/operations` and `/metrics`: what waits, runs, is stuck or fails, for people and for Prometheus.

A stuck recording can be begun anew or left as it is, by a form each, and all of them begun anew by one, as after an outage;
all three leave everything that was kept.
"""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from callreel.domain.ids import RecordingSid
from callreel.ops.health import Health
from callreel.ops.metrics import CONTENT_TYPE, Metrics
from callreel.store.calls import calls, recordings, tallies
from callreel.store.db import processes
from callreel.web.errors import not_found
from callreel.web.options import WebContext
from callreel.web.pages.render import Renderer

SHOWN = 200


def router(
    context: WebContext, renderer: Renderer, health: Health | None, metrics: Metrics | None
) -> APIRouter:
    """The page with its forms, and the metrics where there are any."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/operations")
    def page(request: Request) -> HTMLResponse:
        with context.database.read() as conn:
            stuck, running = recordings.stuck(conn), recordings.running(conn)
            known = {row.call_id: calls.get(conn, row.call_id) for row in [*stuck, *running][: 2 * SHOWN]}
            states = tallies.calls_by_state(conn)
            everybody = processes.all_processes(conn)
        return renderer.page(
            request,
            "operations.html",
            here="operations",
            problems=health.problems() if health else [],
            stuck=stuck[:SHOWN],
            stuck_total=len(stuck),
            running=running[:SHOWN],
            running_total=len(running),
            calls=known,
            states={str(state): number for state, number in states.items()},
            processes=everybody,
        )

    @routes.post("/operations/recordings/{sid}/retry")
    def retry(sid: RecordingSid) -> RedirectResponse:
        with context.database.write() as conn:
            done = recordings.retry(conn, sid, context.clock.now())
        return _back(done)

    @routes.post("/operations/retry")
    def retry_all() -> RedirectResponse:
        with context.database.write() as conn:
            recordings.retry_all(conn, context.clock.now())
        return _back(True)

    @routes.post("/operations/recordings/{sid}/skip")
    def skip(sid: RecordingSid) -> RedirectResponse:
        with context.database.write() as conn:
            done = recordings.skip(conn, sid, context.clock.now())
        return _back(done)

    @routes.get("/metrics")
    def figures() -> Response:
        if metrics is None:
            raise not_found("metric")
        return Response(metrics.text(), media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})

    return routes


def _back(done: bool) -> RedirectResponse:
    if not done:
        raise not_found("stuck recording")
    return RedirectResponse("/operations", 303)
