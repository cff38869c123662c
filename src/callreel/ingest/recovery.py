"""Recovery of calls whose process died: at the start of a server, and by its peers while they run.

Closes their live layers at the right length and marks them, completes layer 2 from layer 1, ends their streams and
their calls, so that these are compared as any other calls. Files are closed by a process that can reach them; rows by
the leader (`cluster/leader_election`).
"""

import logging
import re
from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection

from callreel.audio.resample import upsampled
from callreel.audio.samples import ASR_HZ, TELEPHONE_HZ
from callreel.audio.source import in_blocks
from callreel.cluster.group_commit import GroupCommit, Written
from callreel.domain.call import CallState, Role
from callreel.domain.errors import AudioFileError
from callreel.domain.ids import CallId
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.ingest.call_ownership import end_call
from callreel.runtime.clock import Clock
from callreel.store.audio.live_layers import layer_event, layer_file
from callreel.store.calls import calls, facts, layers, stream_tokens, streams
from callreel.store.calls.calls import CallRow
from callreel.store.calls.streams import EndedBy
from callreel.store.db.database import Database
from callreel.store.encryption.sealed_file import DamagedFileError, FileKeys
from callreel.store.files import folders
from callreel.store.files.blobs import BlobStore
from callreel.store.files.durable_files import path_inside
from callreel.store.files.growing_wav import GrowingWav, StillGrowingError, repair
from callreel.store.files.sound_files import READ_BLOCK, SoundFile
from callreel.store.files.stored_file import open_stored

log = logging.getLogger(__name__)

CHECK_EVERY_S = 5.0
FILES_WAIT_S = 8.0
"""How long the calls of a dead process stay open so that a process of its machine can close the files first."""
SOCKET_WAIT = timedelta(seconds=30)
"""How long a call of a dead process stays open after a token for its stream was issued: the socket may be on its way."""
_NAME = re.compile(
    rf"(?P<role>{'|'.join(Role)})_(?P<call_id>[0-9a-f]+)_[0-9TZ]+_(?P<rate_hz>{TELEPHONE_HZ}|{ASR_HZ})Hz\.wav"
)
"""A live layer's file name (`ingest/handover`)."""


class Recovery:
    """Blocking. Does nothing where no process died, and may run in two processes at once."""

    def __init__(
        self,
        database: Database,
        commits: GroupCommit,
        clock: Clock,
        blobs: BlobStore,
        save_live_transcript: Callable[[CallId], None],
        dead_among: Callable[[set[str]], set[str]],
        *,
        single_machine: bool,
        spool: str | None = None,
    ) -> None:
        """`save_live_transcript` (blocking) saves a call's live transcript from its final results. `dead_among` returns
        the dead ones of the given processes. `single_machine`: there is no other machine, so a file that is not here is lost.
        `spool`: the name of the data folder where files are offloaded from it.
        """
        self._database = database
        self._commits = commits
        self._clock = clock
        self._data_dir = blobs.root
        self._save_live_transcript = save_live_transcript
        self._dead_among = dead_among
        self._single_machine = single_machine
        self._spool = spool
        self._keys = blobs.keys
        self._seen_s: dict[str | None, float] = {}

    def at_start(self) -> int:
        """Close files and calls before this server takes calls. Returns the number of calls closed."""
        self.close_files(without_rows=True)
        return self.close_calls()

    def close_files(self, *, without_rows: bool = False) -> int:
        """Close the growing files of dead processes that lie here; those being written are left alone. Returns how many."""
        with self._database.read() as conn:
            dead = self._dead(layers.owners_of_growing(conn))
            orphaned = layers.growing(conn, dead) if dead else []
        if without_rows:
            orphaned += _without_rows(self._database, self._data_dir)
        # Layer 1 first: layer 2 is completed from it.
        orphaned.sort(key=lambda entry: entry[1].layer is Layer.LIVE_16K)
        return sum(self._close_layer(call_id, layer) for call_id, layer in orphaned)

    def close_calls(self) -> int:
        """End streams and calls of dead processes and save their live transcripts. Returns how many calls ended."""
        with self._database.read() as conn:
            untranscribed = calls.without_live_transcript(conn)
            owners = calls.owners_of_live(conn) | streams.owners_of_open(conn)
            growing = layers.owners_of_growing(conn)
            owners |= {row.owner for row in untranscribed}
            dead = {owner for owner in self._dead(owners) if not self._waits_for_files(owner, growing)}
            if not dead:
                return 0
            live = calls.in_state(conn, CallState.LIVE)
            open_streams = streams.open_streams(conn)
            expected = stream_tokens.pending_calls(conn, self._clock.now() - SOCKET_WAIT)
        with self._database.write() as conn:
            for stream in open_streams:
                if stream.owner in dead:
                    streams.finish(conn, stream.sid, self._clock.now(), EndedBy.SERVER, {})
        ended = [row.id for row in live if row.owner in dead and row.id not in expected and self._end(row)]
        for call_id in [*ended, *(row.id for row in untranscribed if row.owner in dead)]:
            # Segments that were not decoded are in the layers; the stages after the call wait for this row, not for them.
            self._save_live_transcript(call_id)
        if ended:
            log.warning("calls of dead processes closed calls=%d", len(ended))
        return len(ended)

    def _end(self, row: CallRow) -> bool:
        ended: Written | None = None

        def end(conn: Connection) -> Written:
            nonlocal ended
            ended = end_call(conn, row.id, self._clock.now(), owner=row.owner)
            return ended or Written()

        self._commits.commit_blocking(end)
        return ended is not None

    def _waits_for_files(self, owner: str | None, growing: Collection[str | None]) -> bool:
        """Whether files of a dead process may still be closed by a process that can reach them."""
        now_s = self._clock.monotonic_s()
        if owner not in growing:
            self._seen_s.pop(owner, None)
            return False
        return now_s - self._seen_s.setdefault(owner, now_s) < FILES_WAIT_S

    def _dead(self, owners: Collection[str | None]) -> set[str | None]:
        """The dead among owners; a row without an owner counts as a dead process's."""
        named = {owner for owner in owners if owner is not None}
        dead: set[str | None] = {*self._dead_among(named)} if named else set()
        return dead | ({None} & set(owners))

    def _close_layer(self, call_id: CallId, layer: LayerFile) -> bool:
        path = path_inside(self._data_dir, layer.path)
        if not self._single_machine and not path.exists():
            return False  # it lies on another machine, whose processes close it
        try:
            lost = _repaired(path, layer, self._keys)
        except StillGrowingError:
            return False
        if lost is not None:
            with self._database.write() as conn:
                layers.delete(conn, layer.path)
                facts.note(conn, lost, {"path": layer.path}, self._clock.now(), call_id)
            log.error("live layer not recovered: %s", lost, extra={"call_id": call_id, "path": layer.path})
            return True
        file = layer_file(
            layer.layer,
            layer.role,
            path,
            layer.rate_hz,
            LayerState.REPAIRED,
            self._data_dir,
            self._spool,
            self._keys,
        )

        def save(conn: Connection) -> Written:
            layers.upsert(conn, call_id, file)
            return Written((layer_event(call_id, file),))

        self._commits.commit_blocking(save)
        return True


