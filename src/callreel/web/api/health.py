"""`/health`: whether the server is up, and whether it can take calls. For load balancers and for people.

Needs no sign-in and tells the names of checks, never paths, addresses or messages: those stand in the log and on the
operations page.
"""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from callreel.ops.health import Health

NO_STORE = {"Cache-Control": "no-store"}


def router(health: Health | None) -> APIRouter:
    """`/health`, `/health/live` and `/health/ready`. Without `health` nothing is checked."""
    routes = APIRouter(tags=["service"])

    @routes.get("/health/live")
    def live() -> JSONResponse:
        """The process runs and answers. Restart it when it does not."""
        return JSONResponse({"status": "ok"}, headers=NO_STORE)

    @routes.get("/health")
    @routes.get("/health/ready")
    def ready() -> JSONResponse:
        """Whether calls can be taken: 200, or 503 with the names of the checks that fail.

        `degraded` is 200 too: something is wrong that calls do not need, as an object store that is away.
        """
        problems = health.problems() if health else []
        wrong = [problem.name for problem in problems]
        failed = [problem for problem in problems if health and health.blocks_calls(problem)]
        checks = {name: "failed" if name in wrong else "ok" for name in (health.names if health else ())}
        body: dict[str, object] = {"status": "failed" if failed else "degraded" if wrong else "ok"}
        if health is not None:
            body["checks"] = checks
        return JSONResponse(body, 503 if failed else 200, headers=NO_STORE)

    return routes
