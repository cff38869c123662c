from hypothesis import given
from hypothesis import strategies as st

from callreel.review.word_alignment import opcodes

WORDS = st.lists(st.sampled_from(["a", "b", "c", "valve"]), max_size=12)


def test_runs_have_the_operations_of_difflib() -> None:
    assert list(opcodes("the left valve now".split(), "the right valve".split())) == [
        ("equal", 0, 1, 0, 1),
        ("replace", 1, 2, 1, 2),
        ("equal", 2, 3, 2, 3),
        ("delete", 3, 4, 3, 3),
    ]
    assert list(opcodes([], ["a"])) == [("insert", 0, 0, 0, 1)]
    assert list(opcodes([], [])) == []


@given(WORDS, WORDS)
def test_runs_cover_both_sequences_in_order(before: list[str], after: list[str]) -> None:
    made: list[str] = []
    i = j = 0
    for op, i_start, i_end, j_start, j_end in opcodes(before, after):
        assert (i_start, j_start) == (i, j)
        assert (op == "equal") == (before[i_start:i_end] == after[j_start:j_end])
        made += after[j_start:j_end]
        i, j = i_end, j_end
    assert (i, made) == (len(before), after)
