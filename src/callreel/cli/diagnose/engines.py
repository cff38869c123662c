"""`callreel engines`: what each engine can do, whether it is usable here, and which ones are in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from callreel.cli.command import configure, print_json, print_table
from callreel.domain.errors import EngineError

if TYPE_CHECKING:
    from callreel.asr.engine import Capabilities
    from callreel.asr.engines.survey import Surveyed
    from callreel.settings import Settings


def engines(
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document, as GET /api/v1/engines answers.")
    ] = False,
) -> None:
    """List each engine with what it can do, whether it is usable on this machine, and which ones are in use.

    `CALLREEL_ENGINE=auto` picks the best usable one. This command loads, fetches and sends nothing.

    Examples:

    - `callreel engines`

    - `callreel engines --json`
    """
    settings = configure()
    from callreel.asr.engines.survey import facts
    from callreel.settings.engines import surveyed

    found = surveyed(settings)
    picked = _picked(settings)
    if as_json:
        print_json({**picked, "engines": [facts(one) for one in found]})
        return
    _show(found, picked)
    for purpose, choice in picked.items():
        typer.echo(f"{purpose}: {choice['engine'] or 'none'} ({choice['reason']})")


def _picked(settings: Settings) -> dict[str, dict[str, str]]:
    """The engine in use and why, by purpose."""
    from callreel.asr.engines.survey import Purpose
    from callreel.settings.engines import engine_for, fallback_for

    choices = {}
    for purpose in Purpose:
        try:
            selected = engine_for(settings, purpose)
        except EngineError as error:
            choices[purpose.value] = {"engine": "", "reason": str(error), "fallback": ""}
            continue
        other = fallback_for(settings, selected.choice, purpose)
        reason = selected.reason + (f"; {other.name} is the fallback" if other else "")
        choices[purpose.value] = {
            "engine": selected.choice.name, "reason": reason, "fallback": other.name if other else "",
        }  # fmt: skip
    return choices


def _show(found: list[Surveyed], picked: dict[str, dict[str, str]]) -> None:
    headings = (
        "engine", "model", "state", "partials", "word times", "confidence", "languages", "hints", "a minute", "runs",
    )  # fmt: skip
    print_table(headings, (_cells(one, picked) for one in found))


def _cells(one: Surveyed, picked: dict[str, dict[str, str]]) -> list[str]:
    capabilities = one.capabilities
    uses = [purpose for purpose, choice in picked.items() if choice["engine"] == one.name]
    return [
        one.name,
        capabilities.model,
        one.missing or ("in use: " + ", ".join(uses) if uses else "usable"),
        _yes(capabilities.partials),
        _yes(capabilities.word_times),
        _yes(capabilities.confidence),
        _languages(capabilities),
        _yes(capabilities.hints),
        f"{capabilities.cost_per_minute:g}",
        "here" if capabilities.runs_here else "remote",
    ]


def _languages(capabilities: Capabilities) -> str:
    others = len(set(capabilities.on_request) - set(capabilities.languages))
    return (", ".join(capabilities.languages) or "detects") + (f"; {others} on request" if others else "")


def _yes(value: bool) -> str:
    return "yes" if value else "no"
