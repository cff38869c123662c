from itertools import permutations

import pytest

from callreel.domain.ids import RecordingSid
from callreel.postcall.recording_choice import StoredRecording, choose


def stored(
    sid: str, channels: int, start_ms: int, duration_ms: int, agreement: float = 0.0
) -> StoredRecording:
    return StoredRecording(RecordingSid(sid), channels, start_ms, duration_ms, agreement)


WHOLE = stored("whole", 2, 0, 14_000)
CASES = {
    "whole and a part": ([WHOLE, stored("part", 2, 5_000, 9_400)], ["whole"]),
    "two channels and one": ([WHOLE, stored("mono", 1, 0, 14_300)], ["whole"]),
    "one channel of all, two of a part": ([stored("mono", 1, 0, 14_000), stored("part", 2, 9_000, 5_000)], ["mono"]),
    "stopped and started again": ([stored("first", 2, 0, 7_200), stored("second", 2, 8_000, 6_000)], ["first", "second"]),
    "started in the second of the stop": ([stored("a", 2, 0, 7_900), stored("b", 2, 7_000, 6_000)], ["a", "b"]),
    "same length, one agrees": ([stored("a", 2, 0, 14_000, 0.1), stored("b", 2, 0, 14_200, 0.99)], ["b"]),
    "parts beside the whole": ([WHOLE, stored("a", 2, 0, 4_000), stored("b", 2, 6_000, 4_000)], ["whole"]),
    "none": ([], []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_choice_is_the_same_in_any_order(case: str) -> None:
    recordings, expected = CASES[case]
    for order in permutations(recordings):
        assert [recording.sid for recording in choose(order)] == expected
