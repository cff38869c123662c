"""A layer's audio, wherever and in whatever form it is kept: what every reader of audio goes through."""

from collections.abc import Sequence

from callreel.domain.call import Role
from callreel.domain.errors import StoreAwayError
from callreel.domain.recording import Layer, LayerFile
from callreel.services.wav_files import SoundFile
from callreel.store.blobs import BlobStore


def open_layer(blobs: BlobStore, file: LayerFile) -> SoundFile:
    """The layer's samples; close it. Raises StoreError when there are none, StoreAwayError while they are elsewhere."""
    if file.spool is not None and blobs.stat(file.path) is None:
        raise StoreAwayError(
            f"{file.path} is still on the spool of {file.spool} and not in the object store yet"
        )
    return SoundFile(blobs.reader(file.path), file.path)


def channel_file(files: Sequence[LayerFile], role: Role) -> LayerFile | None:
    """The split file of `role`, if the call has one; the first recording's, which has the shortest name."""
    split = [file for file in files if file.layer is Layer.CLOUD_CHANNEL and file.role is role]
    return min(split, key=lambda file: len(file.path), default=None)
