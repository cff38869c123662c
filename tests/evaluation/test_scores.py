import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.audio.segmenter import SpeechSpan
from callreel.domain.call import Role
from callreel.evaluation.scores import (
    Segmentation,
    Spoken,
    SpokenWord,
    WordErrors,
    differences,
    display_delays_ms,
    percentile,
    retracted,
    segmentation,
    speaker_score,
    word_errors,
)

TEXTS = st.lists(st.sampled_from(["pump", "leaks", "valve", "is", "shut"]), max_size=12)


def said(text: str, start_ms: int = 0, word_ms: int = 300) -> tuple[SpokenWord, ...]:
    """Words one after the other without pauses."""
    return tuple(
        SpokenWord(word, start_ms + at * word_ms, start_ms + (at + 1) * word_ms)
        for at, word in enumerate(text.split())
    )


def turn(role: Role, text: str, start_ms: int = 0) -> Spoken:
    words = said(text, start_ms)
    return Spoken(role, start_ms, words[-1].end_ms if words else start_ms, text, words)


def test_errors_are_counted_by_their_sort() -> None:
    found = word_errors("the pump leaks at the valve today", "the bump leaks at valve today now")
    assert found == WordErrors(words=7, substitutions=1, deletions=1, insertions=1)
    assert found.rate == 3 / 7


def test_spelling_is_no_error() -> None:
    assert word_errors("It's 555-0123, OK?", "its five five five zero one two three okay").errors == 0


def test_without_a_reference_words_count_as_added() -> None:
    assert word_errors("", "thank you") == WordErrors(insertions=2)
    assert word_errors("", "").rate is None


@given(TEXTS, TEXTS)
def test_errors_agree_with_the_differences(reference: list[str], decoded: list[str]) -> None:
    errors = word_errors(" ".join(reference), " ".join(decoded))
    pieces = differences(" ".join(reference), " ".join(decoded))
    assert [word for piece in pieces for word in piece.reference] == reference
    assert [word for piece in pieces for word in piece.recognized] == decoded
    assert errors.errors == sum(
        max(len(piece.reference), len(piece.recognized)) for piece in pieces if not piece.same
    )
    assert errors.words == len(reference)


@given(TEXTS, TEXTS)
def test_errors_of_two_recordings_add_up(one: list[str], two: list[str]) -> None:
    total = word_errors(" ".join(one), "pump") + word_errors(" ".join(two), "valve")
    assert total.words == len(one) + len(two)


def test_delay_counts_from_the_end_of_recognized_words() -> None:
    spoken = said("the pump leaks")  # ends at 300, 600, 900
    decoded = [("the", 500), ("bump", 1000), ("leaks", 1000)]
    assert display_delays_ms(spoken, decoded) == [200, 100]


def test_delays_survive_words_that_are_many_words_when_said() -> None:
    spoken = (SpokenWord("555-0123", 0, 2000), SpokenWord("please", 2000, 2500))
    decoded = [(digit, 2100) for digit in "five five five zero one two three".split()] + [("please", 3000)]
    assert display_delays_ms(spoken, decoded) == [100] * 7 + [500]


@pytest.mark.parametrize(
    ("shown", "count"),
    [
        ([], 0),
        ([["a", "b"], ["a", "b", "c"]], 0),
        ([["a", "b", "c"], ["a", "x", "c"]], 2),
        ([["a"], []], 1),
        ([["a"], ["b"], ["a"]], 2),
    ],
)
def test_words_shown_and_replaced_are_retracted(shown: list[list[str]], count: int) -> None:
    assert retracted(shown) == count


@given(st.lists(TEXTS))
def test_growing_texts_take_nothing_back(pieces: list[list[str]]) -> None:
    grown: list[list[str]] = [[]]
    for piece in pieces:
        grown.append(grown[-1] + piece)
    assert retracted(grown) == 0


def test_a_segment_over_all_words_loses_and_cuts_none() -> None:
    found = segmentation([turn(Role.AGENT, "the pump leaks", 1000)], [SpeechSpan(500, 2350, 2400)])
    assert found == Segmentation(words=3, turns=1, segments=1, decision_delays_ms=(500,))


def test_words_outside_are_lost_and_words_on_an_edge_are_cut() -> None:
    # Words at 0-300, 300-600, 600-900.
    found = segmentation([turn(Role.AGENT, "the pump leaks")], [SpeechSpan(400, 750, 900)])
    assert (found.words, found.lost, found.cut) == (3, 1, 2)


def test_word_in_two_segments_is_cut_and_empty_segment_false() -> None:
    pieces = [SpeechSpan(0, 450, 500), SpeechSpan(450, 900, 950), SpeechSpan(5000, 6000, 6500)]
    found = segmentation([turn(Role.AGENT, "the pump leaks")], pieces)
    assert (found.lost, found.cut, found.false_segments) == (0, 1, 1)
    assert found.decision_delays_ms == (50,)


def test_segmentations_add_up() -> None:
    one = Segmentation(3, 1, 0, 1, 1, 0, (50,))
    assert one + one == Segmentation(6, 2, 0, 2, 2, 0, (50, 50))


REFERENCE = [
    turn(Role.AGENT, "is the valve shut now", 0),
    turn(Role.TECHNICIAN, "the pump leaks at once", 3000),
]


def test_wrong_words_of_the_right_party_are_not_misattributed() -> None:
    score = speaker_score(
        REFERENCE,
        [turn(Role.AGENT, "is the bell shut now"), turn(Role.TECHNICIAN, "the pump leaks", 3000)],
    )
    assert score is not None and score.cp_wer == pytest.approx(0.3)
    assert score.misattributed == 0


def test_words_on_the_wrong_party_are_misattributed() -> None:
    score = speaker_score(
        REFERENCE,
        [turn(Role.AGENT, "is the valve shut now"), turn(Role.AGENT, "the pump leaks at once", 3000)],
    )
    assert score is not None and score.misattributed > 0
    assert score.misattributed_in_time == pytest.approx(score.misattributed)


def test_surplus_words_are_not_misattributed_in_time() -> None:
    """ORC-WER gives `express please` to the agent, although neither word is the agent's: `a perfect` are as good as two others."""
    said = [
        turn(Role.AGENT, "would you like to ship it regular or express", 0),
        turn(Role.TECHNICIAN, "express please", 9000),
        turn(Role.AGENT, "terrific its on the way", 18_000),
    ]
    decoded = [
        turn(Role.AGENT, "would you like to show that regular or xbox", 0),
        turn(Role.AGENT, "a perfect fit fell on the way", 18_000),
    ]
    score = speaker_score(said, decoded)
    assert score is not None and score.misattributed > 0
    assert score.misattributed_in_time == 0


def test_words_at_the_wrong_time_count_only_where_times_count() -> None:
    late = [turn(one.role, one.text, one.start_ms + 20_000) for one in REFERENCE]
    score = speaker_score(REFERENCE, late)
    assert score is not None and score.cp_wer == 0 and score.tcp_wer > 0.9


def test_empty_transcript_is_all_wrong_and_empty_reference_unscored() -> None:
    silent = speaker_score(REFERENCE, [])
    assert silent is not None and silent.cp_wer == 1 and silent.misattributed == 0
    assert speaker_score([], REFERENCE) is None


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([], 50) is None
    assert percentile([3, 1, 2], 50) == 2
    assert percentile(range(1, 101), 95) == 95
    assert percentile([7], 0) == 7
