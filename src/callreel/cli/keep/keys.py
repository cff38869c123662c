"""`callreel keys`: master keys, their rotation, and the encryption of what was stored before."""

from typing import Annotated

import typer

from callreel.cli.command import by_command, configure, offline, report
from callreel.domain.audit import AuditAction
from callreel.domain.errors import SettingsError

app = typer.Typer(name="keys", help="Keys of the encryption at rest.", no_args_is_help=True)

_UNSET = "encryption is off: set CALLREEL_ENCRYPTION_KEYS, CALLREEL_ENCRYPTION_KEYS_FILE or CALLREEL_ENCRYPTION_KEYS_COMMAND"


@app.command()
def new(
    key_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="Name of the key. Default: today's date.")
    ] = None,
) -> None:
    """Print a new random master key as `id=base64`. Keep a copy apart from this machine: without it nothing can be read.

    Examples:

    - `(umask 077; callreel keys new 2026a > /etc/callreel/master-keys)`
    """
    from callreel.runtime.clock import Clock
    from callreel.store.encryption.master_keys import new_master_key

    typer.echo(new_master_key(key_id or f"{Clock().now():%Y-%m-%d}"))


@app.command("list")
def list_keys() -> None:
    """List the data keys and the master key that wraps each. No key is shown.

    Example: `callreel keys list`
    """
    with offline() as (settings, installation):
        from callreel.app.encryption import master_keys_of
        from callreel.store.encryption.keyring import all_keys

        masters = master_keys_of(settings)
        with installation.database.read() as conn:
            rows = all_keys(conn)
    if masters is None:
        raise SettingsError(_UNSET)
    for row in rows:
        typer.echo(f"{row.id}\t{row.purpose}\t{row.created_at:%Y-%m-%d}\t{row.master_key}")
    old = sum(row.master_key != masters.current for row in rows)
    waiting = f"; {old} wait for `callreel keys rotate`" if old else ""
    report(f"{len(rows)} data keys, current master key {masters.current}{waiting}")


@app.command()
def rotate() -> None:
    """Wrap all data keys with the first configured master key, and begin new ones. Servers may run meanwhile.

    Afterwards the other master keys are needed for older backups only.

    Example: `callreel keys rotate`
    """
    settings = configure()
    from callreel.app.encryption import keyring_of, master_keys_of
    from callreel.store.db.database import Database

    masters = master_keys_of(settings)
    if masters is None:
        raise SettingsError(_UNSET)
    database = Database.open(settings.app_database_url)
    try:
        database.migrate()
        keyring = keyring_of(settings, database)
        assert keyring is not None
        with by_command(AuditAction.KEYS_ROTATED, subject=masters.current):
            wrapped = keyring.rotate()
    finally:
        database.close()
    report(f"wrapped {wrapped} data keys with master key {masters.current}")


@app.command()
def encrypt() -> None:
    """Encrypt the files and rows of the time before encryption. May be interrupted and repeated; servers may run meanwhile.

    Example: `callreel keys encrypt`
    """
    with offline() as (_, installation):
        from callreel.ops.encrypt_existing import encrypt_files, encrypt_rows

        if installation.blobs.keys is None:
            raise SettingsError(_UNSET)
        with by_command(AuditAction.DATA_ENCRYPTED):
            rows = encrypt_rows(installation.database)
        report(f"encrypted {rows} rows", err=True)
        files, skipped = encrypt_files(installation.database, installation.blobs)
    report(
        f"encrypted {files} files and {rows} rows; {skipped or 'no'} files of live calls are left for later"
    )
