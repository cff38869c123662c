"""Archives a call: of its three layers, what cannot be derived again is kept as FLAC, and the files are deleted.

    layer 1                   -> FLAC
    layer 2                   -> layer 1, resampled again
    layer 3, whole            -> FLAC
    layer 3, split            -> the channels of the whole

A file is deleted only when its exact bytes were rebuilt from the stored FLAC file, by the digest in its row. What is not
rebuilt bit for bit (a layer that a full disk cut, a recording in another format) gets a FLAC file of its own, or stays.
After a kill at any instant the next sweep continues: first the row is updated, then the file is deleted.
"""

import base64
import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import PurePosixPath

import soundfile

from callreel.audio import wav
from callreel.audio.samples import ASR_HZ, SAMPLES_PER_MS, TELEPHONE_HZ
from callreel.domain.call import Role, Topology
from callreel.domain.errors import AudioFileError, StoreError, StoreUnavailableError
from callreel.domain.ids import CallId
from callreel.domain.recording import Archived, Derivation, Layer, LayerFile
from callreel.domain.verdict import Verdict
from callreel.runtime.clock import Clock
from callreel.runtime.periodic import PeriodicJob
from callreel.store.audio import derived_cache
from callreel.store.audio.layer_audio import layer_digest, rebuilt_wav
from callreel.store.calls import calls, layers, streams
from callreel.store.calls.streams import StreamRow
from callreel.store.db.database import Database
from callreel.store.db.tables import Form
from callreel.store.files.blobs import BlobExistsError, BlobInfo, BlobStore
from callreel.store.files.scratch import ScratchFile
from callreel.store.files.sound_files import SoundFile

log = logging.getLogger(__name__)

INTERVAL_S = 60.0
QUIET = timedelta(hours=1)
"""A call is not archived before this time after its verdict: meanwhile people listen to it, and it may be judged again."""
_HEAD_BYTES = 4096
_READ_BYTES = 1 << 20
_MOST_TAIL_BYTES = 65_536
_ORDER = (Layer.LIVE_8K, Layer.CLOUD, Layer.LIVE_16K, Layer.CLOUD_CHANNEL)
"""A layer comes after the one it is derived from."""


@dataclass(frozen=True, slots=True)
class Size:
    """Storage of a call in bytes: `plain` with all layers as WAV files, `kept` as it is."""

    plain: int
    kept: int


