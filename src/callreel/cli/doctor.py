"""`callreel doctor`: what is right, what is wrong and what to do about it, one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from callreel.cli.begin import begin
from callreel.domain.errors import CallreelError, SettingsError, StoreError

if TYPE_CHECKING:
    from callreel.ops.diagnosis import Finding
    from callreel.settings import Settings

_COLOURS = {"✓": "green", "!": "yellow", "✗": "red"}


def register(app: typer.Typer) -> None:
    group = typer.Typer(name="doctor", help=_HELP, invoke_without_command=True)
    group.callback()(examine)
    group.command("twiml")(twiml)
    group.command("call")(call)
    app.add_typer(group, rich_help_panel="Find out")


_HELP = """Find out what is wrong: machine, settings, folders, engine, server, public address, the carrier's ways in.

Exit code 1 when anything needs mending. Examples:

- `callreel doctor`

- `callreel doctor twiml --to +15551234567`

- `callreel doctor call CA0123456789abcdef0123456789abcdef`
"""


def examine(context: typer.Context) -> None:
    if context.invoked_subcommand is not None:
        return
    import asyncio

    from callreel.cli import checks, probes
    from callreel.ops.diagnosis import Finding, Mark

    found = checks.check_versions()
    try:
        settings = begin(quiet=True)
    except SettingsError as error:
        _tell([*found, Finding(Mark.BAD, "settings", str(error), "docs/settings.md lists them")])
        raise typer.Exit(1) from None
    found.append(_settings_finding(settings))
    found.append(checks.check_folder(settings.objects_dir))
    found.append(checks.check_database(settings))
    found += checks.check_engine(settings)
    found += checks.check_credentials(settings)
    found += asyncio.run(probes.probe(settings))
    raise typer.Exit(_tell(found))


def twiml(
    to: Annotated[str, typer.Option(help="Number that the agent calls, as +15551234567.")],
    incoming: Annotated[
        bool, typer.Option("--incoming", help="That of a call to our number instead.")
    ] = False,
) -> None:
    """Print the TwiML that a call gets, made by the server's own code. The stream's token is a placeholder.

    Example: `callreel doctor twiml --to +15551234567`
    """
    settings = begin(quiet=True)
    typer.echo(document(settings, to, incoming=incoming))


def document(settings: Settings, to: str, *, incoming: bool) -> str:
    """The TwiML of a call to `to`, indented. Raises SettingsError when the number may not be called."""
    from xml.etree import ElementTree

    from callreel.app.carrier import answer_options
    from callreel.ingest.voice_request import incoming_document, outgoing_document
    from callreel.twilio.dial_policy import Refused

    options = answer_options(settings)
    token = "single-use-token-of-the-call"
    if incoming:
        text = incoming_document(options, token)
    else:
        if settings.caller_id is None:
            raise SettingsError(
                "TWILIO_PHONE_NUMBER is not set, so nothing can be dialled; set it to your number"
            )
        decision = options.dial_policy.decide(to)
        if isinstance(decision, Refused):
            raise SettingsError(f"this number would be refused: {decision.reason}")
        text = outgoing_document(options, decision.e164, token)
    tree = ElementTree.fromstring(text)
    ElementTree.indent(tree)
    return ElementTree.tostring(tree, encoding="unicode")


def call(
    name: Annotated[str, typer.Argument(metavar="CALL", help="Id of the call, or its CallSid (CA…).")],
) -> None:
    """Say why a call's recording is absent, has one channel, has no callback yet or cannot be fetched.

    Example: `callreel doctor call 145b7e35a0ae`
    """
    settings = begin(quiet=True)
    from callreel.ops.diagnosis import explain_call
    from callreel.store.db.database import Database

    url = settings.app_database_url
    _require_file(url)
    database = Database.open(url)
    try:
        with database.read() as conn:
            found = explain_call(conn, name)
    finally:
        database.close()
    if not found:
        raise CallreelError(
            f"there is no call {name} in this database; the list of calls is on the server's first page"
        )
    raise typer.Exit(_tell(found))


def _require_file(url: str) -> None:
    """Looking at a call must not make a new, empty database."""
    from pathlib import Path

    path = url.removeprefix("sqlite:///")
    if path != url and not Path(path).exists():
        raise StoreError(f"there is no database at {path}; is CALLREEL_DATA_DIR the server's?")


def _settings_finding(settings: Settings) -> Finding:
    from callreel.ops.diagnosis import Finding, Mark

    sources = sorted(set(settings.sources.values()))
    return Finding(
        Mark.OK,
        "settings",
        f"{len(settings.sources)} set by {', '.join(sources) or 'nobody'}, the rest at default",
    )


def _tell(findings: list[Finding]) -> int:
    """Print them; the exit code."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for finding in findings:
        line = Text(finding.line)
        line.stylize(_COLOURS[finding.mark], 0, 1)
        console.print(line, soft_wrap=True)
    bad, odd = (sum(finding.mark == mark for finding in findings) for mark in "✗!")
    verdict = f"{bad} to mend" if bad else "all is well"
    console.print(f"callreel doctor: {verdict}" + (f", {odd} to know" if odd else ""), highlight=False)
    return 1 if bad else 0
