"""Watches a folder: imports each file once it has stopped changing, and again when it changed after a failure.

It compares sizes and times between two looks, which works on every file system, also on network shares.
"""

from collections.abc import Iterator
from pathlib import Path

from callreel.imports.folder import FolderImport
from callreel.imports.metadata import Metadata, MetadataError
from callreel.imports.outcome import Outcome, Result

Stamp = tuple[int, int]
"""Size in bytes and time of the last change in ns."""


class FolderWatch:
    """`look` is called repeatedly. A row whose file does not exist yet waits; a wrong row is reported once."""

    def __init__(self, work: FolderImport, metadata: Path | None) -> None:
        self._work = work
        self._metadata = metadata
        self._before: dict[str, Stamp] = {}
        self._done: dict[str, Stamp] = {}
        self._reported: set[Outcome] = set()

    def look(self) -> Iterator[Outcome]:
        """Import what was the same at the last look; yields the outcomes that are new."""
        stamps: dict[str, Stamp] = {}
        for row in self._rows():
            if isinstance(row, Outcome):
                yield from self._once(row)
                continue
            stamp = self._work.stamp(row.file)
            if stamp is None:
                continue
            stamps[row.file] = stamp
            if self._before.get(row.file) == stamp and self._done.get(row.file) != stamp:
                self._done[row.file] = stamp
                yield self._work.one(row)
        self._before = stamps
        self._done = {name: stamp for name, stamp in self._done.items() if name in stamps}

    def _rows(self) -> list[Metadata | Outcome]:
        if self._metadata is None:
            return [self._work.without_metadata(name) for name in self._work.names()]
        try:
            return self._work.rows(self._metadata)
        except MetadataError as error:  # it may be half written
            return [Outcome(self._metadata.name, Result.FAILED, str(error))]

    def _once(self, outcome: Outcome) -> Iterator[Outcome]:
        if outcome not in self._reported:
            self._reported.add(outcome)
            yield outcome
