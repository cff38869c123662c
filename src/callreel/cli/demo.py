"""`callreel demo`: one complete call on this machine, without an account and without internet access."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callreel.cli.command import AsJson, configure, print_json, require_free, with_options
from callreel.cli.voices import VoiceOptions
from callreel.domain.errors import SettingsError
from callreel.runtime.typed_command import as_typed

if TYPE_CHECKING:
    from callreel.demo.rehearsal import Plan


@dataclass(frozen=True, kw_only=True)
class DemoOptions(VoiceOptions):
    """Options of `callreel demo`."""

    once: Annotated[
        bool, typer.Option("--once", help="Exit after the call; exit code 0 only if it is verified.")
    ] = False
    as_json: AsJson = False
    port: Annotated[
        int | None, typer.Option(help="Port of the pages.", show_default="CALLREEL_PORT or 8000")
    ] = None
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder in which the call is stored.", show_default="CALLREEL_DATA_DIR or ./callreel-data"
        ),
    ] = None


@with_options(DemoOptions)
def demo(options: DemoOptions) -> None:
    """Place one recorded, transcribed and verified call between two voices, without an account.

    Starts Callreel and a simulated carrier on this machine, shows the call live, and prints its final transcript, its
    three layers, the verdict and the cost. In a terminal both keep running until Ctrl-C, unless --once or --json is given.

    Examples:

    - `callreel demo`

    - `callreel demo --once --speed 4`

    - `callreel demo --json --agent me.wav --technician you.wav --fault absent > call.json`
    """
    from rich.console import Console

    plan = _plan(options)
    stay = sys.stdout.isatty() and not options.once and not options.as_json
    console = Console(stderr=options.as_json)
    summary = _run(plan, console, stay=stay)
    if options.as_json:
        print_json(summary)
    verdict = summary.get("verdict") or "no verdict"
    _line(
        console,
        f"The demo's pages have ended with it. To see the call again: CALLREEL_DATA_DIR={shlex.quote(str(plan.data_dir))}"
        f" {as_typed('callreel serve')} --demo --port {plan.port}, then open {plan.shown_url}/calls/{summary.get('call_id')}",
    )
    _line(console, f"callreel demo: {verdict}; the call is stored in {plan.data_dir}")
    raise typer.Exit(0 if verdict == "verified" else 1)


def _plan(options: DemoOptions) -> Plan:
    """Validates everything before anything starts."""
    from callreel.demo.rehearsal import HOST, Plan
    from callreel.domain.call import Role

    settings = configure({"port": options.port, "data_dir": options.data_dir})
    plan = Plan(
        settings=settings,
        data_dir=settings.data_dir,
        port=settings.port,
        agent_voice=options.voice(Role.AGENT),
        technician_voice=options.voice(Role.TECHNICIAN),
        speed=options.speed,
        faults=options.faults(),
    )
    require_free(HOST, plan.port)
    try:
        plan.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(
            f"cannot create the data folder {plan.data_dir} ({error.strerror}); choose another with --data-dir"
        ) from None
    return plan


def _run(plan: Plan, console: Any, *, stay: bool) -> dict[str, Any]:
    import asyncio

    from callreel.demo import summary
    from callreel.demo.rehearsal import rehearse
    from callreel.demo.screen import Screen

    screen = Screen(console)

    def finished(call: dict[str, Any]) -> None:
        screen.close()
        summary.show(console, call)
        if stay:
            _line(
                console, f"\nOpen {plan.shown_url}/calls/{call.get('call_id')} ; stop the demo with Ctrl-C."
            )

    with screen:
        try:
            return asyncio.run(rehearse(plan, screen, finished, stay=stay))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


def _line(console: Any, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
