"""`callreel simulate`: one call by the simulated carrier into a running server."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callreel.cli.command import AsJson, configure, print_json, report, with_options
from callreel.cli.voices import VoiceOptions
from callreel.domain.errors import SettingsError

if TYPE_CHECKING:
    from callreel.settings import Settings
    from callreel.simulator.account import SharedKey
    from callreel.simulator.carrier import CarrierConfig
    from callreel.simulator.scenario import CallOutcome, CallScript

CALLED_NUMBER = "+14155550100"


@dataclass(frozen=True, kw_only=True)
class SimulateOptions(VoiceOptions):
    """Options of `callreel simulate`."""

    voice_url: Annotated[
        str | None,
        typer.Option(
            help="URL from which the carrier requests TwiML.",
            show_default="/twilio/voice of CALLREEL_PUBLIC_URL",
        ),
    ] = None
    to: Annotated[str, typer.Option(help="The technician's phone number.")] = "+14155550123"
    incoming: Annotated[bool, typer.Option("--incoming", help="The technician calls our number instead.")] = (
        False
    )
    list_faults: Annotated[bool, typer.Option("--list-faults", help="List the faults and exit.")] = False
    rest_port: Annotated[
        int | None,
        typer.Option(
            help="Port of the carrier's REST API.", show_default="the port of CALLREEL_CARRIER_API_URL"
        ),
    ] = None
    stay: Annotated[
        bool, typer.Option("--stay", help="Keep the REST API running after the call, until Ctrl-C.")
    ] = False
    shared_key: Annotated[
        str | None,
        typer.Option(
            help="Sign webhooks with SHA-256 by this key of CALLREEL_SHARED_KEYS.",
            show_default="the auth token with SHA-1",
        ),
    ] = None
    as_json: AsJson = False


@with_options(SimulateOptions)
def simulate(options: SimulateOptions) -> None:
    """Place one call by the simulated carrier into a running server.

    The server downloads recordings from the simulated carrier, so both need the same credentials:

    - `export CALLREEL_CARRIER_API_URL=http://127.0.0.1:8010`

    - `export TWILIO_ACCOUNT_SID=AC… TWILIO_AUTH_TOKEN=… TWILIO_PHONE_NUMBER=+1…`

    - `callreel serve` in one terminal, `callreel simulate --stay` in another

    Examples:

    - `callreel simulate --fault stall --fault socket-cut=8`

    - `callreel simulate --incoming --speed 4 --json`
    """
    if options.list_faults:
        _print_faults()
        return
    settings = configure()
    script = _script(options, settings)
    outcome = _place(_config(options, settings), script, options)
    if options.as_json:
        print_json(summary(outcome))
    failed = [delivery for delivery in outcome.deliveries if not delivery.accepted]
    report(
        f"call {outcome.call_sid} {outcome.status} after {outcome.duration_ms / 1000:.1f} s,"
        f" {len(outcome.streams)} streams, {len(outcome.recordings)} recordings,"
        f" {len(failed)} of {len(outcome.deliveries)} webhooks failed",
        err=options.as_json,
    )
    raise typer.Exit(1 if outcome.refused else 0)


def summary(outcome: CallOutcome) -> dict[str, Any]:
    """The outcome of a call as JSON, without its audio."""
    return {
        "call_sid": outcome.call_sid,
        "child_sid": outcome.child_sid,
        "status": outcome.status,
        "refused": outcome.refused,
        "duration_ms": outcome.duration_ms,
        "answered_ms": outcome.answered_ms,
        "streams": [
            {"sid": s.sid, "start_ms": s.start_ms, "close_code": s.close_code, "error": s.error}
            for s in outcome.streams
        ],
        "recordings": [
            {"sid": r.sid, "status": r.status, "start_ms": r.start_ms} for r in outcome.recordings
        ],
        "webhooks": [{"url": d.url, "attempts": list(d.attempts)} for d in outcome.deliveries],
        "warnings": list(outcome.warnings),
    }


def _print_faults() -> None:
    from callreel.simulator.faults import FAULTS

    width = max(len(name) for name in FAULTS)
    for name, kind in FAULTS.items():
        default = "" if kind.default is None else f" (default {kind.default:g})"
        typer.echo(f"{name:<{width}}  {kind.description}{default}")


def _script(options: SimulateOptions, settings: Settings) -> CallScript:
    from callreel.domain.call import Direction, Role
    from callreel.simulator.scenario import CallScript

    return CallScript(
        agent_voice=options.voice(Role.AGENT),
        technician_voice=options.voice(Role.TECHNICIAN),
        direction=Direction.INCOMING if options.incoming else Direction.OUTGOING,
        number=options.to,
        our_number=settings.caller_id or CALLED_NUMBER,
        faults=options.faults(),
    )


def _config(options: SimulateOptions, settings: Settings) -> CarrierConfig:
    from urllib.parse import urlsplit

    from callreel.runtime.loopback import is_loopback
    from callreel.simulator.account import Account
    from callreel.simulator.carrier import CarrierConfig

    if settings.account_sid is None or settings.auth_token is None:
        raise SettingsError(
            "the simulated carrier signs webhooks with the server's credentials: set TWILIO_ACCOUNT_SID and"
            " TWILIO_AUTH_TOKEN to the server's values"
        )
    api = urlsplit(settings.carrier_api_url)
    if options.rest_port is None and not is_loopback(api.hostname):
        raise SettingsError(
            f"CALLREEL_CARRIER_API_URL is {settings.carrier_api_url}, so the server would download the recording"
            " from there; set it to http://127.0.0.1:8010 for both, or use --rest-port"
        )
    token = settings.auth_token.get_secret_value()
    secret = settings.api_key_secret
    return CarrierConfig(
        voice_url=options.voice_url or settings.url("/twilio/voice"),
        status_callback=None if options.voice_url else settings.url("/twilio/call-status"),
        port=options.rest_port if options.rest_port is not None else api.port or 80,
        account=Account(
            settings.account_sid,
            token,
            settings.api_key_sid or settings.account_sid,
            secret.get_secret_value() if secret else token,
            _shared_key(options, settings),
        ),
        speed=options.speed,
    )


def _shared_key(options: SimulateOptions, settings: Settings) -> SharedKey | None:
    from callreel.simulator.account import SharedKey

    if options.shared_key is None:
        return None
    secret = settings.shared_keys.get(options.shared_key)
    if secret is None:
        raise SettingsError(
            f"the shared key {options.shared_key} is unknown: add it to CALLREEL_SHARED_KEYS as sid=secret,"
            " for the server and for this command"
        )
    return SharedKey(options.shared_key, secret.get_secret_value())


def _place(config: CarrierConfig, script: CallScript, options: SimulateOptions) -> CallOutcome:
    import asyncio

    from callreel.simulator.carrier import SimulatedCarrier
    from callreel.simulator.scenario import Progress, Stage

    def on_progress(progress: Progress) -> None:
        if not options.as_json and progress.stage is not Stage.SPEAKING:
            typer.echo(f"{progress.position_ms / 1000:7.2f} s  {progress.stage}")

    async def place() -> CallOutcome:
        async with SimulatedCarrier(config) as carrier:
            outcome = await carrier.place(script, on_progress)
            if options.stay:
                report(
                    f"the carrier's REST API keeps running at {carrier.api_url}; stop it with Ctrl-C",
                    err=True,
                )
                await _until_stopped()
            return outcome

    return asyncio.run(place())


async def _until_stopped() -> None:
    import asyncio

    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