class Archiver:
    """Blocking; one call at a time."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        clock: Clock,
        *,
        after: timedelta | None,
        only_trusted: bool,
    ) -> None:
        """`after`: how long after its verdict a call is archived; None is never. `only_trusted` leaves out `suspect` calls."""
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._after = after
        trusted = (Verdict.VERIFIED, Verdict.EXPLAINED, Verdict.IMPORTED)
        self._verdicts = trusted if only_trusted else tuple(Verdict)

    def job(self, leads: Callable[[], bool]) -> PeriodicJob:
        """For every server; only the one for which `leads` is true does the work."""
        return PeriodicJob(name="archive", job=self.sweep, interval_s=INTERVAL_S, enabled=leads)

    def due(self) -> list[CallId]:
        """The calls that the policy archives now."""
        if self._after is None:
            return []
        with self._database.read() as conn:
            return layers.to_archive(conn, self._clock.now() - self._after, self._verdicts)

    def sweep(self) -> list[Size]:
        """Archive what is due. Raises StoreUnavailableError; skips a call with an unreadable file."""
        made = []
        for call_id in self.due():
            try:
                made.append(self.archive(call_id))
            except StoreUnavailableError:
                raise
            except StoreError as error:
                log.error("archiving a call failed: %s", error, extra={"call_id": call_id})
        return made

    def archive(self, call_id: CallId) -> Size:
        """Archive one call, or the rest of it. Raises StoreError, StoreUnavailableError."""
        with self._database.read() as conn:
            files = layers.of_call(conn, call_id)
            forms = layers.forms(conn, call_id)
            row = calls.get(conn, call_id)
            streamed = streams.of_call(conn, call_id)
        assert row is not None
        cuts = {role: _cuts(streamed, role) for role in Role}
        done = [file for file in files if file.archived is not None]
        for file in sorted(files, key=lambda file: _ORDER.index(file.layer)):
            if forms[file.path] is None and file.spool is None and file.sha256 is not None:
                archived = self._archived(file, done, row.topology, cuts)
                self._note(file, Form.BOTH if archived else Form.PLAIN, archived)
                if archived is not None:
                    done.append(replace(file, archived=archived))
        for file in done:
            if forms[file.path] is not Form.ARCHIVE:
                self._blobs.delete(file.path)
                self._note(file, Form.ARCHIVE, file.archived)
        size = self.size(call_id)
        log.info("call archived kept_bytes=%d of=%d", size.kept, size.plain, extra={"call_id": call_id})
        return size

    def size(self, call_id: CallId) -> Size:
        """The storage of the call's layers."""
        with self._database.read() as conn:
            return size_of(layers.of_call(conn, call_id))

    def restore_files(self, call_id: CallId) -> int:
        """Restore every file of the call, equal by digest; returns how many. The call is not archived again.

        Raises StoreError where one differs; those restored before stay.
        """
        with self._database.read() as conn:
            files = [file for file in layers.of_call(conn, call_id) if file.archived is not None]
        for file in files:
            assert file.archived is not None
            with self._blobs.open_writer(file.path) as writing:
                digest = hashlib.sha256()
                for block in rebuilt_wav(self._blobs, file, file.archived):
                    digest.update(block)
                    writing.write(block)
                if digest.hexdigest() != file.sha256:
                    raise derived_cache.DigestMismatchError(
                        f"{file.path}: the file rebuilt from the archive has other bytes"
                    )
                writing.commit()
        for file in files:
            self._note(file, Form.PLAIN, None)
            derived_cache.delete(self._blobs, file.sha256 or "")
        for key in {file.archived.key for file in files if file.archived is not None}:
            self._blobs.delete(key)
        return len(files)

    def verify(self, call_id: CallId) -> tuple[int, list[str]]:
        """Rebuild every file without storing it: how many are identical, and a line for each one that differs."""
        with self._database.read() as conn:
            files = [file for file in layers.of_call(conn, call_id) if file.archived is not None]
        wrong = [file.path for file in files if layer_digest(self._blobs, file) != file.sha256]
        return len(files) - len(wrong), [f"{path}: the rebuilt file has other bytes" for path in wrong]

    def _note(self, file: LayerFile, form: Form, archived: Archived | None) -> None:
        with self._database.write() as conn:
            if not layers.set_form(conn, file, form, archived):
                raise StoreError(f"{file.path} was replaced meanwhile")

    def _archived(
        self,
        file: LayerFile,
        done: Sequence[LayerFile],
        topology: Topology,
        cuts: dict[Role, tuple[int, ...]],
    ) -> Archived | None:
        """The source that rebuilds `file` bit for bit; None if the file has to stay."""
        try:
            head, tail = self._around(file)
        except AudioFileError:
            return None
        for candidate in _candidates(file, done, topology, cuts, head, tail):
            if self._rebuilds(file, candidate):
                return candidate
        try:
            flac = self._flac(file)
        except AudioFileError:
            return None
        if flac is None:
            return None
        whole = Archived(flac.key, flac.size_bytes, flac.sha256, Derivation.WHOLE, head, tail)
        if self._rebuilds(file, whole):
            return whole
        log.warning("%s is not archived: FLAC does not rebuild it bit for bit", file.path)
        self._blobs.delete(flac.key)
        return None

    def _rebuilds(self, file: LayerFile, archived: Archived) -> bool:
        try:
            return layer_digest(self._blobs, replace(file, archived=archived)) == file.sha256
        except StoreUnavailableError:
            raise
        except (StoreError, AudioFileError):
            return False

    def _around(self, file: LayerFile) -> tuple[str, str]:
        """The bytes before and after the samples, in base64. Raises AudioFileError for anything but 16-bit PCM."""
        with self._blobs.reader(file.path) as opened:
            head = opened.read(_HEAD_BYTES)
            info = wav.parse(head)
            if (info.format, info.bits) != (wav.PCM, 16) or not info.data_bytes:
                raise AudioFileError(f"{file.path} has no 16-bit samples")
            end = info.data_offset + info.data_bytes // info.frame_bytes * info.frame_bytes
            if not end <= file.size_bytes <= end + _MOST_TAIL_BYTES:
                raise AudioFileError(f"the length of {file.path} is not the one in its header")
            opened.seek(end)
            tail = opened.read()
        return base64.b64encode(head[: info.data_offset]).decode(), base64.b64encode(tail).decode()

    def _flac(self, file: LayerFile) -> BlobInfo | None:
        """The file's samples as FLAC, in the store."""
        key = str(PurePosixPath(file.path).with_suffix(".flac"))
        with ScratchFile() as scratch:
            try:
                with (
                    SoundFile(self._blobs.reader(file.path), file.path) as sound,
                    soundfile.SoundFile(
                        scratch,
                        "w",
                        sound.rate_hz,
                        sound.channels,
                        "PCM_16",
                        format="FLAC",
                        compression_level=1.0,
                    ) as flac,
                ):
                    for block in sound.blocks():
                        flac.write(block)
            except (soundfile.LibsndfileError, OSError) as error:
                raise StoreError(f"{key} cannot be written: {error}") from None
            try:
                return self._blobs.put(key, _content(scratch))
            except BlobExistsError:
                # Made by another encoder version, or from a recording downloaded again: encode and verify again.
                if any(other.archived and other.archived.key == key for other in self._others(file)):
                    return None
                self._blobs.delete(key)
                return self._blobs.put(key, _content(scratch))

    def _others(self, file: LayerFile) -> Iterator[LayerFile]:
        with self._database.read() as conn:
            call_id = layers.calls_of_paths(conn)[file.path]
            yield from layers.of_call(conn, call_id)


