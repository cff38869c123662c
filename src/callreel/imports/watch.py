"""Watches a folder: imports each file once it has stopped changing, and again when it or its row changed after a failure.

A failure that is not the file's own, such as a full disk, is reported once, and the file is tried again with backoff.

It compares sizes and times between two looks, which works on every file system, also on network shares.
"""

from collections.abc import Iterator
from pathlib import Path

from callreel.imports.folder import FolderImport
from callreel.imports.metadata import Metadata, MetadataError
from callreel.imports.outcome import Outcome, Result
from callreel.runtime.clock import Clock
from callreel.runtime.retry import Backoff

BACKOFF = Backoff(first_s=2.0, longest_s=300.0)
Stamp = tuple[int, int]
"""Size in bytes and time of the last change in ns."""


class FolderWatch:
    """`look` is called repeatedly. A row whose file does not exist yet waits; a wrong row is reported once."""

    def __init__(self, work: FolderImport, metadata: Path | None, clock: Clock) -> None:
        self._work = work
        self._clock = clock
        self._metadata = metadata
        self._before: dict[str, Stamp] = {}
        self._done: set[tuple[Metadata, Stamp]] = set()
        self._reported: set[Outcome] = set()
        self._failed: dict[tuple[Metadata, Stamp], tuple[int, float]] = {}
        """How often the import failed for a reason that is not the file's own, and when it is tried again."""

    def look(self) -> Iterator[Outcome]:
        """Import what was the same at the last look; yields the outcomes that are new."""
        stamps: dict[str, Stamp] = {}
        current: set[tuple[Metadata, Stamp]] = set()
        for row in self._rows():
            if isinstance(row, Outcome):
                yield from self._once(row)
                continue
            stamp = self._work.stamp(row.file)
            if stamp is None:
                continue
            stamps[row.file] = stamp
            current.add((row, stamp))
            due_s = self._failed.get((row, stamp), (0, 0.0))[1]
            same = self._before.get(row.file) == stamp and (row, stamp) not in self._done
            if same and self._clock.monotonic_s() >= due_s:
                yield from self._import(row, stamp)
        self._before = stamps
        self._done &= current
        self._failed = {key: value for key, value in self._failed.items() if key in current - self._done}

    def _import(self, row: Metadata, stamp: Stamp) -> Iterator[Outcome]:
        outcome = self._work.one(row)
        if outcome.passing:
            failures = self._failed.get((row, stamp), (0, 0.0))[0] + 1
            self._failed[row, stamp] = failures, self._clock.monotonic_s() + BACKOFF.after_s(failures)
            yield from self._once(outcome)
        else:
            self._done.add((row, stamp))
            yield outcome

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
