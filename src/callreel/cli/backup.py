"""`callreel backup` and `callreel restore`: a copy of a running installation, and an installation made of it."""

from pathlib import Path
from typing import Annotated

import typer

from callreel.cli.begin import begin
from callreel.domain.errors import SettingsError


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Keep")(backup)
    app.command(rich_help_panel="Keep")(restore)


def backup(
    folder: Annotated[Path, typer.Argument(help="New or empty folder for the copy.")],
    verify: Annotated[bool, typer.Option("--verify", help="Only check a copy that was made before.")] = False,
) -> None:
    """Copy databases and recordings while the server runs, with a digest of every file.

    Exit code 1 when a file that a row names could not be copied as the row says.

    Examples:

    - `callreel backup /mnt/backup/callreel-$(date +%F)`

    - `callreel backup --verify /mnt/backup/callreel-2026-11-22`
    """
    settings = begin(quiet=True)
    from callreel.app.runtime import blob_store
    from callreel.ops import backup as backups
    from callreel.runtime.clock import Clock

    if verify:
        wrong = backups.verify(folder)
        for line in wrong:
            typer.echo(line)
        typer.echo(
            f"callreel: {'damaged: ' + str(len(wrong)) + ' files' if wrong else 'the backup is whole'}"
        )
        raise typer.Exit(1 if wrong else 0)
    databases = [sqlite_path(settings.app_database_url), sqlite_path(settings.durable_database_url)]
    made = backups.make_backup(
        [path for path in databases if path.exists()],
        blob_store(settings),
        folder,
        Clock().now(),
        say=_say,
    )
    for path in made.missing:
        typer.echo(f"missing or damaged: {path}", err=True)
    typer.echo(f"callreel: {len(made.entries)} files, {made.size_bytes / 1e6:.1f} MB in {folder}")
    raise typer.Exit(1 if made.missing else 0)


def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that `callreel backup` made.")],
) -> None:
    """Make an installation of a backup, in the data folder of the settings, which must be empty.

    Examples:

    - `CALLREEL_DATA_DIR=/srv/callreel callreel restore /mnt/backup/callreel-2026-11-22`
    """
    settings = begin(quiet=True)
    from callreel.ops import backup as backups

    for url in (settings.app_database_url, settings.durable_database_url):
        if sqlite_path(url).parent != settings.data_dir:
            raise SettingsError("a backup is restored with the databases in the data folder, their default")
    restored = backups.restore(folder, settings.data_dir, settings.objects_dir, say=_say)
    typer.echo(f"callreel: {len(restored.entries)} files of {restored.made_at} in {settings.data_dir}")


def sqlite_path(url: str) -> Path:
    """The file of an SQLite URL. Raises SettingsError for another database."""
    prefix = "sqlite:///"
    if not url.startswith(prefix):
        raise SettingsError(
            "callreel backup copies SQLite installations; for PostgreSQL use pg_dump and copy the object store"
        )
    return Path(url.removeprefix(prefix))


def _say(what: str) -> None:
    typer.echo(f"callreel: {what}", err=True)
