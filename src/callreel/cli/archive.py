"""`callreel archive` and `callreel remake`: fewer bytes for the same samples, and the files back as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from callreel.cli.begin import begin

if TYPE_CHECKING:
    from callreel.app.offline import OfflineInstallation
    from callreel.domain.ids import CallId
    from callreel.retention.archive import Archiver


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Keep")(archive)
    app.command(rich_help_panel="Keep")(remake)


def archive(
    call: Annotated[
        str | None, typer.Argument(help="A call's id; without one, every call that is due.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which calls are due.")] = False,
) -> None:
    """Keep layers 1 and 3 as FLAC and drop what can be made again of them, now. A running server does it by itself.

    A file is dropped only after its very bytes came out of the archive; its digest stays. Players, exports and checks go
    on as before. When a server does it: CALLREEL_ARCHIVE.

    Examples:

    - `callreel archive --dry-run`

    - `callreel archive 3f9c0a1b2c3d`
    """
    settings = begin(quiet=True)
    from callreel.app import schedules
    from callreel.app.offline import at_rest

    with at_rest(settings) as rest:
        archiving = schedules.archiving(settings, rest.database, rest.blobs, rest.clock)
        wanted = [rest.known(call)] if call else archiving.due()
        plain = kept = 0
        for call_id in wanted:
            size = archiving.size(call_id) if dry_run else archiving.archive(call_id)
            plain, kept = plain + size.plain, kept + size.kept
            typer.echo(f"{call_id}\t{size.plain} bytes, {size.kept} kept")
    if not call and settings.archive == "never":
        typer.echo("callreel: nothing is archived by itself (CALLREEL_ARCHIVE is never)")
    done = "would be archived" if dry_run else "archived"
    share = f", {100 * kept / plain:.1f} % of the bytes are kept" if plain and not dry_run else ""
    typer.echo(f"callreel: {len(wanted)} calls {done}{share}")


def remake(
    call: Annotated[str | None, typer.Argument(help="A call's id.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All archived calls.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Make everything and compare it, and keep nothing of it.")
    ] = False,
) -> None:
    """Put the files of an archived call back in their places, equal by digest. It is not archived again by itself.

    Exit code 1 when a file does not come out as it was.

    Examples:

    - `callreel remake 3f9c0a1b2c3d`

    - would all of it come back? `callreel remake --all --verify`
    """
    settings = begin(quiet=True)
    from callreel.app import schedules
    from callreel.app.offline import at_rest
    from callreel.store.audio.derived_cache import DigestMismatchError

    if (call is None) == (not every):
        raise typer.BadParameter("give the id of a call, or --all")
    wrong = files = 0
    with at_rest(settings) as rest:
        archiving = schedules.archiving(settings, rest.database, rest.blobs, rest.clock)
        wanted = _archived(rest) if every else [rest.known(call or "")]
        for call_id in wanted:
            try:
                found = _verified(archiving, call_id) if verify else archiving.remake(call_id)
                files += found
                typer.echo(f"{call_id}\t{found} files {'would come' if verify else 'came'} back as they were")
            except DigestMismatchError as error:
                wrong += 1
                typer.echo(f"{call_id}\t{error}")
    typer.echo(f"callreel: {files} files of {len(wanted)} calls, {wrong or 'no'} calls with other bytes")
    raise typer.Exit(1 if wrong else 0)


def _verified(archiving: Archiver, call_id: CallId) -> int:
    from callreel.store.audio.derived_cache import DigestMismatchError

    good, wrong = archiving.verify(call_id)
    if wrong:
        raise DigestMismatchError("; ".join(wrong))
    return good


def _archived(rest: OfflineInstallation) -> list[CallId]:
    from callreel.store.calls import layers

    with rest.database.read() as conn:
        return layers.archived_calls(conn)
