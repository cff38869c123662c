"""`callreel demo`: the main job on this machine, with no account and no internet."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callreel.cli.begin import begin, require_free
from callreel.domain.errors import SettingsError

if TYPE_CHECKING:
    from callreel.demo.rehearsal import Plan


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Try")(demo)


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End after the call; 0 only if it ended verified.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="End after the call and print its summary as one JSON document.")
    ] = False,
    agent: Annotated[
        Path | None, typer.Option(help="WAV with the agent's voice.", show_default="a shipped one")
    ] = None,
    technician: Annotated[
        Path | None, typer.Option(help="WAV with the technician's voice.", show_default="a shipped one")
    ] = None,
    speed: Annotated[float, typer.Option(min=0.1, max=50, help="How many times as fast as real time.")] = 1.0,
    port: Annotated[
        int | None, typer.Option(help="Port of the pages.", show_default="CALLREEL_PORT or 8000")
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder to keep the call in.", show_default="CALLREEL_DATA_DIR or ./callreel-data"),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=VALUE]", help="Let the carrier fail so; see callreel simulate --list-faults."
        ),
    ] = None,
) -> None:
    """Place one recorded, transcribed and verified call between two voices, with no account.

    Starts Callreel and a stand-in carrier on this machine, shows the call while it goes on, and prints its final
    transcript, its three layers, the verdict and the cost. In a terminal it then stays up to be explored.

    Examples:

    - `callreel demo`

    - `callreel demo --once --speed 4`

    - `callreel demo --json --agent me.wav --technician you.wav --fault absent > call.json`
    """
    from rich.console import Console

    plan = _plan(agent, technician, speed, port, data_dir, fault or [])
    stay = sys.stdout.isatty() and not once and not as_json
    console = Console(stderr=as_json)
    summary = _run(plan, console, stay=stay)
    if as_json:
        print(json.dumps(summary, indent=2, ensure_ascii=False))
    verdict = summary.get("verdict") or "no verdict"
    _line(console, f"callreel demo: {verdict}; the call is kept in {plan.data_dir}")
    raise typer.Exit(0 if verdict == "verified" else 1)


def _plan(
    agent: Path | None,
    technician: Path | None,
    speed: float,
    port: int | None,
    data_dir: Path | None,
    faults: list[str],
) -> Plan:
    """Everything that can be wrong is found here, before anything starts."""
    from callreel.demo.rehearsal import HOST, Plan
    from callreel.domain.call import Role
    from callreel.simulator.faults import parse_fault
    from callreel.simulator.sound.voices import load_voice, shipped_voice

    settings = begin({"port": port, "data_dir": data_dir}, quiet=True)
    plan = Plan(
        settings=settings,
        data_dir=settings.data_dir,
        port=settings.port,
        agent_voice=load_voice(agent or shipped_voice(Role.AGENT)),
        technician_voice=load_voice(technician or shipped_voice(Role.TECHNICIAN)),
        speed=speed,
        faults=tuple(parse_fault(text) for text in faults),
    )
    require_free(HOST, plan.port)
    try:
        plan.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(
            f"the data folder {plan.data_dir} cannot be made ({error.strerror}); name another with --data-dir"
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
                console,
                f"\nLook at it on {plan.shown_url}/calls/{call.get('call_id')} ; Ctrl-C ends the demo.",
            )

    with screen:
        try:
            return asyncio.run(rehearse(plan, screen, finished, stay=stay))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


def _line(console: Any, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
