"""What is done about calls whose process died: at the start of a server, and by its peers while they run.

Their live layers are closed with the right length and marked, layer 2 is made again from layer 1 where it fell short,
their streams end, and their calls end, so that the stages judge them as they judge any other. Files are closed by
processes that have them at hand; rows by the one that leads (`services/lead`).
"""

import asyncio
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
from callreel.domain.errors import AudioFileError, StoreError
from callreel.domain.ids import CallId
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.ingest.call_ownership import end_call
from callreel.ingest.handover import LIVE_FOLDER
from callreel.runtime.clock import Clock
from callreel.store.audio.live_layers import layer_event, layer_file
from callreel.store.calls import calls, facts, layers, stream_tokens, streams
from callreel.store.calls.calls import CallRow
from callreel.store.calls.streams import EndedBy
from callreel.store.db.database import Database
from callreel.store.files.growing_wav import GrowingWav, StillGrowingError, repair
from callreel.store.files.sound_files import READ_BLOCK, SoundFile

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
FILES_S = 8.0
"""How long the end of a dead process's calls waits for its files to be closed by its machine."""
SOCKET_COMES = timedelta(seconds=30)
"""How long a socket may be on its way: a call that was given a token and whose process is gone waits for it."""
_NAME = re.compile(
    rf"(?P<role>{'|'.join(Role)})_(?P<call_id>[0-9a-f]+)_[0-9TZ]+_(?P<rate_hz>{TELEPHONE_HZ}|{ASR_HZ})Hz\.wav"
)
"""Of a live layer's file (`services/live_calls`)."""


