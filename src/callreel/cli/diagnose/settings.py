"""`callreel settings`: every setting with value, source and description. Secrets are masked."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from callreel.cli.command import AsJson, print_json

if TYPE_CHECKING:
    from callreel.settings import SettingLine


def settings(
    as_json: AsJson = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page docs/settings.md, with defaults only.")
    ] = False,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only settings that differ from their default.")
    ] = False,
) -> None:
    """List all settings with value, source and description.

    Example: `CALLREEL_PORT=8080 callreel settings --changed`
    """
    from callreel.settings import describe, load_settings

    if markdown:
        sys.stdout.write(page())
        return
    lines = [line for line in describe(load_settings()) if not changed or line.source != "default"]
    if as_json:
        print_json([asdict(line) for line in lines])
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
        console.print("callreel: every setting has its default value")


def page() -> str:
    """docs/settings.md: the settings with their defaults, by section, in Markdown."""
    from callreel.settings import Settings, default_shown, env_names
    from callreel.settings.model import section_title

    text, section = [_INTRODUCTION], ""
    for name, field in Settings.model_fields.items():
        if section_title(name) != section:
            section = section_title(name)
            text.append(f"\n## {section}\n\n| setting | default | description |\n|---|---|---|\n")
        first, *others = [f"`{env}`" for env in env_names(name)]
        also = f" (also {', '.join(others)})" if others else ""
        text.append(f"| {first} | `{default_shown(name)}` | {field.description}{also} |\n")
    return "".join(text)


_INTRODUCTION = """# Settings

`callreel settings --markdown` generates this page; a test fails when it is out of date.

A setting is read from, in order of precedence: a command-line option, the environment, the file `callreel.toml` in the
working folder (or the file that `CALLREEL_CONFIG` names), the default below. In the file a name is written in lower case
without its prefix: `CALLREEL_DATA_DIR` is `data_dir`, `TWILIO_ACCOUNT_SID` is `account_sid`. Lists are TOML lists in the
file, and words separated by spaces or commas in the environment. An unknown name is an error.

    # callreel.toml
    public_url = "https://calls.example.com"
    data_dir = "/srv/callreel"
    dial_countries = ["US", "CA"]

`callreel settings` lists the current values and their sources. Secrets are never shown; set them in the environment
rather than in the file. `CALLREEL_DEBUG=1` adds tracebacks to error messages.
"""
