"""`callreel check`: compares every stored file with its database row and its digest."""

from typing import Annotated

import typer

from callreel.cli.command import offline, report


def check(
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Repair what is safe to repair; files that may be audio are never deleted."
        ),
    ] = False,
) -> None:
    """Read every stored file and compare it with its database row. Exit code 1 if a check fails.

    Examples:

    - `callreel check`

    - `callreel check --repair`
    """
    with offline() as (_, installation):
        from callreel.app.runtime import spool_of
        from callreel.ops.integrity_check import IntegrityCheck

        installation.database.quick_check()
        blobs = installation.blobs
        now = installation.clock.now()
        checked = IntegrityCheck(
            installation.database, blobs, now, repair=repair, spool=spool_of(blobs)
        ).run()
    for finding in checked.findings:
        typer.echo(
            f"{finding.kind}\t{finding.path}\t{finding.what}{'; ' + finding.done if finding.done else ''}"
        )
    verdict = f"{len(checked.unresolved)} failed" if checked.unresolved else "all checks passed"
    report(f"read {checked.files} files, {checked.size_bytes / 1e6:.1f} MB: {verdict}")
    raise typer.Exit(1 if checked.unresolved else 0)
