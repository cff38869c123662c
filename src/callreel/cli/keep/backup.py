"""`callreel backup` and `callreel restore`: a copy of a running installation, and an installation restored from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from callreel.cli.command import configure, record_command, report
from callreel.domain.audit import AuditAction
from callreel.domain.errors import EncryptionKeyError, SettingsError

if TYPE_CHECKING:
    from callreel.settings import Settings


def backup(
    folder: Annotated[Path, typer.Argument(help="New or empty folder for the copy.")],
    verify: Annotated[bool, typer.Option("--verify", help="Only verify an existing copy.")] = False,
) -> None:
    """Copy databases and recordings while the server runs, with a digest of every file.

    Exit code 1 if a file is missing or differs from its database row.

    Examples:

    - `callreel backup /mnt/backup/callreel-$(date +%F)`

    - `callreel backup --verify /mnt/backup/callreel-2026-11-22`
    """
    settings = configure()
    from callreel.app.encryption import keyring_of
    from callreel.app.runtime import blob_store
    from callreel.ops import backup as backups
    from callreel.runtime.clock import Clock
    from callreel.store.db.database import Database

    if verify:
        wrong = backups.verify(folder)
        for line in wrong:
            typer.echo(line)
        report(f"the backup is damaged: {len(wrong)} files" if wrong else "the backup is complete")
        raise typer.Exit(1 if wrong else 0)
    databases = [sqlite_path(settings.app_database_url), sqlite_path(settings.durable_database_url)]
    if not databases[0].exists():
        raise SettingsError(f"there is no database at {databases[0]}; set CALLREEL_DATA_DIR")
    blobs = blob_store(settings)
    database = Database.open(settings.app_database_url)
    try:
        blobs.keys = keyring_of(settings, database)
        made = backups.make_backup(
            [path for path in databases if path.exists()],
            blobs,
            folder,
            Clock().now(),
            say=_report_step,
        )
        details = {"files": len(made.entries), "size_bytes": made.size_bytes, "missing": len(made.not_copied)}
        record_command(database, AuditAction.BACKUP_MADE, subject=str(folder), details=details)
    finally:
        database.close()
    for path in made.not_copied:
        typer.echo(f"missing or damaged: {path}", err=True)
    report(f"copied {len(made.entries)} files, {made.size_bytes / 1e6:.1f} MB, to {folder}")
    raise typer.Exit(1 if made.not_copied else 0)


def restore(
    folder: Annotated[Path, typer.Argument(help="Folder that `callreel backup` created.")],
) -> None:
    """Restore a backup into the data folder of the settings, which must be empty.

    Examples:

    - `CALLREEL_DATA_DIR=/srv/callreel callreel restore /mnt/backup/callreel-2026-11-22`
    """
    settings = configure()
    from callreel.ops import backup as backups

    for url in (settings.app_database_url, settings.durable_database_url):
        if sqlite_path(url).parent != settings.data_dir:
            raise SettingsError(
                "restore needs the databases in the data folder; unset CALLREEL_DATABASE_URL and"
                " CALLREEL_STAGES_DATABASE_URL"
            )
    restored = backups.restore(folder, settings.data_dir, settings.objects_dir, say=_report_step)
    _record_restore(settings, folder, restored.made_at)
    report(f"restored {len(restored.entries)} files of {restored.made_at} into {settings.data_dir}")


def _record_restore(settings: Settings, folder: Path, made_at: str) -> None:
    """Add the restore to the restored audit trail. A backup of encrypted data is also restored without its keys."""
    from callreel.app.encryption import keyring_of
    from callreel.store.db.database import Database

    database = Database.open(settings.app_database_url)
    try:
        keyring_of(settings, database)
        record_command(
            database, AuditAction.BACKUP_RESTORED, subject=str(folder), details={"made_at": made_at}
        )
    except EncryptionKeyError as error:
        report(f"the audit trail has no entry of this restore: {error}", err=True)
    finally:
        database.close()


def sqlite_path(url: str) -> Path:
    """The file of an SQLite URL. Raises SettingsError for another database."""
    prefix = "sqlite:///"
    if not url.startswith(prefix):
        raise SettingsError(
            "callreel backup copies SQLite installations; for PostgreSQL use pg_dump and copy the object store"
        )
    return Path(url.removeprefix(prefix))


def _report_step(text: str) -> None:
    report(text, err=True)
