"""`callreel analyse`: asks the language model about calls that ended before one was set, or again after it changed."""

from __future__ import annotations

from typing import Annotated

import typer

from callreel.cli.command import COMMAND_LINE, DryRun, each_call, offline
from callreel.domain.errors import SettingsError


def analyse(
    call: Annotated[
        str | None, typer.Argument(help="ID of the call; without it, every call that has no analysis yet.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also the calls that were analysed before.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Ask the language model for summary, reason, outcome, action items and labels of finished calls.

    It sends the redacted transcripts to the server of CALLREEL_LANGUAGE_MODEL_URL. New calls are analysed automatically. What
    people wrote or decided stays. An interrupted command continues where it stopped when it is repeated. Exit code 1 if a
    call failed.

    Examples:

    - `callreel analyse --dry-run`

    - `callreel analyse 3f9c0a1b2c3d`
    """
    with offline() as (settings, installation):
        from secrets import token_hex

        from callreel.app.analysing import analysing_of, chat_server
        from callreel.domain.audit import Via
        from callreel.store.insight import analyses

        server = chat_server(settings)
        if server is None:
            raise SettingsError(
                "CALLREEL_LANGUAGE_MODEL_URL is not set; docs/language-model.md says how to set it up"
            )
        analysing = analysing_of(settings, installation, server)
        with installation.database.read() as conn:
            redacted = settings.redaction.redacts
            selected = analyses.unanalysed(conn, again=again, redacted=redacted)
        run = f"command {token_hex(4)}"
        try:
            each_call(
                [installation.existing_call(call)] if call else selected,
                lambda call_id: (
                    ""
                    if dry_run
                    else f"{analysing.analyse(call_id, run, COMMAND_LINE, Via.COMMAND_LINE)} items"
                ),
                "would be analysed" if dry_run else "analysed",
            )
        finally:
            server.close()
