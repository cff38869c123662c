"""A layer's audio, wherever and in whatever form it is stored. Every reader of audio uses this module.

A layer is a WAV file on this disk or in the object store; an archived one is a FLAC file, or is rebuilt from one
(`domain/recording.Archived`). It is read as the original WAV file, by samples or by bytes.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import BinaryIO

from callreel.audio.resample import upsampled
from callreel.audio.samples import Samples
from callreel.audio.source import Source, Stretch, in_blocks
from callreel.domain.errors import StoreError, StoreUnavailableError
from callreel.domain.recording import Archived, Derivation, LayerFile, LayerState
from callreel.store.audio import derived_cache
from callreel.store.files.blobs import BlobStore
from callreel.store.files.sound_files import READ_BLOCK, SoundFile


def open_layer(blobs: BlobStore, file: LayerFile) -> SoundFile:
    """The layer's samples; close it. Raises StoreError if the file is missing, StoreUnavailableError while it is elsewhere."""
    if file.archived is not None:
        return _open_archived(blobs, file, file.archived)
    if file.spool is not None and blobs.stat(file.path) is None:
        raise StoreUnavailableError(
            f"{file.path} is still on the spool of {file.spool} and not in the object store yet"
        )
    return SoundFile(blobs.reader(file.path, complete=_is_complete(file)), file.path)


def layer_size(blobs: BlobStore, file: LayerFile) -> int | None:
    """The current size of the layer's WAV file; None if it is missing. Raises StoreUnavailableError while it is elsewhere."""
    if file.archived is not None:
        return file.size_bytes if blobs.stat(file.archived.key) is not None else None
    stat = blobs.stat(file.path)
    if stat is None and file.spool is not None:
        raise StoreUnavailableError(f"{file.path} is still on the spool of {file.spool}")
    return None if stat is None else stat.size_bytes


def layer_range(blobs: BlobStore, file: LayerFile, start: int, stop: int) -> Iterator[bytes]:
    """Bytes `start` up to but not including `stop` of the layer's WAV file. Raises StoreError at once."""
    archived = file.archived
    if archived is None:
        return blobs.open_range(file.path, start, stop, complete=_is_complete(file))
    if archived.derivation is Derivation.UPSAMPLED:
        return derived_cache.read_range(_upsampled(blobs, file, archived), start, stop)
    return _wav_range(_open_archived(blobs, file, archived), archived, start, stop)


def layer_digest(blobs: BlobStore, file: LayerFile) -> str:
    """The SHA-256 of the layer's WAV file as stored, or as rebuilt from the archive, read now. Raises StoreError."""
    if file.archived is None:
        return blobs.digest(file.path)
    digest = hashlib.sha256()
    for block in rebuilt_wav(blobs, file, file.archived):
        digest.update(block)
    return digest.hexdigest()


def rebuilt_wav(blobs: BlobStore, file: LayerFile, archived: Archived) -> Iterator[bytes]:
    """The original WAV file of an archived layer, in blocks. The caller verifies its digest."""
    if archived.derivation is Derivation.UPSAMPLED:
        yield base64.b64decode(archived.head)
        with SoundFile(blobs.reader(archived.key), archived.key) as sound:
            for samples in upsampled_in_parts(sound.channel(), archived.cuts):
                yield samples.astype("<i2").tobytes()
        yield base64.b64decode(archived.tail)
        return
    sound = _open_archived(blobs, file, archived)
    head, tail = (len(base64.b64decode(part)) for part in (archived.head, archived.tail))
    yield from _wav_range(sound, archived, 0, head + sound.samples * sound.channels * 2 + tail)


def upsampled_in_parts(samples8k: Source, cuts: Sequence[int]) -> Iterator[Samples]:
    """Layer 2 from layer 1. Resampling restarts at each of `cuts`, where a stream ended and another one continued."""
    for first, stop in pairwise([0, *cuts, samples8k.size]):
        yield from upsampled(in_blocks(Stretch(samples8k, first, stop), READ_BLOCK))


def _open_archived(blobs: BlobStore, file: LayerFile, archived: Archived) -> SoundFile:
    if archived.derivation is Derivation.UPSAMPLED:
        return SoundFile(_upsampled(blobs, file, archived), file.path)
    if blobs.stat(archived.key) is None:
        raise StoreError(f"there is no file {archived.key}, from which {file.path} is rebuilt")
    only = archived.channel if archived.derivation is Derivation.CHANNEL else None
    return SoundFile(blobs.reader(archived.key), archived.key, only=only)


def _is_complete(file: LayerFile) -> bool:
    return file.state is not LayerState.RECORDING


def _upsampled(blobs: BlobStore, file: LayerFile, archived: Archived) -> BinaryIO:
    return derived_cache.open_cached(blobs, file, lambda: rebuilt_wav(blobs, file, archived))


def _wav_range(sound: SoundFile, archived: Archived, start: int, stop: int) -> Iterator[bytes]:
    """Bytes of the WAV file with the samples of `sound`, which is closed afterwards."""
    with sound:
        head, tail = base64.b64decode(archived.head), base64.b64decode(archived.tail)
        frame_bytes = 2 * sound.channels
        data_end = len(head) + sound.samples * frame_bytes
        if start < len(head):
            yield head[start:stop]
        at, end = max(start, len(head)) - len(head), min(stop, data_end) - len(head)
        while at < end:
            first = at // frame_bytes
            last = min(-(-end // frame_bytes), first + READ_BLOCK)
            data = sound.read(first, last).astype("<i2").tobytes()
            yield data[at - first * frame_bytes : end - first * frame_bytes]
            at = last * frame_bytes
        if stop > data_end:
            yield tail[max(0, start - data_end) : stop - data_end]
