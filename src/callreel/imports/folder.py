"""Imports recordings from a folder: WAV, MP3, FLAC and OGG files, with what a metadata file says of them.

Without metadata every such file in the folder is imported, with it those that it names. A recording is known by the digest
of its file, so a repeated import continues, and a file under another name is not imported again.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from callreel.domain.call import Role, Topology
from callreel.domain.caller import WITHHELD
from callreel.domain.errors import AudioFileError, CallreelError, StoreError
from callreel.domain.ids import LegSid, RecordingSid
from callreel.domain.recording import FILE_PREFIX
from callreel.imports import sound_conversion
from callreel.imports.imported_calls import ImportedCall, ImportedCalls, Sound, Standing, recording_key
from callreel.imports.metadata import Defaults, Metadata, MetadataError, read_row, read_rows
from callreel.imports.outcome import BY_STANDING, Outcome, Result
from callreel.imports.sound_conversion import SourceFile
from callreel.runtime.clock import Clock
from callreel.store.files.blobs import BlobExistsError, BlobInfo, BlobStore
from callreel.store.files.durable_files import path_inside
from callreel.store.files.sound_files import SoundFile

SOURCE = "file"
WITHOUT_TEXT = "one channel: kept without a transcript"


class FolderImport:
    """Blocking."""

    def __init__(
        self,
        calls: ImportedCalls,
        blobs: BlobStore,
        clock: Clock,
        folder: Path,
        defaults: Defaults,
        *,
        swapped: bool = False,
    ) -> None:
        """`swapped` is the setting for carriers whose channels are the other way round."""
        self._calls = calls
        self._blobs = blobs
        self._clock = clock
        self._folder = folder
        self._defaults = defaults
        self._swapped = swapped

    def names(self) -> list[str]:
        """The sound files in the folder and the folders in it, by name. Symbolic links are not followed."""
        found = []
        for place, folders, files in os.walk(self._folder):
            folders.sort()
            relative = Path(place).relative_to(self._folder)
            found += [(relative / file).as_posix() for file in files if _is_sound(file)]
        return sorted(found)

    def rows(self, metadata: Path) -> list[Metadata | Outcome]:
        """What a metadata file says, in its order; for a wrong row, the outcome that says so. Raises MetadataError."""
        found: list[Metadata | Outcome] = []
        for number, row in enumerate(read_rows(metadata), 1):
            try:
                found.append(read_row(row, self._defaults))
            except MetadataError as error:
                name = row.get("file") or f"recording {number} of {metadata.name}"
                found.append(Outcome(name, Result.FAILED, str(error)))
        return found

    def without_metadata(self, name: str) -> Metadata:
        """What is known of a file that no metadata describes."""
        return Metadata(name, None, self._defaults.agent, WITHHELD, self._defaults.direction)

    def stamp(self, name: str) -> tuple[int, int] | None:
        """Size and time of the last change of a file; None if there is none. (0, 0) for a name that is refused."""
        try:
            found = path_inside(self._folder, name).stat()
        except StoreError:
            return 0, 0
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns

    def run(self, rows: list[Metadata | Outcome], *, dry_run: bool = False) -> Iterator[Outcome]:
        """Import them one by one; with `dry_run` only check them."""
        for row in rows:
            yield row if isinstance(row, Outcome) else self.one(row, dry_run=dry_run)

    def one(self, row: Metadata, *, dry_run: bool = False) -> Outcome:
        """Import a recording."""
        try:
            return self._one(row, dry_run)
        except (CallreelError, OSError) as error:
            own = isinstance(error, AudioFileError | MetadataError)
            return Outcome(row.file, Result.FAILED, str(error), passing=not own)
        except (ValueError, OverflowError) as error:  # an odd name, or a time beyond the calendar
            return Outcome(row.file, Result.FAILED, f"cannot be imported: {error}")

    def _one(self, row: Metadata, dry_run: bool) -> Outcome:
        try:
            path = path_inside(self._folder, row.file)
        except StoreError as error:
            raise MetadataError(str(error)) from None
        if not _is_sound(path.name):
            raise MetadataError(f"expected a file that ends in {', '.join(sound_conversion.ENDINGS)}")
        source = sound_conversion.open_source(path, row.file)
        sid = f"{FILE_PREFIX}{source.sha256[:32]}"
        standing = self._calls.standing(RecordingSid(sid), LegSid(sid))
        if (result := BY_STANDING.get(standing)) is not None:
            source.file.close()
            return Outcome(row.file, result)
        modified = datetime.fromtimestamp(os.fstat(source.file.fileno()).st_mtime, UTC)
        with sound_conversion.open_sound(source) as sound:
            silent = self._silent_channel(row, sound.channels)
            made = sound_conversion.sound_of(sound, silent)
            call = self._call(row, sid, source, made, modified)
            if dry_run:
                return Outcome(row.file, Result.IMPORTED, _described(call, sound.channels, silent))
            blob = self._stored(recording_key(call.leg_sid, call.sid), sound, silent, standing)
            mono = WITHOUT_TEXT if made.channels == 1 else ""
        if (now := self._calls.save(call, blob, made)) is not None:
            self._calls.discard(self._blobs, blob.key, now)
            return Outcome(row.file, BY_STANDING[now])
        return Outcome(row.file, Result.IMPORTED, mono, call.call_id)

    def _stored(self, key: str, sound: SoundFile, silent: int | None, standing: Standing) -> BlobInfo:
        try:
            return sound_conversion.store(self._blobs, key, sound, silent)
        except BlobExistsError:
            # An import that was killed before it saved the call, with other metadata, left other channels.
            if standing is not Standing.NEW or self._calls.has_file(key):
                raise
            self._blobs.delete(key)
            return sound_conversion.store(self._blobs, key, sound, silent)

    def _call(
        self, row: Metadata, sid: str, source: SourceFile, sound: Sound, modified: datetime
    ) -> ImportedCall:
        length = timedelta(milliseconds=sound.duration_ms)
        # Without metadata a recorder's file was last written when the call ended.
        started_at = row.started_at or modified - length
        if started_at > self._clock.now() + timedelta(days=1) - length:
            raise MetadataError(f"started_at is in the future: {started_at.isoformat()}")
        return ImportedCall(
            RecordingSid(sid), LegSid(sid), row.direction, row.agent, row.number, self._inbound_role(row),
            started_at, started_at, started_at + length, started_at, SOURCE,
            # The digest of the file as it was given; that of our copy is with the layer.
            origin={"source": SOURCE, "file_sha256": source.sha256, "file_bytes": source.size_bytes},
        )  # fmt: skip

    def _inbound_role(self, row: Metadata) -> Role:
        """The party on channel 1: as the metadata says, else as the carrier lays channels out."""
        if row.agent_channel is not None:
            return Role.AGENT if row.agent_channel == 1 else Role.TECHNICIAN
        return Topology.of(row.direction, swapped=self._swapped).inbound

    def _silent_channel(self, row: Metadata, channels: int) -> int | None:
        """The channel to be added to a recording of one party."""
        if row.party is None:
            return None
        if channels != 1:
            raise MetadataError(f"party is for recordings of one channel; this one has {channels}")
        return 2 if self._inbound_role(row) is row.party else 1


def _described(call: ImportedCall, channels: int, silent: int | None) -> str:
    """What a dry run says, without the number."""
    about = f"{call.started_at.isoformat(timespec='seconds')} {call.agent} {call.direction}"
    if channels == 1:
        return f"{about}, {'one channel of one party' if silent else WITHOUT_TEXT}"
    return about


def _is_sound(name: str) -> bool:
    return name.lower().endswith(sound_conversion.ENDINGS) and not name.startswith(".")
