"""Recordings with their words, as an evaluation reads them: clips of one speaker and calls on two channels.

It reads; it judges nothing. A manifest is a table of tab-separated columns with a header. Clips: `file`, `reference`
and, if there is one, `kind`. Calls: `file` with 2 channels, the first the agent's, and beside each WAV a JSON document
`{"turns": [{"channel": 0, "start": 4.6, "end": 8.9, "text": "…", "words": [["hi", 4.61, 5.12], …]}, …]}`, in seconds.
Whatever the file's rate, its audio passes a telephone's coding: 8 kHz, mu-law.
"""

import csv
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from callreel.audio import mulaw
from callreel.audio.resample import to_rate
from callreel.audio.samples import TELEPHONE_HZ, Samples
from callreel.domain.call import Role
from callreel.domain.errors import CallreelError
from callreel.evaluation.scores import Spoken, SpokenWord
from callreel.store.files.durable_files import path_inside
from callreel.store.files.sound_files import read_wav

ROLES = (Role.AGENT, Role.TECHNICIAN)
"""By channel of the file."""

_VARIANT = re.compile(r"\(\d+\)$")


class MaterialError(CallreelError):
    """A manifest or a recording that cannot be read."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One row of a manifest; the audio is read on demand."""

    path: Path
    kind: str
    spoken: tuple[Spoken, ...]
    two_channels: bool

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def timed(self) -> bool:
        """Whether it is known when each word was said."""
        return any(spoken.words for spoken in self.spoken)

    def lanes(self) -> dict[Role, Samples]:
        """8 kHz samples [n] of each party, after the telephone's coding. Raises MaterialError."""
        try:
            samples, rate_hz = read_wav(self.path)
        except (OSError, CallreelError) as error:
            raise MaterialError(f"{self.path.name} cannot be read: {error}") from error
        if self.two_channels and samples.shape[1] != len(ROLES):
            raise MaterialError(f"{self.path.name}: expected 2 channels, found {samples.shape[1]}")
        roles = ROLES if self.two_channels else ROLES[:1]
        return {
            role: mulaw.decode(mulaw.encode(to_rate(samples[:, at], rate_hz, TELEPHONE_HZ)))
            for at, role in enumerate(roles)
        }


def read_material(place: Path, limit: int | None = None) -> list[Recorded]:
    """Recordings of a manifest, or of a folder with `manifest.tsv` and `calls/manifest.tsv`, either or both.

    With a `limit`, so many, taken from each kind in turn. Raises MaterialError, and StoreError for a
    file that is not below the folder of its manifest.
    """
    if place.is_dir():
        manifests = [
            path for path in (place / "manifest.tsv", place / "calls" / "manifest.tsv") if path.is_file()
        ]
    else:
        manifests = [place]
    found = [recorded for manifest in manifests for recorded in _rows(manifest)]
    if not found:
        raise MaterialError(f"{place}: expected a manifest with recordings, found none")
    return found if limit is None else _of_each_kind(found)[:limit]


def _of_each_kind(found: Iterable[Recorded]) -> list[Recorded]:
    kinds: dict[str, list[Recorded]] = {}
    for recorded in found:
        kinds.setdefault(recorded.kind, []).append(recorded)
    return [recorded for rank in zip_longest(*kinds.values()) for recorded in rank if recorded is not None]


def _rows(manifest: Path) -> Iterable[Recorded]:
    try:
        with manifest.open(encoding="utf-8", newline="") as lines:
            table = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
            columns = set(table.fieldnames or ())
            rows = list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        cause = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise MaterialError(f"{manifest} cannot be read: {cause}") from error
    if "file" not in columns or not columns & {"reference", "turns"}:
        raise MaterialError(
            f"{manifest}: expected columns file and reference (clips), or file and turns (calls)"
        )
    for row in rows:
        path = path_inside(manifest.parent, row["file"] or "")
        yield _clip(path, row) if "reference" in columns else _call(path, row)


def _clip(path: Path, row: dict[str, str]) -> Recorded:
    said = Spoken(ROLES[0], 0, 0, row["reference"] or "")
    return Recorded(path, row.get("kind") or "clip", (said,), two_channels=False)


def _call(path: Path, row: dict[str, str]) -> Recorded:
    document = path.with_suffix(".json")
    try:
        turns = json.loads(document.read_text(encoding="utf-8"))["turns"]
        spoken = tuple(_turn(turn) for turn in turns)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise MaterialError(f"{document} is not a turn list: {type(error).__name__}") from error
    return Recorded(path, row.get("kind") or f"{path.stem.split('_')[0]} call", spoken, two_channels=True)


def _turn(turn: dict[str, object]) -> Spoken:
    words = turn.get("words") or []
    assert isinstance(words, list)
    channel, start, end = turn["channel"], turn["start"], turn["end"]
    assert isinstance(channel, int) and isinstance(start, int | float) and isinstance(end, int | float)
    return Spoken(
        ROLES[channel],
        round(1000 * start),
        round(1000 * end),
        str(turn["text"]),
        tuple(SpokenWord(_VARIANT.sub("", word), round(1000 * a), round(1000 * b)) for word, a, b in words),
    )
