"""Builds the web application from the runtime and the settings."""

import secrets
from urllib.parse import urlsplit

from fastapi import FastAPI

from callreel.app.analysing import language_model_fault, model_access_of
from callreel.app.carrier import answer_options, signature_check
from callreel.app.engines import engine_report
from callreel.app.live import LiveSide, leg_ended
from callreel.app.redaction import redaction_options
from callreel.app.runtime import Runtime
from callreel.asr.engine import Capabilities
from callreel.asr.engines.survey import Purpose
from callreel.asr.languages import named
from callreel.asr.workers.pool import StartedEngine
from callreel.cluster.event_relay import PeerMessage
from callreel.domain.call import Role
from callreel.domain.retention import parse_rules
from callreel.ingest.callback_intake import CallbackIntake
from callreel.ingest.consent import ConsentHandler
from callreel.ingest.voice_request import VoiceRequestHandler
from callreel.language_model.chat_server import ChatServer
from callreel.ops.health import Health
from callreel.ops.metrics import Metrics
from callreel.runtime.loopback import is_loopback
from callreel.runtime.periodic import PeriodicJob
from callreel.runtime.secret_tokens import new_token
from callreel.settings import Settings, describe
from callreel.settings.access import parse_roles
from callreel.web.app import create_app
from callreel.web.carrier.webhooks import CarrierServices
from callreel.web.options import ProviderOptions, ShownSetting, SoftphoneOptions, WebContext, WebOptions


def web_app(  # noqa: PLR0913  # what the composition root has built
    runtime: Runtime,
    engine: StartedEngine,
    live: LiveSide,
    dispatch: PeriodicJob,
    health: Health,
    metrics: Metrics,
    *,
    demo: bool,
    demo_sign_in: bool,
    chat: ChatServer | None = None,
) -> FastAPI:
    """All routes of the server except the media socket, which `http_with_media` handles. `chat` answers questions about calls."""
    settings = runtime.settings
    answers = answer_options(settings)
    final = runtime.final.capabilities if runtime.final is not None else engine.capabilities
    answering = VoiceRequestHandler(
        runtime.database, runtime.publisher, answers, runtime.clock,
        new_call_id=lambda: secrets.token_hex(6), new_token=new_token, owner=runtime.process,
        supports=final.supports,
    )  # fmt: skip

    def stream_ended(stream_sid: str) -> None:
        live.ownership.stream_stopped(stream_sid)
        runtime.relay.send(PeerMessage.STREAM_ENDED, stream_sid)

    def access_changed() -> None:
        runtime.bus.resync()
        runtime.relay.send(PeerMessage.ACCESS_CHANGED, "")

    intake = CallbackIntake(
        runtime.clock, recording_changed=dispatch.wake, leg_ended=leg_ended(runtime, live.ownership),
        stream_ended=stream_ended,
    )  # fmt: skip
    consent = ConsentHandler(
        runtime.database, runtime.commits, answers, runtime.clock, new_token,
        live.consented.granted,
    )  # fmt: skip
    carrier = CarrierServices(
        signature_check(settings), settings.public_url, answering, consent, intake, runtime.commits,
        live.counters, dry_runs=demo,
    )  # fmt: skip
    context = WebContext(
        runtime.database,
        runtime.blobs,
        runtime.bus,
        _web_options(runtime, engine, final, demo, demo_sign_in),
        runtime.clock,
        health=health,
        metrics=metrics,
        work=runtime.durable,
        pausing=live.pausing,
        recording_stop=live.stop,
        model=model_access_of(settings, runtime, chat),
        access_changed=access_changed,
    )
    return create_app(context, carrier)


def _web_options(
    runtime: Runtime, engine: StartedEngine, final: Capabilities, demo: bool, demo_sign_in: bool
) -> WebOptions:
    settings = runtime.settings
    return WebOptions(
        demo=demo,
        demo_sign_in=demo_sign_in,
        secure_cookies=settings.public_url.startswith("https:"),
        role_names={Role.AGENT: settings.agent_name, Role.TECHNICIAN: settings.technician_name},
        engine_report=lambda: engine_report(settings, {Purpose.LIVE: engine, Purpose.FINAL: runtime.final}),
        check_language=final.language_option,
        languages=sorted(((code, named(code)) for code in final.on_request), key=lambda pair: pair[1]),
        prices=settings.prices,
        monthly_budget=settings.monthly_budget,
        carrier_usable=runtime.carrier.usable,
        public_url=settings.public_url,
        softphone=softphone_options(settings),
        dial_policy=answer_options(settings).dial_policy,
        demo_identity=settings.incoming_agent,
        trusted_proxies=settings.trusted_proxies,
        jurisdictions=settings.jurisdictions,
        settings=shown_settings(settings),
        missing=carrier_missing(settings),
        redaction=redaction_options(settings),
        session_hours=settings.session_hours,
        second_factor=settings.second_factor,
        provider=provider_options(settings),
        local_accounts=settings.local_accounts,
        session_idle_s=None if settings.session_idle_minutes is None else settings.session_idle_minutes * 60,
        playback_reason=settings.playback_reason,
        audit_search_text=settings.audit_search_text,
        retention=parse_rules(settings.retention),
        webhook_inside_hosts=settings.webhook_inside_hosts,
        mails_report=settings.smtp_host is not None,
        language_model=settings.language_model or "" if settings.language_model_url else "",
        language_model_fault=lambda: language_model_fault(settings),
    )


def provider_options(settings: Settings) -> ProviderOptions | None:
    """The provider at which people sign in; None without one."""
    if settings.oidc_issuer is None:
        return None
    secret = settings.oidc_client_secret
    return ProviderOptions(
        settings.oidc_issuer,
        settings.oidc_client_id or "",
        secret.get_secret_value() if secret else "",
        settings.oidc_scopes,
        settings.oidc_groups_claim,
        parse_roles(settings.oidc_roles or ""),
    )


def shown_settings(settings: Settings) -> list[ShownSetting]:
    """All settings in force, for the settings page; secrets are masked."""
    return [
        ShownSetting(line.section, line.env, line.value_shown, line.source, line.meaning)
        for line in describe(settings)
    ]


def changed_settings(settings: Settings) -> dict[str, str]:
    """The settings that are not defaults, for the audit trail; secrets are masked."""
    return {line.env: line.value_shown for line in describe(settings) if line.source != "default"}


def carrier_missing(settings: Settings) -> list[str]:
    """The settings that the carrier requires and that are not set, each with a description."""
    missing = softphone_options(settings).missing
    if settings.auth_token is None and not settings.shared_keys:
        missing.append("TWILIO_AUTH_TOKEN, the account's auth token: without it no webhook can be trusted")
    if is_loopback(urlsplit(settings.public_url).hostname) and not settings.softphone_signalling_address:
        missing.append("CALLREEL_PUBLIC_URL, the address under which the carrier reaches this server")
    return missing


def softphone_options(settings: Settings) -> SoftphoneOptions:
    """What browsers need to place calls; settings without a value are empty."""
    secret = settings.api_key_secret
    return SoftphoneOptions(
        account_sid=settings.account_sid or "",
        api_key_sid=settings.api_key_sid or "",
        api_key_secret=secret.get_secret_value() if secret else "",
        application_sid=settings.twiml_app_sid or "",
        caller_id=settings.caller_id or "",
        token_ttl_s=settings.access_token_ttl_s,
        local_signal=settings.softphone_signalling_address,
    )