class Recovery:
    """Blocking but for `run`. Finds nothing to do where nobody died, and may be done by two at once."""

    def __init__(
        self,
        database: Database,
        commits: GroupCommit,
        clock: Clock,
        data_dir: Path,
        keep_live_transcript: Callable[[CallId], None],
        dead_among: Callable[[set[str]], set[str]],
        *,
        alone: bool,
        spool: str | None = None,
    ) -> None:
        """`keep_live_transcript` (blocking) makes a call's live transcript of its final results; `dead_among` says which of
        the given processes are dead.

        `alone`: there is no other machine, so a file that is not here is nowhere. `spool`: what `data_dir` is called
        where files move on from it.
        """
        self._database = database
        self._commits = commits
        self._clock = clock
        self._data_dir = data_dir
        self._keep_live_transcript = keep_live_transcript
        self._dead_among = dead_among
        self._alone = alone
        self._spool = spool
        self._seen_s: dict[str | None, float] = {}

    async def run(self, leads: Callable[[], bool]) -> None:
        """Until cancelled; calls are closed while `leads`."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await asyncio.to_thread(self.close_files)
                if leads():
                    closed = await asyncio.to_thread(self.close_calls)
                    if closed:
                        log.warning("closed %d calls that a dead process left", closed)
            except StoreError as error:
                log.warning("what dead processes left cannot be closed yet: %s", error)
            except Exception:
                log.exception("closing what dead processes left failed; trying again")

    def at_start(self) -> int:
        """All of it, before calls are taken; answers the number of calls closed."""
        self.close_files(without_rows=True)
        return self.close_calls()

    def close_files(self, *, without_rows: bool = False) -> int:
        """Close growing files of dead processes that lie here; answers how many. Those being written are left alone."""
        with self._database.read() as conn:
            dead = self._dead(layers.owners_of_growing(conn))
            left = layers.growing(conn, dead) if dead else []
        if without_rows:
            left += _without_rows(self._database, self._data_dir)
        # Layer 1 first: layer 2 is completed from it.
        left.sort(key=lambda entry: entry[1].layer is Layer.LIVE_16K)
        return sum(self._close_layer(call_id, layer) for call_id, layer in left)

    def close_calls(self) -> int:
        """End streams and calls of dead processes and keep their live transcripts; answers how many calls ended."""
        with self._database.read() as conn:
            unheard = calls.without_live_transcript(conn)
            owners = (
                {row.owner for row in unheard} | calls.owners_of_live(conn) | streams.owners_of_open(conn)
            )
            growing = layers.owners_of_growing(conn)
            dead = {owner for owner in self._dead(owners) if not self._waits_for_files(owner, growing)}
            if not dead:
                return 0
            live = calls.in_state(conn, CallState.LIVE)
            open_streams = streams.open_streams(conn)
            coming = stream_tokens.pending_calls(conn, self._clock.now() - SOCKET_COMES)
        with self._database.write() as conn:
            for stream in open_streams:
                if stream.owner in dead:
                    streams.finish(conn, stream.sid, self._clock.now(), EndedBy.SERVER, {})
        ended = [row.id for row in live if row.owner in dead and row.id not in coming and self._end(row)]
        for call_id in [*ended, *(row.id for row in unheard if row.owner in dead)]:
            # Segments that were not decoded are in the layers; the stages wait for this, not for them.
            self._keep_live_transcript(call_id)
        return len(ended)

    def _end(self, row: CallRow) -> bool:
        ended = False

        def end(conn: Connection) -> Written:
            nonlocal ended
            written = end_call(conn, row.id, self._clock.now(), owner=row.owner)
            ended = written is not None
            return written or Written()

        self._commits.commit_blocking(end)
        return ended

    def _waits_for_files(self, owner: str | None, growing: Collection[str | None]) -> bool:
        """Whether files of the dead may still be closed by a process that has them at hand; not for long."""
        now_s = self._clock.monotonic_s()
        if owner not in growing:
            self._seen_s.pop(owner, None)
            return False
        return now_s - self._seen_s.setdefault(owner, now_s) < FILES_S

    def _dead(self, owners: Collection[str | None]) -> set[str | None]:
        """The dead among owners; None is a server of a version that had no peers, and is gone."""
        named = {owner for owner in owners if owner is not None}
        dead: set[str | None] = {*self._dead_among(named)} if named else set()
        return dead | ({None} & set(owners))

    def _close_layer(self, call_id: CallId, layer: LayerFile) -> bool:
        path = self._data_dir / layer.path
        if not self._alone and not path.exists():
            return False  # it lies on another machine, whose processes close it
        try:
            lost = _repaired(path, layer)
        except StillGrowingError:
            return False
        if lost is not None:
            with self._database.write() as conn:
                layers.delete(conn, layer.path)
                facts.note(conn, lost, {"path": layer.path}, self._clock.now(), call_id)
            log.error(
                "a live layer cannot be closed: %s", lost, extra={"call_id": call_id, "path": layer.path}
            )
            return True
        file = layer_file(
            layer.layer, layer.role, path, layer.rate_hz, LayerState.REPAIRED, self._data_dir, self._spool
        )

        def keep(conn: Connection) -> Written:
            layers.upsert(conn, call_id, file)
            return Written((layer_event(call_id, file),))

        self._commits.commit_blocking(keep)
        return True


def _without_rows(database: Database, data_dir: Path) -> list[tuple[CallId, LayerFile]]:
    """Live layers whose process died between making the file and its row; their names say whose they are."""
    with database.read() as conn:
        known = {file.path for file in layers.all_files(conn)}
        found: list[tuple[CallId, LayerFile]] = []
        for path in sorted((data_dir / LIVE_FOLDER).glob("*Hz.wav")):
            named = _NAME.fullmatch(path.name)
            key = f"{LIVE_FOLDER}/{path.name}"
            if named is None or key in known or calls.get(conn, CallId(named["call_id"])) is None:
                continue
            rate_hz = int(named["rate_hz"])
            layer = Layer.LIVE_8K if rate_hz == TELEPHONE_HZ else Layer.LIVE_16K
            role, state = Role(named["role"]), LayerState.RECORDING
            found.append(
                (CallId(named["call_id"]), LayerFile(layer, role, key, rate_hz, 1, 0, 0, None, state))
            )
    return found


def _repaired(path: Path, layer: LayerFile) -> str | None:
    """Give the file its right length; what fact stands in the way, if one does. A damaged file is left as it is."""
    if not path.exists():
        return "layer_missing"
    try:
        repair(path)
    except AudioFileError:
        return "layer_damaged"
    path_8k = path.with_name(path.name.replace(f"_{ASR_HZ}Hz", f"_{TELEPHONE_HZ}Hz"))
    if layer.layer is Layer.LIVE_16K and path_8k.exists():
        _complete_16k(path, path_8k)
    return None


def _complete_16k(path: Path, path_8k: Path) -> None:
    """Append what the resampler still held when its process died, from layer 1, which is ahead of layer 2."""
    try:
        sound = SoundFile(path_8k.open("rb"), path_8k.name)
    except AudioFileError:
        return
    growing = GrowingWav.open(path, ASR_HZ)
    at, there = 0, growing.samples
    try:
        for block in upsampled(in_blocks(sound.channel(), READ_BLOCK)):
            growing.append(block[max(0, there - at) :])
            at += block.size
    finally:
        growing.close()
        sound.close()
