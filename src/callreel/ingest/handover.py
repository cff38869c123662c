"""How a process continues a call whose earlier streams another process had, or that lost its process.

The previous owner is notified (`cluster/event_relay`), and this process waits until its streams are closed. Where the
files lie on this machine and no process writes them, the call continues in them. Otherwise it continues in new files, which
begin with silence for the part that the others hold: no two processes ever write one file, and the parts of a layer,
laid over one another, are complete.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from callreel.audio.samples import ASR_HZ, TELEPHONE_HZ
from callreel.domain.call import Role
from callreel.domain.errors import AudioFileError
from callreel.domain.events import Json
from callreel.domain.recording import Layer, LayerFile
from callreel.ingest.lane import LanePaths
from callreel.runtime.clock import Clock
from callreel.store.calls import layers, streams
from callreel.store.calls.calls import CallRow
from callreel.store.calls.streams import EndedBy
from callreel.store.db.database import Database
from callreel.store.encryption.sealed_file import DamagedFileError, FileKeys
from callreel.store.files import folders
from callreel.store.files.growing_wav import GrowingWav, StillGrowingError

RELEASE_WAIT_S = 6.0
"""A process that missed the notification finds the new owner in the rows within five seconds."""
_POLL_S = 0.05
SEGMENTS_PER_STREAM = 10_000
"""Later processes number their segments from a multiple of this, so that no final result replaces another."""


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """Where a call starts or continues. `zero_at`: when position 0 was; None where the call starts with this stream.

    `length_ms`: how far its files reach. `first_number`: that of the first segment. `paths`: the files of each role.
    """

    zero_at: datetime | None
    length_ms: int
    first_number: int
    paths: dict[Role, LanePaths]


def new_starting_point(row: CallRow, root: Path) -> StartingPoint:
    """The start of a call that had no stream before."""
    return StartingPoint(None, 0, 0, {role: _paths(root, _stem(role, row, row.created_at)) for role in Role})


def starting_point(
    database: Database, clock: Clock, row: CallRow, root: Path, keys: FileKeys | None = None
) -> StartingPoint:
    """Find out where the call starts or continues here. Blocks for `RELEASE_WAIT_S` at most. Raises StoreError."""
    with database.read() as conn:
        earlier = streams.of_call(conn, row.id)
    if not earlier:
        return new_starting_point(row, root)
    files = _released_files(database, row)
    now = clock.now()
    paths, length_ms = dict[Role, LanePaths](), max((file.duration_ms for file in files), default=0)
    reached_ms = dict[Role, int]()
    for role in Role:
        found, here_ms = _continuable([file for file in files if file.role is role], root, keys)
        paths[role] = found or _new_paths(root, {file.path for file in files}, row, role, now)
        length_ms = max(length_ms, here_ms)
        if found:
            reached_ms[role] = here_ms
    with database.write() as conn:
        last = streams.of_call(conn, row.id)[-1]
        if reached_ms and not last.counts:
            # Its process died and left no counts. Once silence follows, its length cannot be found again.
            counts: dict[str, Json] = {role: {"end_ms": ms} for role, ms in reached_ms.items()}
            streams.finish(conn, last.sid, now, EndedBy.SERVER, counts)
    zero_at = earlier[0].started_at - timedelta(milliseconds=earlier[0].origin_ms)
    return StartingPoint(zero_at, length_ms, SEGMENTS_PER_STREAM * len(earlier), paths)


def _released_files(database: Database, row: CallRow) -> list[LayerFile]:
    """Wait until all streams of the call have ended, or for `RELEASE_WAIT_S`; the files that its rows name then."""
    until_s = time.monotonic() + RELEASE_WAIT_S
    while True:
        with database.read() as conn:
            is_open = any(stream.ended_by is None for stream in streams.of_call(conn, row.id))
            files = layers.of_call(conn, row.id)
        if not is_open or time.monotonic() > until_s:
            return files
        time.sleep(_POLL_S)


def _continuable(
    files: Sequence[LayerFile], root: Path, keys: FileKeys | None
) -> tuple[LanePaths | None, int]:
    """The newest files of a role, if they lie here and no process writes them; how far they reach, in ms."""
    newest = [file.path for file in files if file.layer is Layer.LIVE_8K]  # sorted, by their time stamps
    if not newest:
        return None, 0
    paths = _paths(root, newest[-1].removesuffix(f"_{TELEPHONE_HZ}Hz.wav"))
    if not (paths.live_8k.exists() and paths.live_16k.exists()):
        return None, 0
    try:
        with (
            GrowingWav.open(paths.live_8k, TELEPHONE_HZ, keys=keys) as eight,
            GrowingWav.open(paths.live_16k, ASR_HZ, keys=keys),
        ):
            return paths, -(-eight.samples * 1000 // TELEPHONE_HZ)
    except (StillGrowingError, AudioFileError, DamagedFileError):
        return None, 0


def _stem(role: Role, row: CallRow, at: datetime) -> str:
    """The beginning of a live layer's path; `at` distinguishes the parts of one layer, and sorts them."""
    return f"{folders.LIVE}/{role}_{row.id}_{at:%Y%m%dT%H%M%SZ}"


def _paths(root: Path, stem: str) -> LanePaths:
    return LanePaths(root / f"{stem}_{TELEPHONE_HZ}Hz.wav", root / f"{stem}_{ASR_HZ}Hz.wav")


def _new_paths(root: Path, taken: set[str], row: CallRow, role: Role, at: datetime) -> LanePaths:
    """Of this second, or of the next one for which no file, here or on another machine, has that name."""
    paths = _paths(root, _stem(role, row, at))
    while paths.live_8k.exists() or str(paths.live_8k.relative_to(root)) in taken:
        at += timedelta(seconds=1)
        paths = _paths(root, _stem(role, row, at))
    return paths
