"""`callreel simulate`: one call by the stand-in carrier, against a server that runs."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callreel.cli.begin import begin
from callreel.domain.errors import SettingsError

if TYPE_CHECKING:
    from callreel.settings import Settings
    from callreel.simulator.carrier import CarrierConfig
    from callreel.simulator.scenario import CallOutcome, CallScript


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Try")(simulate)


def simulate(
    voice_url: Annotated[
        str | None,
        typer.Option(
            help="Where the carrier asks for TwiML.", show_default="/twilio/voice of CALLREEL_PUBLIC_URL"
        ),
    ] = None,
    agent: Annotated[
        Path | None, typer.Option(help="WAV with the agent's voice.", show_default="a shipped one")
    ] = None,
    technician: Annotated[
        Path | None, typer.Option(help="WAV with the technician's voice.", show_default="a shipped one")
    ] = None,
    to: Annotated[str, typer.Option(help="Number of the technician.")] = "+14155550123",
    incoming: Annotated[bool, typer.Option("--incoming", help="The technician calls our number.")] = False,
    speed: Annotated[float, typer.Option(min=0.1, max=50, help="How many times as fast as real time.")] = 1.0,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[=VALUE]", help="Let something go wrong; may be given several times."),
    ] = None,
    list_faults: Annotated[
        bool, typer.Option("--list-faults", help="List what can go wrong, and exit.")
    ] = False,
    rest_port: Annotated[
        int | None,
        typer.Option(help="Port of the carrier's REST API.", show_default="that of CALLREEL_CARRIER_API_URL"),
    ] = None,
    stay: Annotated[
        bool, typer.Option("--stay", help="Keep the REST API up after the call, until Ctrl-C.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="What became of the call, as one JSON document.")
    ] = False,
) -> None:
    """Place one call by the stand-in carrier into a server that runs.

    The server must fetch recordings from the stand-in, and both must know the same credentials:

    - `export CALLREEL_CARRIER_API_URL=http://127.0.0.1:8010`

    - `export TWILIO_ACCOUNT_SID=AC… TWILIO_AUTH_TOKEN=… TWILIO_PHONE_NUMBER=+1…`

    - `callreel serve` in one terminal, `callreel simulate --stay` in another

    Examples:

    - `callreel simulate --fault stall --fault socket-cut=8`

    - `callreel simulate --incoming --speed 4 --json`
    """
    if list_faults:
        _print_faults()
        return
    settings = begin(quiet=True)
    script = _script(agent, technician, to, incoming, settings, fault or [])
    outcome = _run(_config(settings, voice_url, speed, rest_port), script, stay=stay, tell=not as_json)
    if as_json:
        print(json.dumps(summary(outcome), indent=2))
    failed = [delivery for delivery in outcome.deliveries if not delivery.accepted]
    typer.echo(
        f"callreel: call {outcome.call_sid} {outcome.status} after {outcome.duration_ms / 1000:.1f} s,"
        f" {len(outcome.streams)} streams, {len(outcome.recordings)} recordings,"
        f" {len(failed)} of {len(outcome.deliveries)} webhooks failed",
        err=as_json,
    )
    raise typer.Exit(1 if outcome.refused else 0)


def summary(outcome: CallOutcome) -> dict[str, Any]:
    """What became of a call, as JSON; without its sound."""
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


def _script(
    agent: Path | None,
    technician: Path | None,
    to: str,
    incoming: bool,
    settings: Settings,
    faults: list[str],
) -> CallScript:
    from callreel.domain.call import Direction, Role
    from callreel.simulator.faults import parse_fault
    from callreel.simulator.scenario import CallScript
    from callreel.simulator.sound.voices import load_voice, shipped_voice

    return CallScript(
        agent_voice=load_voice(agent or shipped_voice(Role.AGENT)),
        technician_voice=load_voice(technician or shipped_voice(Role.TECHNICIAN)),
        direction=Direction.INCOMING if incoming else Direction.OUTGOING,
        number=to,
        our_number=settings.caller_id or CALLED_NUMBER,
        faults=tuple(parse_fault(text) for text in faults),
    )


CALLED_NUMBER = "+14155550100"


def _config(settings: Settings, voice_url: str | None, speed: float, rest_port: int | None) -> CarrierConfig:
    from urllib.parse import urlsplit

    from callreel.simulator.carrier import CarrierConfig

    if settings.account_sid is None or settings.auth_token is None:
        raise SettingsError(
            "the stand-in signs as the server expects it: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN as for the server"
        )
    api = urlsplit(settings.carrier_api_url)
    if rest_port is None and api.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise SettingsError(
            f"CALLREEL_CARRIER_API_URL is {settings.carrier_api_url}, so the server would ask there for the recording;"
            " set it to http://127.0.0.1:8010 for both, or give --rest-port"
        )
    token = settings.auth_token.get_secret_value()
    secret = settings.api_key_secret
    return CarrierConfig(
        voice_url=voice_url or settings.url("/twilio/voice"),
        status_callback=None if voice_url else settings.url("/twilio/call-status"),
        port=rest_port if rest_port is not None else api.port or 80,
        account_sid=settings.account_sid,
        auth_token=token,
        api_key_sid=settings.api_key_sid or settings.account_sid,
        api_key_secret=secret.get_secret_value() if secret else token,
        speed=speed,
    )


def _run(config: CarrierConfig, script: CallScript, *, stay: bool, tell: bool) -> CallOutcome:
    import asyncio

    from callreel.simulator.carrier import StandInCarrier
    from callreel.simulator.scenario import Progress, Stage

    def on_progress(progress: Progress) -> None:
        if tell and progress.stage is not Stage.SPEAKING:
            typer.echo(f"{progress.position_ms / 1000:7.2f} s  {progress.stage}")

    async def place() -> CallOutcome:
        async with StandInCarrier(config) as carrier:
            outcome = await carrier.place(script, on_progress)
            if stay:
                typer.echo(
                    f"callreel: the carrier's REST API stays up on {carrier.api_url}; Ctrl-C ends it",
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
