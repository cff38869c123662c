"""The web application, put together from its routers. Who builds what it needs is `callreel.app`, not this.

Order of the layers around every route: security headers, then the gate (host, origin, sign-in), then the routes.
"""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI
from starlette.types import Lifespan

from callreel import __version__
from callreel.services.announce import Announcer
from callreel.services.bus import EventBus
from callreel.services.clock import Clock
from callreel.services.health import Health
from callreel.services.metrics import Metrics
from callreel.store.blobs import BlobStore
from callreel.store.database import Database
from callreel.web import (
    api,
    api_days,
    api_engines,
    api_erasing,
    api_notes,
    api_people,
    api_revisions,
    api_softphone,
    api_tokens,
    api_waveform,
    erasing,
    exports,
    live,
    media,
    operations,
    pages,
    signin,
    welcome,
)
from callreel.web import health as health_routes
from callreel.web.errors import install_error_answers
from callreel.web.gate import Gate, SecurityHeaders
from callreel.web.options import WebContext, WebOptions
from callreel.web.person import demo_person
from callreel.web.render import STATIC, Renderer
from callreel.web.static_files import CompressedFiles

__all__ = ["WebOptions", "create_app"]


def create_app(
    *,
    database: Database,
    blobs: BlobStore,
    bus: EventBus,
    options: WebOptions,
    routers: Sequence[APIRouter] = (),
    lifespan: Lifespan[FastAPI] | None = None,
    clock: Clock | None = None,
    health: Health | None = None,
    metrics: Metrics | None = None,
) -> FastAPI:
    """The application. `routers` are added as they are; those under `/twilio/` stand outside the sign-in."""
    clock = clock or Clock()
    context = WebContext(database, blobs, bus, options, Announcer(database, bus, clock), clock)
    renderer = Renderer(options)
    sign_in = signin.SignIn(context, clock)
    app = FastAPI(
        title=options.title,
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        lifespan=lifespan,
    )
    app.state.renderer = renderer
    app.add_middleware(
        Gate, sign_in=sign_in, database=database, demo=options.demo,
        everybody=demo_person(options.demo_identity) if options.no_sign_in else None,
    )  # fmt: skip
    app.add_middleware(SecurityHeaders)
    install_error_answers(app)
    for router in (
        *routers,  # first: the carrier asks most often, and routes are looked up in order
        pages.router(context, renderer),
        signin.router(context, sign_in, renderer),
        welcome.router(context, sign_in, renderer),
        api.router(context),
        api_notes.router(context),
        api_revisions.router(context),
        api_waveform.router(context),
        api_days.router(context),
        api_people.router(context, sign_in),
        api_tokens.router(context),
        api_softphone.router(context),
        api_engines.router(context),
        api_erasing.router(context),
        erasing.router(context, renderer),
        exports.router(context),
        live.router(context),
        media.router(context),
        health_routes.router(health),
        operations.router(context, renderer, health, metrics),
    ):
        app.include_router(router)
    app.mount("/static", CompressedFiles(directory=STATIC), name="static")
    return app
