"""`callreel archive` and `callreel unarchive`: audio as FLAC with derived files deleted, and the original files restored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from callreel.cli.command import DryRun, offline, report

if TYPE_CHECKING:
    from callreel.domain.ids import CallId
    from callreel.retention.archive import Archiver


def archive(
    call: Annotated[
        str | None, typer.Argument(help="ID of the call; without it, every call that is due.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Convert layers 1 and 3 to FLAC and delete the files that can be derived from them.

    A file is deleted only after its exact bytes were reproduced from the archive; its digest is kept. Players, exports and
    checks work as before. A running server archives automatically: see CALLREEL_ARCHIVE.

    Examples:

    - `callreel archive --dry-run`

    - `callreel archive 3f9c0a1b2c3d`
    """
    with offline() as (settings, installation):
        from callreel.app import schedules

        archiver = schedules.archiver_of(settings, installation)
        selected = [installation.existing_call(call)] if call else archiver.due()
        plain = kept = 0
        for call_id in selected:
            size = archiver.size(call_id) if dry_run else archiver.archive(call_id)
            plain, kept = plain + size.plain, kept + size.kept
            typer.echo(f"{call_id}\t{size.plain} bytes, {size.kept} kept")
    if not call and settings.archive == "never":
        report("automatic archiving is off (CALLREEL_ARCHIVE is never)")
    done = "would be archived" if dry_run else "archived"
    share = f", {100 * kept / plain:.1f} % of the bytes kept" if plain and not dry_run else ""
    report(f"{len(selected)} calls {done}{share}")


def unarchive(
    call: Annotated[str | None, typer.Argument(help="ID of the call.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All archived calls.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Reproduce and compare every file, but store none of them.")
    ] = False,
) -> None:
    """Restore the original files of an archived call; each must match its digest. The call is not archived again.

    Exit code 1 if a file differs.

    Examples:

    - `callreel unarchive 3f9c0a1b2c3d`

    - check all archives: `callreel unarchive --all --verify`
    """
    if (call is None) == (not every):
        raise typer.BadParameter("give the ID of a call, or --all")
    wrong = files = 0
    with offline() as (settings, installation):
        from callreel.app import schedules
        from callreel.store.audio.derived_cache import DigestMismatchError
        from callreel.store.calls import layers

        archiver = schedules.archiver_of(settings, installation)
        selected = [installation.existing_call(call or "")] if not every else []
        if every:
            with installation.database.read() as conn:
                selected = layers.archived_calls(conn)
        for call_id in selected:
            try:
                found = _verified(archiver, call_id) if verify else archiver.restore_files(call_id)
                files += found
                typer.echo(f"{call_id}\t{found} files {'verified' if verify else 'restored'}")
            except DigestMismatchError as error:
                wrong += 1
                typer.echo(f"{call_id}\t{error}")
    report(f"{files} files of {len(selected)} calls, {wrong or 'no'} calls with differences")
    raise typer.Exit(1 if wrong else 0)


def _verified(archiver: Archiver, call_id: CallId) -> int:
    from callreel.store.audio.derived_cache import DigestMismatchError

    good, wrong = archiver.verify(call_id)
    if wrong:
        raise DigestMismatchError("; ".join(wrong))
    return good
