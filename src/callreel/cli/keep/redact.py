"""`callreel redact`: redacts calls that were recorded before the policy was set, or again after it changed."""

from __future__ import annotations

from typing import Annotated

import typer

from callreel.cli.command import DryRun, each_call, offline
from callreel.domain.errors import SettingsError


def redact(
    call: Annotated[
        str | None, typer.Argument(help="ID of the call; without it, every call that is not redacted yet.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also the calls that were redacted before.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Find card numbers, phone numbers and the like in transcripts of finished calls; mask and silence them.

    What happens to the originals is what CALLREEL_REDACTION says. New calls are redacted automatically. An interrupted
    command continues where it stopped when it is repeated. Exit code 1 if a call failed.

    Examples:

    - `callreel redact --dry-run`

    - `callreel redact 3f9c0a1b2c3d`
    """
    with offline() as (settings, installation):
        from callreel.app.redaction import redactor_of
        from callreel.domain.redaction import RedactionPolicy
        from callreel.store.calls import calls

        if settings.redaction is RedactionPolicy.OFF and not dry_run:
            raise SettingsError("CALLREEL_REDACTION is off; set it to keep_both or redacted_only")
        redactor = redactor_of(settings, installation)
        destroy = settings.redaction is RedactionPolicy.REDACTED_ONLY
        with installation.database.read() as conn:
            selected = calls.closed(conn) if again else calls.to_redact(conn, destroy=destroy)
        redact_one = (
            (lambda call_id: len(redactor.redacting.preview(call_id))) if dry_run else redactor.redact
        )
        each_call(
            [installation.existing_call(call)] if call else selected,
            lambda call_id: f"{redact_one(call_id)} new redactions",
            "would be redacted" if dry_run else "redacted",
        )
