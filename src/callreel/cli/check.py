"""`callreel check`: every stored file against its row and digest, and back."""

from typing import Annotated

import typer

from callreel.cli.begin import begin


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Keep")(check)


def check(
    repair: Annotated[
        bool, typer.Option("--repair", help="Put right what is safe: nothing that could be audio is deleted.")
    ] = False,
) -> None:
    """Read every stored file and hold it against its row. Exit code 1 when something is wrong.

    Examples:

    - `callreel check`

    - `callreel check --repair`
    """
    settings = begin(quiet=True)
    from callreel.app.runtime import blob_store, spool_of
    from callreel.ops.integrity_check import IntegrityCheck
    from callreel.runtime.clock import Clock
    from callreel.store.db.database import Database

    database = Database.open(settings.app_database_url)
    try:
        database.migrate()
        database.quick_check()
        blobs = blob_store(settings)
        checking = IntegrityCheck(database, blobs, Clock().now(), repair=repair, spool=spool_of(blobs))
        checked = checking.run()
    finally:
        database.close()
    for finding in checked.findings:
        typer.echo(
            f"{finding.kind}\t{finding.path}\t{finding.what}{'; ' + finding.done if finding.done else ''}"
        )
    verdict = f"{len(checked.unresolved)} are wrong" if checked.unresolved else "all is well"
    typer.echo(f"callreel: {checked.files} files, {checked.size_bytes / 1e6:.1f} MB read: {verdict}")
    raise typer.Exit(1 if checked.unresolved else 0)
