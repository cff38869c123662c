"""Merging intervals."""

from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.intervals import merged


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 50)).map(lambda one: (one[0], sum(one)))))
def test_merged_intervals_cover_the_same_milliseconds(intervals: list[tuple[int, int]]) -> None:
    def covered(some: list[tuple[int, int]]) -> set[int]:
        return {ms for start, end in some for ms in range(start, end)}

    found = merged(intervals)
    assert covered(found) == covered(intervals)
    assert all(before[1] < after[0] for before, after in zip(found, found[1:], strict=False))
    assert merged([(0, 10), (15, 20), (40, 50)], 5) == [(0, 20), (40, 50)]
    assert merged([(30, 40), (7, 7), (0, 5)]) == [(0, 5), (30, 40)]
