"""`callreel settings`: every setting with value, source and meaning. Secrets are masked."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from callreel.settings import SettingLine


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Find out")(settings)


def settings(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a list.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="The page docs/settings.md, with defaults only.")
    ] = False,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only those that are not at their default.")
    ] = False,
) -> None:
    """List all settings with value, source and meaning.

    Example: `CALLREEL_PORT=8080 callreel settings --changed`
    """
    from callreel.settings import describe, load_settings

    if markdown:
        sys.stdout.write(page())
        return
    lines = [line for line in describe(load_settings()) if not changed or line.source != "default"]
    if as_json:
        print(json.dumps([asdict(line) for line in lines], indent=2, ensure_ascii=False))
        return
    _print_list(lines)


def _print_list(lines: list[SettingLine]) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console()
    for line in lines:
        style = "" if line.source == "default" else "bold"
        head = Text.assemble(
            (line.env, "cyan"), " = ", (line.value_shown, style), (f"   ({line.source})", "dim")
        )
        console.print(head, soft_wrap=True)
        console.print(Padding(Text(line.meaning, style="dim"), (0, 0, 0, 4)))
    if not lines:
        console.print("callreel: every setting is at its default")


def page() -> str:
    """docs/settings.md: the settings with their defaults, in Markdown. A test fails when the stored page differs."""
    from callreel.settings import Settings, default_shown, env_names

    rows = []
    for name, field in Settings.model_fields.items():
        first, *others = [f"`{env}`" for env in env_names(name)]
        also = f" (also {', '.join(others)})" if others else ""
        rows.append(f"| {first} | `{default_shown(name)}` | {field.description}{also} |")
    return _PAGE.format(rows="\n".join(rows))


_PAGE = """# Settings

This page is written by `callreel settings --markdown`; a test fails when it is stale.

A setting comes from, strongest first: an option of the command, the environment, the file `callreel.toml` in the
working folder (or the one that `CALLREEL_CONFIG` names), the default below. In the file a name is written in small
letters without its prefix: `CALLREEL_DATA_DIR` is `data_dir`, `TWILIO_ACCOUNT_SID` is `account_sid`. Lists are TOML lists
there, and words with spaces or commas between them in the environment. An unknown name is refused.

    # callreel.toml
    public_url = "https://calls.example.com"
    data_dir = "/srv/callreel"
    dial_countries = ["US", "CA"]

`callreel settings` shows what is in force and where each value came from. Secrets are never shown. Keep them in the
environment rather than in the file. `CALLREEL_DEBUG=1` adds tracebacks to error messages.

| setting | default | meaning |
|---|---|---|
{rows}
"""
