"""Aligning two sequences of words by their longest common subsequence, in time bounded by their lengths.

`difflib.SequenceMatcher` is cubic on repeated words: 2,000 times the same word took 78 s. RapidFuzz's bit-parallel
algorithm takes milliseconds for as many; its memory is one bit for each pair of words.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from rapidfuzz.distance import LCSseq

Op = Literal["equal", "replace", "insert", "delete"]


def opcodes(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[Op, int, int, int, int]]:
    """(op, i, i_end, j, j_end), as `SequenceMatcher.get_opcodes`: runs of `before[i:i_end]` and `after[j:j_end]`."""
    i = j = 0
    for code in (*LCSseq.opcodes(before, after), None):
        if code is not None and code.tag != "equal":
            continue
        i_end, j_end = (code.src_start, code.dest_start) if code else (len(before), len(after))
        if i < i_end or j < j_end:
            yield (
                "replace" if i < i_end and j < j_end else "delete" if i < i_end else "insert",
                i,
                i_end,
                j,
                j_end,
            )
        if code:
            yield "equal", code.src_start, code.src_end, code.dest_start, code.dest_end
            i, j = code.src_end, code.dest_end
