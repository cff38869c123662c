"""The web application: middleware, routes, static files. `callreel.app` builds the services that it uses.

A request passes the security headers, then the gate (host, origin, sign-in, rights), then the limits of
its body, then its route.
"""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from callreel import __version__
from callreel.web.api import (
    audit,
    call_archive,
    calls,
    consent,
    engines,
    erasure,
    exports,
    health,
    layer_audio,
    listening,
    live_events,
    notes,
    pauses,
    people,
    phrase_rules,
    redactions,
    retention,
    revisions,
    roles,
    softphone,
    statistics,
    tokens,
    vcon,
    waveform,
)
from callreel.web.api import report as report_api
from callreel.web.api import webhooks as webhook_endpoints
from callreel.web.auth.auditor import Auditor
from callreel.web.auth.gate import Gate, SecurityHeaders
from callreel.web.auth.person import demo_person
from callreel.web.auth.provider_accounts import ProviderSignIn
from callreel.web.auth.second_factor import SecondFactors
from callreel.web.auth.signin import SignIn
from callreel.web.body_limits import BodyLimits
from callreel.web.carrier import consent as consent_webhooks
from callreel.web.carrier import webhooks
from callreel.web.errors import install_error_handlers
from callreel.web.insight import analysis, questions
from callreel.web.insight.awaited_answers import inquiry_threads
from callreel.web.options import WebContext, WebOptions
from callreel.web.organizing import bulk, facets, labels, saved_filters, triage
from callreel.web.pages import audit as audit_pages
from callreel.web.pages import erasure as erasure_pages
from callreel.web.pages import operations, pages, provider, report, second_factor, sessions, sign_in, wall
from callreel.web.pages import phrase_rules as phrase_rule_page
from callreel.web.pages import webhooks as webhook_page
from callreel.web.pages.render import STATIC, Renderer
from callreel.web.pages.static_files import CompressedFiles
from callreel.web.scorecards import forms as scorecard_forms
from callreel.web.scorecards import results as scorecard_results
from callreel.web.scorecards import reviews as scorecard_reviews

__all__ = ["WebContext", "WebOptions", "create_app"]

# The carrier's routes come first: they get the most requests, and routes are matched in order.
_ROUTED = (
    webhooks, consent_webhooks, pages, sign_in, provider, second_factor, sessions, calls, consent, notes, redactions, pauses, revisions, roles, waveform,
    statistics, bulk, facets, labels, saved_filters, triage, analysis, questions, people, tokens, softphone,
    engines, erasure, erasure_pages, retention, audit, audit_pages, exports, vcon, live_events, listening, layer_audio, call_archive, health, operations,
    webhook_endpoints, webhook_page, phrase_rules, phrase_rule_page, wall, scorecard_results, scorecard_forms, scorecard_reviews, report, report_api,
)  # fmt: skip


def create_app(
    context: WebContext, carrier: webhooks.CarrierServices | None = None, routers: Sequence[APIRouter] = ()
) -> FastAPI:
    """The application. Without `carrier` the routes under `/twilio/` are left out; `routers` are added to it."""
    options = context.options
    app = FastAPI(title=options.title, version=__version__, docs_url=None, redoc_url=None)
    app.state.open_streams = live_events.OpenStreams()
    app.state.context = context
    app.state.carrier = carrier
    app.state.renderer = Renderer(options)
    app.state.inquiries = inquiry_threads()
    app.state.sign_in = SignIn(context)
    app.state.provider = (
        ProviderSignIn(context, options.provider, app.state.sign_in) if options.provider else None
    )
    app.state.second_factors = SecondFactors(context, app.state.sign_in)
    app.state.auditor = Auditor(context.database, context.clock, context.access_changed or context.bus.resync)
    app.add_middleware(BodyLimits)
    app.add_middleware(
        Gate, sign_in=app.state.sign_in, auditor=app.state.auditor, database=context.database, demo=options.demo,
        default_person=demo_person(options.demo_identity) if options.no_sign_in else None,
    )  # fmt: skip
    app.add_middleware(SecurityHeaders)
    if options.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(options.trusted_proxies))
    install_error_handlers(app)
    # Not `include_router`: it prepares each route again for each application, which takes most of the first request, and
    # finds the route of each request twice.
    for module in _ROUTED:
        if module not in (webhooks, consent_webhooks) or carrier is not None:
            app.router.routes.extend(module.routes.routes)
    for router in routers:
        app.router.routes.extend(router.routes)
    app.mount("/static", CompressedFiles(directory=STATIC), name="static")
    return app
