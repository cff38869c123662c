"""`callreel erase`: one call, for good."""

from typing import Annotated

import typer

from callreel.cli.begin import begin


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Keep")(erase)


def erase(
    call: Annotated[str, typer.Argument(help="A call's id.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    here_only: Annotated[
        bool, typer.Option("--here-only", help="Leave the carrier's copy of the recording.")
    ] = False,
    by: Annotated[str, typer.Option("--by", help="Who wants it; stays with the digests.")] = "command line",
) -> None:
    """Erase a call for good: audio, text, numbers and notes, here and at the carrier. That it was, and digests, stay.

    By itself after some days: CALLREEL_ERASE_AFTER_DAYS. Copies in backups stay in those.

    Examples:

    - `callreel erase 3f9c0a1b2c3d --by "request of 25 November"`
    """
    settings = begin(quiet=True)
    from callreel.app import schedules
    from callreel.app.offline import at_rest
    from callreel.domain.ids import CallId

    if not yes:
        typer.confirm(f"Erase call {call} for good?", abort=True)
    with at_rest(settings) as rest:
        erasing = schedules.erasing(settings, rest.database, rest.blobs, rest.carrier, rest.clock)
        files = erasing.erase(CallId(call), by, at_carrier=not here_only)
    typer.echo(f"callreel: call {call} is erased, with {files} files")
