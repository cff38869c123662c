"""`callreel retention` and `callreel subject`: retention policies, and requests of a person about their phone number."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from callreel.cli.command import by_command, offline, record_command, report
from callreel.domain.audit import AuditAction
from callreel.domain.errors import SettingsError, StoreError

if TYPE_CHECKING:
    from callreel.app.offline import OfflineInstallation
    from callreel.domain.events import Json
    from callreel.retention.subject_access import SubjectAccess

subject = typer.Typer(
    name="subject", help="Export or erase everything about one phone number.", no_args_is_help=True
)
_Number = Annotated[str, typer.Argument(help="Phone number with its country code.")]


def retention(
    rules: Annotated[
        str | None, typer.Option(help="Try these rules instead of those of CALLREEL_RETENTION.")
    ] = None,
    days: Annotated[
        int, typer.Option(min=0, max=3650, help="Also what is deleted within this many days.")
    ] = 0,
    deleted: Annotated[bool, typer.Option("--deleted", help="List what was deleted instead.")] = False,
) -> None:
    """List what retention policies delete next, without deleting anything, or what they deleted.

    A running server deletes what is due every hour. Calls on legal hold are kept.

    Examples:

    - `callreel retention --days 30`

    - `callreel retention --rules "verdict=suspect call=never; call=365"`
    """
    with offline() as (settings, installation):
        from callreel.domain.retention import parse_rules
        from callreel.retention.policies import preview, totals
        from callreel.store.calls import expired

        if deleted:
            with installation.database.read() as conn:
                rows = expired.newest(conn, 10_000)
            for row in rows:
                done = f"{row.done_at:%Y-%m-%d}" if row.done_at else "in progress"
                typer.echo(f"{done}\t{row.call_id}\t{row.kind}\t{row.policy}")
            report(f"{len(rows)} deletions by retention policies")
            return
        try:
            wanted = parse_rules(settings.retention if rules is None else rules)
        except ValueError as error:
            raise SettingsError(str(error)) from None
        due = preview(installation.database, wanted, installation.clock.now() + timedelta(days=days))
        for one in due:
            held = "\tkept by a legal hold" if one.held else ""
            typer.echo(f"{one.at:%Y-%m-%d}\t{one.call_id}\t{one.kind}\t{one.policy}{held}")
        for policy, going, kept in totals(due):
            report(f"{policy}: {going} calls, {kept} kept by a legal hold")
        report(f"{len(due)} deletions are due" if due else "nothing is due")


@subject.command("export")
def subject_export(
    number: _Number,
    to: Annotated[Path, typer.Option("--to", help="The ZIP file to write.")],
    original: Annotated[bool, typer.Option("--original", help="With what is redacted.")] = False,
) -> None:
    """Write everything about one phone number into a ZIP file: calls, transcripts, notes, audio, the phone book's entry.

    Examples:

    - `callreel subject export +12125550123 --to request-4711.zip`
    """
    if to.exists():
        raise SettingsError(f"{to} exists; choose another name")
    with offline() as (settings, installation):
        from callreel.domain.call import Role
        from callreel.postcall.redacted_audio import silences_of

        access = _access(installation)
        found = access.calls_of(number)
        details: dict[str, Json] = {"calls": [str(call_id) for call_id in found], "original": original}
        record_command(installation.database, AuditAction.EXPORTED, details=details)
        names = {Role.AGENT: settings.agent_name, Role.TECHNICIAN: settings.technician_name}
        silences = silences_of(settings.redaction_margin_ms)
        pieces = access.archive(number, found, names, silences, original=original)
        part = to.with_name(to.name + ".part")
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as writing:
                for piece in pieces:
                    writing.write(piece)
            part.rename(to)
        except OSError as error:
            raise StoreError(f"{to} cannot be written: {error.strerror}") from None
        finally:
            part.unlink(missing_ok=True)
    report(f"{len(found)} calls written to {to}")


@subject.command("erase")
def subject_erase(
    number: _Number,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")] = False,
    by: Annotated[str, typer.Option("--by", help="Who requests it; recorded.")] = "command line",
    reason: Annotated[str, typer.Option("--reason", help="Reason; recorded.")] = "",
) -> None:
    """Order the erasure of all calls with one phone number; a running server carries it out. Exit code 1 if calls stay.

    Saved filters with the number are deleted at once.

    Examples:

    - `callreel subject erase +12125550123 --reason "ticket 4711"`
    """
    with offline() as (_, installation):
        access = _access(installation)
        found = access.calls_of(number)
        if not yes:
            typer.confirm(f"Erase {len(found)} calls permanently, here and at the carrier?", abort=True)
        with by_command(AuditAction.ERASURE_ORDERED, by):
            done = access.erase(number, found, by, reason)
    for call_id in done.ordered:
        typer.echo(f"{call_id}\tordered")
    for call_id, why in done.refused.items():
        typer.echo(f"{call_id}\tkept: {why}")
    filters = f", {done.filters} saved filters deleted" if done.filters else ""
    report(f"erasure of {len(done.ordered)} calls ordered, {len(done.refused) or 'none'} kept{filters}")
    raise typer.Exit(1 if done.refused else 0)


def _access(installation: OfflineInstallation) -> SubjectAccess:
    from callreel.retention.subject_access import SubjectAccess

    return SubjectAccess(
        installation.database,
        installation.blobs,
        installation.clock,
        carrier_usable=installation.carrier.usable,
    )
