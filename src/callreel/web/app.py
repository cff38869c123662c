"""The web application, put together from its routers. Who builds what it needs is `callreel.app`, not this.

Order of the layers around every route: security headers, then the gate (host, origin, sign-in), then the routes.
"""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.types import Lifespan

from callreel import __version__
from callreel.services.bus import EventSource
from callreel.services.clock import Clock
from callreel.store.blobs import BlobStore
from callreel.store.database import Database
from callreel.web import api, live, media, pages, signin
from callreel.web.errors import install_error_answers
from callreel.web.gate import Gate, SecurityHeaders
from callreel.web.options import WebContext, WebOptions
from callreel.web.render import STATIC, Renderer

__all__ = ["WebOptions", "create_app"]


def create_app(
    *,
    database: Database,
    blobs: BlobStore,
    bus: EventSource,
    options: WebOptions,
    routers: Sequence[APIRouter] = (),
    lifespan: Lifespan[FastAPI] | None = None,
    clock: Clock | None = None,
) -> FastAPI:
    """The application. `routers` are added as they are; those under `/twilio/` stand outside the sign-in."""
    context = WebContext(database, blobs, bus, options)
    renderer = Renderer(options)
    sign_in = signin.SignIn(context, clock or Clock())
    app = FastAPI(
        title=options.title,
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        lifespan=lifespan,
    )
    app.state.renderer = renderer
    app.add_middleware(Gate, sign_in=sign_in, demo=options.demo)
    app.add_middleware(SecurityHeaders)
    install_error_answers(app)
    for router in (
        pages.router(context, renderer),
        signin.router(context, sign_in, renderer),
        api.router(context),
        live.router(context),
        media.router(context),
        *routers,
    ):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app
