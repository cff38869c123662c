"""Builds the imports from the settings, one import at a time in an installation's data folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from callreel.app.offline import NO_CREDENTIALS, OfflineInstallation
from callreel.app.schedules import deletion_of
from callreel.cluster.process_lock import ProcessLock
from callreel.domain.errors import SettingsError, StoreError
from callreel.imports.account import AccountImport, Options
from callreel.imports.folder import FolderImport
from callreel.imports.imported_calls import ImportedCalls
from callreel.imports.metadata import Defaults
from callreel.settings import Settings

LOCK = "import"


class AnotherImportError(StoreError):
    """Another import into the same data folder is running."""


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Within it, no other import runs on this data folder. Raises AnotherImportError when one does."""
    lock = ProcessLock(settings.data_dir / "imports")
    if not lock.enter(LOCK):
        raise AnotherImportError(
            f"another import into {settings.data_dir} is running; wait for its end, or stop it and repeat this command"
        )
    try:
        yield
    finally:
        lock.leave()


def imported_calls(
    settings: Settings, installation: OfflineInstallation, by: str, language: str
) -> ImportedCalls:
    return ImportedCalls(
        installation.database, installation.publisher, installation.clock, by=by, language=language,
        redact=settings.redaction.redacts,
    )  # fmt: skip


def account_import(
    settings: Settings,
    installation: OfflineInstallation,
    calls: ImportedCalls,
    wait: Callable[[float, str], None],
    *,
    delete_by: str | None,
    dry_run: bool,
) -> AccountImport:
    """`delete_by` is who deletes the carrier's copies; None keeps them. Raises SettingsError without credentials."""
    if not installation.carrier.usable:
        raise SettingsError(NO_CREDENTIALS)
    delete = None
    if delete_by is not None:
        delete = partial(deletion_of(settings, installation).delete_now, by=delete_by)
    options = Options(wait, delete, settings.swap_tracks, dry_run)
    return AccountImport(calls, installation.blobs, installation.carrier, options)


def folder_import(
    settings: Settings,
    installation: OfflineInstallation,
    folder: Path,
    calls: ImportedCalls,
    defaults: Defaults,
) -> FolderImport:
    return FolderImport(
        calls, installation.blobs, installation.clock, folder, defaults, swapped=settings.swap_tracks
    )