def _content(scratch: ScratchFile) -> Iterator[bytes]:
    scratch.seek(0)
    while block := scratch.read(_READ_BYTES):
        yield block


def size_of(files: Sequence[LayerFile]) -> Size:
    """The storage of layers, and what they would take as WAV files."""
    shared = {file.archived.key: file.archived.size_bytes for file in files if file.archived is not None}
    plain = sum(file.size_bytes for file in files if file.archived is None)
    return Size(sum(file.size_bytes for file in files), plain + sum(shared.values()))


def _candidates(
    file: LayerFile,
    done: Sequence[LayerFile],
    topology: Topology,
    cuts: dict[Role, tuple[int, ...]],
    head: str,
    tail: str,
) -> Iterator[Archived]:
    """What `file` may be derived from, the likeliest first."""
    for source in done:
        flac = source.archived
        if flac is None or flac.derivation is not Derivation.WHOLE:
            continue
        if file.layer is Layer.LIVE_16K and source.path == file.path.replace(
            f"_{ASR_HZ}Hz", f"_{TELEPHONE_HZ}Hz"
        ):
            made = replace(flac, derivation=Derivation.UPSAMPLED, head=head, tail=tail)
            of_streams = cuts[file.role] if file.role else ()
            yield from [replace(made, cuts=each) for each in dict.fromkeys([of_streams, ()])]
        if file.layer is Layer.CLOUD_CHANNEL and source.layer is Layer.CLOUD and source.channels == 2:
            numbers = sorted((1, 2), key=lambda number: topology.role_of_channel(number) is not file.role)
            for number in numbers:
                yield replace(flac, derivation=Derivation.CHANNEL, channel=number, head=head, tail=tail)


def _cuts(streamed: Sequence[StreamRow], role: Role) -> tuple[int, ...]:
    """The samples of layer 1 at which a stream ended and another one continued."""
    ends = []
    for stream in streamed[:-1]:
        found = stream.counts.get(role)
        end_ms = found.get("end_ms") if isinstance(found, dict) else None
        if isinstance(end_ms, int) and end_ms > 0:
            ends.append(end_ms * SAMPLES_PER_MS)
    return tuple(ends)
