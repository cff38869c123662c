"""`/health`: whether the server runs, and whether it can take calls. For load balancers and monitoring.

Needs no sign-in, so it names failing checks only; paths, addresses and messages are in the log and on the operations
page.
"""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from callreel.web.dependencies import Context

_NO_STORE = {"Cache-Control": "no-store"}

routes = APIRouter(tags=["service"])


@routes.get("/health/live")
def live() -> JSONResponse:
    """Liveness: the process answers. Restart it when it does not."""
    return JSONResponse({"status": "ok"}, headers=_NO_STORE)


@routes.get("/health")
@routes.get("/health/ready")
def ready(context: Context) -> JSONResponse:
    """Readiness for calls: 200, or 503 with the names of the checks that fail.

    `degraded` is 200 too: a check failed that calls do not depend on, for example an unavailable object store.
    """
    health = context.health
    if health is None:
        return JSONResponse({"status": "ok"}, headers=_NO_STORE)
    problems = health.problems()
    failing = {problem.name for problem in problems}
    unready = any(health.blocks_calls(problem) for problem in problems)
    body = {
        "status": "failed" if unready else "degraded" if failing else "ok",
        "checks": {name: "failed" if name in failing else "ok" for name in health.names},
    }
    return JSONResponse(body, 503 if unready else 200, headers=_NO_STORE)
