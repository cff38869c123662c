"""Comparison of live and final transcripts, word by word."""

from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.call import Role
from callreel.domain.transcript import Turn, Word
from callreel.review.transcript_difference import differences


def turn(text: str, start_ms: int = 0, role: Role = Role.AGENT) -> Turn:
    words = tuple(
        Word(piece, start_ms + 200 * n, start_ms + 200 * n + 180) for n, piece in enumerate(text.split())
    )
    return Turn(role, start_ms, words[-1].end_ms if words else start_ms, text, None, words)


def runs(live: list[Turn], final: list[Turn]) -> list[tuple[str, str, str]]:
    return [
        (run.op, " ".join(w.text for w in run.live), " ".join(w.text for w in run.final))
        for run in differences(live, final)
    ]


def test_replaced_word() -> None:
    found = runs([turn("read the gorge please now")], [turn("read the gauge please")])
    assert found == [
        ("equal", "read the", "read the"),
        ("replace", "gorge", "gauge"),
        ("equal", "please", "please"),
        ("delete", "now", ""),
    ]


def test_capitals_and_punctuation_are_no_difference() -> None:
    assert runs([turn("well then")], [turn("Well, then.")]) == [("equal", "well then", "Well, then.")]


def test_parties_are_compared_separately_in_order_of_time() -> None:
    live = [turn("hello"), turn("hello", 3000, Role.TECHNICIAN)]
    final = [turn("hello"), turn("hullo", 3000, Role.TECHNICIAN), turn("bye", 9000)]
    assert runs(live, final) == [
        ("equal", "hello", "hello"),
        ("replace", "hello", "hullo"),
        ("insert", "", "bye"),
    ]
    assert [run.role for run in differences(live, final)] == [Role.AGENT, Role.TECHNICIAN, Role.AGENT]


def test_the_same_word_at_another_time_is_not_the_same() -> None:
    assert runs([turn("yes", 0)], [turn("yes", 60_000)]) == [("delete", "yes", ""), ("insert", "", "yes")]


def test_empty_transcripts_have_no_differences() -> None:
    assert runs([], []) == []


TURNS = st.lists(
    st.builds(
        turn, st.text("ab ", min_size=1, max_size=12), st.integers(0, 20_000), st.sampled_from(list(Role))
    ),
    max_size=5,
)


@given(TURNS, TURNS)
def test_every_word_is_in_one_run(live: list[Turn], final: list[Turn]) -> None:
    found = differences(live, final)
    for side, turns in (("live", live), ("final", final)):
        listed = sorted((w.start_ms, w.text) for run in found for w in getattr(run, side))
        assert listed == sorted((w.start_ms, w.text) for said in turns for w in said.words)
    for run in found:
        assert bool(run.live) == (run.op != "insert")
        assert bool(run.final) == (run.op != "delete")


def test_a_long_call_is_compared_quickly() -> None:
    """Two hours of words, all of one party; a comparison of the whole at once would take minutes."""
    live = [turn("the valve is open and the " * 3, 10_000 * n) for n in range(720)]
    final = [turn("the valve was open and a " * 3, 10_000 * n) for n in range(720)]
    assert len(differences(live, final)) > 720