def _without_rows(database: Database, data_dir: Path) -> list[tuple[CallId, LayerFile]]:
    """Live layers whose process died between making the file and its row; the file name says which call's it is."""
    found: list[tuple[CallId, LayerFile]] = []
    with database.read() as conn:
        known = {file.path for file in layers.all_files(conn)}
        for path in sorted((data_dir / folders.LIVE).glob("*Hz.wav")):
            named, key = _NAME.fullmatch(path.name), f"{folders.LIVE}/{path.name}"
            if named is None or key in known or calls.get(conn, CallId(named["call_id"])) is None:
                continue
            rate_hz = int(named["rate_hz"])
            layer = Layer.LIVE_8K if rate_hz == TELEPHONE_HZ else Layer.LIVE_16K
            file = LayerFile(layer, Role(named["role"]), key, rate_hz, 1, 0, 0, None, LayerState.RECORDING)
            found.append((CallId(named["call_id"]), file))
    return found


def _repaired(path: Path, layer: LayerFile, keys: FileKeys | None) -> str | None:
    """Give the file its right length. Returns the fact that prevents it, if any; a damaged file is left as it is."""
    if not path.exists():
        return "layer_missing"
    try:
        repair(path, keys)
    except (AudioFileError, DamagedFileError):
        return "layer_damaged"
    path_8k = path.with_name(path.name.replace(f"_{ASR_HZ}Hz", f"_{TELEPHONE_HZ}Hz"))
    if layer.layer is Layer.LIVE_16K and path_8k.exists():
        _complete_16k(path, path_8k, keys)
    return None


def _complete_16k(path: Path, path_8k: Path, keys: FileKeys | None) -> None:
    """Append what the resampler still held when its process died, from layer 1, which is ahead of layer 2."""
    try:
        sound = SoundFile(open_stored(path_8k, keys, complete=False), path_8k.name)
    except (AudioFileError, DamagedFileError):
        return
    growing = GrowingWav.open(path, ASR_HZ, keys=keys)
    at, present = 0, growing.samples
    try:
        for block in upsampled(in_blocks(sound.channel(), READ_BLOCK)):
            growing.append(block[max(0, present - at) :])
            at += block.size
    finally:
        growing.close()
        sound.close()
