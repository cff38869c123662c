"""The web application, put together from its routers. Who builds what it needs is `callreel.app`, not this.

Order of the layers around every route: security headers, then the gate (host, origin, sign-in), then the routes.
"""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI
from starlette.types import Lifespan

from callreel import __version__
from callreel.cluster.event_bus import EventBus
from callreel.cluster.event_publisher import EventPublisher
from callreel.ops.health import Health
from callreel.ops.metrics import Metrics
from callreel.runtime.clock import Clock
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore
from callreel.web.api import (
    calls,
    engines,
    erasure,
    exports,
    layer_audio,
    live_events,
    notes,
    people,
    revisions,
    softphone,
    statistics,
    tokens,
    waveform,
)
from callreel.web.api import health as health_routes
from callreel.web.auth import signin, welcome
from callreel.web.auth.gate import Gate, SecurityHeaders
from callreel.web.auth.person import demo_person
from callreel.web.errors import install_error_answers
from callreel.web.options import WebContext, WebOptions
from callreel.web.pages import erasure as erasure_pages
from callreel.web.pages import operations, pages
from callreel.web.pages.render import STATIC, Renderer
from callreel.web.pages.static_files import CompressedFiles

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
    context = WebContext(database, blobs, bus, options, EventPublisher(database, bus, clock), clock)
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
        calls.router(context),
        notes.router(context),
        revisions.router(context),
        waveform.router(context),
        statistics.router(context),
        people.router(context, sign_in),
        tokens.router(context),
        softphone.router(context),
        engines.router(context),
        erasure.router(context),
        erasure_pages.router(context, renderer),
        exports.router(context),
        live_events.router(context),
        layer_audio.router(context),
        health_routes.router(health),
        operations.router(context, renderer, health, metrics),
    ):
        app.include_router(router)
    app.mount("/static", CompressedFiles(directory=STATIC), name="static")
    return app
