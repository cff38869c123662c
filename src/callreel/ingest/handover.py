"""How a call goes on here whose earlier streams were with another process, or with none since theirs died.

The process before is asked to let go (`cluster/event_relay`), and its streams are waited for. Where its files lie on this
machine and nobody writes them, the call goes on in them. Else it goes on in files of its own, which begin with silence
for what the others hold: no two processes ever write one file, and the parts of a layer laid over one another are whole.
"""

import time
from collections.abc import Collection, Mapping, Sequence
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
from callreel.store.files.growing_wav import GrowingWav, StillGrowingError

LIVE_FOLDER = "audio_recordings"
LET_GO_S = 6.0
"""A process that did not hear of it finds it in the rows within five seconds."""
_LOOK_S = 0.05
NUMBERS_A_STREAM = 10_000
"""Segments of a later process are numbered from there on, so that no final takes the place of another."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a call begins, or goes on. `zero_at`: when its clock was at 0; None where it begins with this stream.

    `length_ms`: how far its files reach. `first_number` is that of the first segment. `paths` are those of each role's
    files.
    """

    zero_at: datetime | None
    length_ms: int
    first_number: int
    paths: dict[Role, LanePaths]


def live_stem(role: Role, row: CallRow, at: datetime) -> str:
    """The beginning of a live layer's path; `at` tells apart the parts of one layer, and sorts them."""
    return f"{LIVE_FOLDER}/{role}_{row.id}_{at:%Y%m%dT%H%M%SZ}"


def new_beginning(row: CallRow, root: Path) -> Beginning:
    """How a call begins that had no stream before."""
    return Beginning(None, 0, 0, {role: _paths(root, live_stem(role, row, row.created_at)) for role in Role})


def beginning(database: Database, clock: Clock, row: CallRow, root: Path) -> Beginning:
    """Find out how the call begins here. Blocking, for `LET_GO_S` at most. Raises StoreError."""
    with database.read() as conn:
        earlier = streams.of_call(conn, row.id)
    if not earlier:
        return new_beginning(row, root)
    files = _let_go(database, row)
    now = clock.now()
    taken = {file.path for file in files}
    paths, length_ms = dict[Role, LanePaths](), max((file.duration_ms for file in files), default=0)
    reached_ms = dict[Role, int]()
    for role in Role:
        found, here_ms = _continued([file for file in files if file.role is role], root)
        paths[role] = found or _new_paths(root, taken, row, role, now)
        length_ms = max(length_ms, here_ms)
        if found:
            reached_ms[role] = here_ms
    _note_reach(database, row, reached_ms, now)
    zero_at = earlier[0].started_at - timedelta(milliseconds=earlier[0].origin_ms)
    return Beginning(zero_at, length_ms, NUMBERS_A_STREAM * len(earlier), paths)


def _note_reach(database: Database, row: CallRow, reached_ms: Mapping[Role, int], now: datetime) -> None:
    """Say of a stream that died with its process how far its audio reaches: nobody can tell once silence follows it."""
    with database.write() as conn:
        last = streams.of_call(conn, row.id)[-1]
        if reached_ms and not last.counts:
            counts: dict[str, Json] = {role: {"end_ms": ms} for role, ms in reached_ms.items()}
            streams.finish(conn, last.sid, now, EndedBy.SERVER, counts)


def _let_go(database: Database, row: CallRow) -> list[LayerFile]:
    """Wait until all streams of the call have ended, or for long enough; its files as they are known then."""
    until_s = time.monotonic() + LET_GO_S
    while True:
        with database.read() as conn:
            is_open = any(stream.ended_by is None for stream in streams.of_call(conn, row.id))
            files = layers.of_call(conn, row.id)
        if not is_open or time.monotonic() > until_s:
            return files
        time.sleep(_LOOK_S)


def _continued(files: Sequence[LayerFile], root: Path) -> tuple[LanePaths | None, int]:
    """The newest files of a role, if they lie here and nobody writes them; how far they reach, in ms."""
    newest = [file.path for file in files if file.layer is Layer.LIVE_8K]  # sorted, by their stamps
    if not newest:
        return None, 0
    paths = _paths(root, newest[-1].removesuffix(f"_{TELEPHONE_HZ}Hz.wav"))
    if not (paths.live_8k.exists() and paths.live_16k.exists()):
        return None, 0
    try:
        with GrowingWav.open(paths.live_8k, TELEPHONE_HZ) as eight, GrowingWav.open(paths.live_16k, ASR_HZ):
            return paths, -(-eight.samples * 1000 // TELEPHONE_HZ)
    except (StillGrowingError, AudioFileError):
        return None, 0


def _paths(root: Path, stem: str) -> LanePaths:
    return LanePaths(root / f"{stem}_{TELEPHONE_HZ}Hz.wav", root / f"{stem}_{ASR_HZ}Hz.wav")


def _new_paths(root: Path, taken: Collection[str], row: CallRow, role: Role, at: datetime) -> LanePaths:
    """Of this moment, or of the next second for which no file, here or on another machine, has that name."""
    paths = _paths(root, live_stem(role, row, at))
    while paths.live_8k.exists() or str(paths.live_8k.relative_to(root)) in taken:
        at += timedelta(seconds=1)
        paths = _paths(root, live_stem(role, row, at))
    return paths
