"""Stretches of a file, as pairs of milliseconds. Pure."""

from collections.abc import Iterable

Interval = tuple[int, int]
"""From and to, in milliseconds of the file."""


def merged(intervals: Iterable[Interval], gap_ms: int = 0) -> list[Interval]:
    """The intervals in order, with those that overlap, or are at most `gap_ms` apart, as one; empty ones are dropped."""
    made: list[Interval] = []
    for first, last in sorted(intervals):
        if made and first <= made[-1][1] + gap_ms:
            made[-1] = (made[-1][0], max(made[-1][1], last))
        elif last > first:
            made.append((first, last))
    return made
