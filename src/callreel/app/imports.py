"""Builds the imports from the settings, one import at a time in an installation's data folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from callreel.app.offline import OfflineInstallation
from callreel.cluster.process_lock import ProcessLock
from callreel.domain.errors import StoreError
from callreel.domain.redaction import RedactionPolicy
from callreel.imports.folder import FolderImport
from callreel.imports.imported_calls import ImportedCalls
from callreel.imports.metadata import Defaults
from callreel.settings import Settings

LOCK = "import"


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Within it, no other import runs on this data folder. Raises StoreError when one does."""
    lock = ProcessLock(settings.data_dir / "imports")
    if not lock.enter(LOCK):
        raise StoreError(
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
        redact=settings.redaction is not RedactionPolicy.OFF,
    )  # fmt: skip


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
