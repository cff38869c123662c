"""Prints a finished call: transcript by speaker, layers with digests, verdict and cost.

The input is the JSON of `GET /api/v1/calls/{id}`, which `--json` prints unchanged.
"""

from typing import Any

from rich.console import Console
from rich.text import Text

from callreel.demo.screen import COLOURS, clock

_VERDICT_COLOURS = {"verified": "bold green", "explained": "bold yellow", "suspect": "bold red"}
_DIGEST_CHARS = 12


def show(console: Console, call: dict[str, Any]) -> None:
    """Print the summary; missing parts are reported as missing."""
    _transcript(console, call.get("turns") or [])
    _layers(console, call.get("layers") or [])
    _verdict(console, call)
    _cost(console, call.get("cost"))


def _transcript(console: Console, turns: list[dict[str, Any]]) -> None:
    console.print("\n[bold]Final transcript[/bold]" if turns else "\nNo final transcript.")
    for turn in turns:
        role = str(turn.get("role", ""))
        text = Text(f"{clock(int(turn.get('start_ms', 0)))}  ", style="dim")
        text.append(f"{role:<10} ", style=f"bold {COLOURS.get(role, '')}")
        console.print(text.append(str(turn.get("text", ""))), soft_wrap=not console.is_terminal)


def _layers(console: Console, layers: list[dict[str, Any]]) -> None:
    console.print("\n[bold]The three layers[/bold]" if layers else "\nNo layers.")
    for layer in layers:
        digest = f"sha256 {layer['sha256'][:_DIGEST_CHARS]}…" if layer.get("sha256") else "not closed"
        facts = (
            f"{layer.get('layer', ''):<14}{layer.get('role') or 'both':<11}"
            f"{layer.get('rate_hz', 0):>6} Hz  {layer.get('channels', 0)} ch"
            f"{int(layer.get('duration_ms') or 0) / 1000:>9.2f} s  {digest}"
        )
        console.print(facts, highlight=False, markup=False, soft_wrap=True)
        console.print(Text(f"  {layer.get('path', '')}", style="dim"), soft_wrap=True)


def _verdict(console: Console, call: dict[str, Any]) -> None:
    verdict = str(call.get("verdict") or "none yet")
    console.print(Text.assemble(("\nVerdict: ", "bold"), (verdict, _VERDICT_COLOURS.get(verdict, "bold"))))
    for reason in call.get("reasons") or []:
        who = f"{reason['role']}: " if reason.get("role") else ""
        console.print(
            f"  {who}{reason.get('detail') or reason.get('code')}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _cost(console: Console, cost: Any) -> None:
    if not isinstance(cost, dict):
        return
    currency = cost.get("currency", "")
    items = ", ".join(f"{item.get('name')} {item.get('amount')}" for item in cost.get("items") or [])
    line = f"Cost at the carrier: {cost.get('total')} {currency}" + (f" ({items})" if items else "")
    console.print(line, highlight=False, markup=False, soft_wrap=True)
