"""A short call in two channels as sound files, and an installation that imports them."""

import os
from datetime import UTC
from pathlib import Path

import numpy as np
import soundfile

from callreel.audio.samples import Samples
from callreel.imports.folder import FolderImport
from callreel.imports.imported_calls import ImportedCalls
from callreel.imports.metadata import Defaults
from callreel.store.calls import outbox
from callreel.store.calls.outbox import Order
from tests.support.installation import NOON, Installation, silence, speech


def two_channels(seed: int = 1) -> Samples:
    """4.5 s: the first channel speaks, then the second. The first differs by `seed`."""
    first = np.concatenate([silence(400), speech(1_500, seed=seed), silence(2_600)])
    second = np.concatenate([silence(2_400), speech(1_300, seed=2), silence(800)])
    return np.stack([first, second], axis=1)


def write_sound(path: Path, samples: Samples | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, two_channels() if samples is None else samples, 8_000)
    os.utime(path, (NOON.timestamp(), NOON.timestamp()))
    return path


def importer(
    installation: Installation, folder: Path, *, swapped: bool = False, redact: bool = False
) -> FolderImport:
    calls = ImportedCalls(
        installation.database, installation.publisher, installation.clock, by="ada", redact=redact
    )
    return FolderImport(
        calls, installation.blobs, installation.clock, folder, Defaults(UTC, "US"), swapped=swapped
    )


def orders(installation: Installation) -> list[Order]:
    """The orders that a server would start now."""
    with installation.database.read() as conn:
        return outbox.due(conn, NOON)
