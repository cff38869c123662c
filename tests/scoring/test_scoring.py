"""Questions, scores, comparisons, disputes and results of scorecards: examples and properties."""

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.scoring.comparison import compare
from callreel.scoring.dispute import ReviewState, Step, after
from callreel.scoring.questions import POINTS, Question, QuestionKind, checked_title, next_questions
from callreel.scoring.results import Mean, QuestionMean, ReviewResult, means, question_means
from callreel.scoring.score import (
    Answer,
    Remark,
    Score,
    checked_answers,
    checked_remarks,
    percent,
    score_of,
    unanswered,
)

YES_NO, SCALE, TEXT = QuestionKind.YES_NO, QuestionKind.SCALE, QuestionKind.TEXT
GREETING = Question(1, "Greeted?", YES_NO, 5)
EMPATHY = Question(2, "Empathy", SCALE, 10)
DISCLOSED = Question(3, "Disclosed the recording?", YES_NO, 5, critical=True)
ADVICE = Question(4, "What to do better?", TEXT)
CARD = (GREETING, EMPATHY, DISCLOSED, ADVICE)


@st.composite
def cards(draw: st.DrawFn) -> tuple[Question, ...]:
    """Questions with keys, at least one of which gives points."""
    kinds = [
        draw(st.sampled_from([YES_NO, SCALE])),
        *draw(st.lists(st.sampled_from(QuestionKind), max_size=8)),
    ]
    return tuple(
        Question(
            key, f"Question {key}", kind, draw(st.integers(*POINTS[kind])), kind is YES_NO and draw(st.booleans())
        )
        for key, kind in enumerate(kinds, 1)
    )  # fmt: skip


@st.composite
def answered(draw: st.DrawFn, card: tuple[Question, ...]) -> tuple[Answer, ...]:
    """A complete review: points or not applicable for every question that gives points."""
    found = []
    for question in card:
        if question.kind is TEXT:
            continue
        choices = [0, question.points] if question.kind is YES_NO else [*range(question.points + 1)]
        points = draw(st.sampled_from([None, *choices]))
        found.append(Answer(question.key, points, points is None))
    return tuple(found)


REVIEWED = cards().flatmap(lambda card: st.tuples(st.just(card), answered(card)))


def test_example_of_the_documentation() -> None:
    answers = [Answer(1, 5), Answer(2, 7), Answer(3, None, True)]
    assert score_of(CARD, answers) == Score(12, 15)
    assert percent(score_of(CARD, answers).share) == 80.0
    failed = [Answer(1, 5), Answer(2, 7), Answer(3, 0)]
    assert score_of(CARD, failed) == Score(12, 20, (3,))
    assert percent(score_of(CARD, failed).share) == 0.0


def test_nothing_applicable_has_no_score() -> None:
    nothing = [Answer(key, None, True) for key in (1, 2, 3)]
    assert score_of(CARD, nothing).share is None
    assert percent(None) is None


@given(REVIEWED)
def test_score_is_between_0_and_1_and_0_after_a_critical_failure(
    given: tuple[tuple[Question, ...], tuple[Answer, ...]],
) -> None:
    card, answers = given
    score = score_of(card, answers)
    assert 0 <= score.reached <= score.possible
    critical = {question.key for question in card if question.critical}
    failed = {answer.question for answer in answers if answer.points == 0} & critical
    assert set(score.failed) == failed
    if failed:
        assert score.share == 0
    elif score.possible:
        assert score.share == Fraction(score.reached, score.possible)
    else:
        assert score.share is None


@given(REVIEWED, st.data())
def test_better_answer_never_lowers_the_score(
    given: tuple[tuple[Question, ...], tuple[Answer, ...]], data: st.DataObject
) -> None:
    card, answers = given
    at = data.draw(st.integers(0, len(answers) - 1))
    question = next(one for one in card if one.key == answers[at].question)
    if answers[at].points is None:
        return
    best = (*answers[:at], Answer(question.key, question.points), *answers[at + 1 :])
    before, after_it = score_of(card, answers).share, score_of(card, best).share
    assert before is not None and after_it is not None and after_it >= before


@given(REVIEWED)
def test_complete_answers_pass_the_check_in_any_order(
    given: tuple[tuple[Question, ...], tuple[Answer, ...]],
) -> None:
    card, answers = given
    assert unanswered(card, answers) == []
    assert checked_answers(card, answers[::-1]) == answers
    for at in range(len(answers)):
        places = [question.key for question in card]
        missing = unanswered(card, answers[:at] + answers[at + 1 :])
        assert missing == [places.index(answers[at].question) + 1]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(1, 3), "question 1 cannot give 3 points"),
        (Answer(1, 5, True), "points or is not applicable"),
        (Answer(2, 11), "question 2 cannot give 11 points"),
        (Answer(2, -1), "question 2 cannot give -1 points"),
        (Answer(4, 0), "question 4 gives no points"),
        (Answer(9, 1), "does not have"),
    ],
)
def test_impossible_answer_is_refused(answer: Answer, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        checked_answers(CARD, [answer])


def test_question_is_answered_once_and_empty_answers_are_left_out() -> None:
    with pytest.raises(ValueError, match="at most once"):
        checked_answers(CARD, [Answer(1, 5), Answer(1, 0)])
    assert checked_answers(CARD, [Answer(2), Answer(1, 0)]) == (Answer(1, 0),)


def test_remarks_are_trimmed_sorted_and_limited() -> None:
    given = [Remark(4, "  slower \n"), Remark(1, "", (900, 10, 900)), Remark(2, " ")]
    assert checked_remarks(CARD, given) == (Remark(1, "", (10, 900)), Remark(4, "slower"))
    with pytest.raises(ValueError, match="question 2 has at most 2000 characters"):
        checked_remarks(CARD, [Remark(2, "x" * 2001)])
    with pytest.raises(ValueError, match="at most 10 moments"):
        checked_remarks(CARD, [Remark(2, "", tuple(range(11)))])


def test_next_version_keeps_keys_of_the_same_kind_and_reuses_none() -> None:
    first, last = next_questions(
        (), 0, [Question(0, " Greeted  well? ", YES_NO, 5), Question(7, "Empathy", SCALE, 4)]
    )
    assert [(one.key, one.text) for one in first] == [(1, "Greeted well?"), (2, "Empathy")]
    wanted = [
        Question(2, "Empathy and tone", SCALE, 8),
        Question(1, "Greeting", SCALE, 5),
        Question(2, "Again", SCALE, 2),
    ]
    second, last = next_questions(first, last, wanted)
    assert [one.key for one in second] == [2, 3, 4]
    third, _ = next_questions(second, last, [Question(1, "Greeted?", YES_NO, 5)])
    assert [one.key for one in third] == [5]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ([], "1 to 40 questions"),
        ([Question(0, "x", YES_NO, 1)] * 41, "1 to 40 questions"),
        ([Question(0, "x", TEXT)], "needs a question that gives points"),
        ([Question(0, " ", YES_NO, 1)], "question 1 has 1 to 300 characters"),
        ([Question(0, "x", YES_NO, 0)], "question 1 gives 1 to 100 points"),
        ([Question(0, "x", SCALE, 11)], "question 1 gives 2 to 10 points"),
        ([Question(0, "x", TEXT, 1)], "question 1 gives no points"),
        ([Question(0, "x", SCALE, 5, critical=True)], "question 1 cannot be critical"),
    ],
)
def test_unusable_questions_are_refused(wanted: list[Question], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        next_questions((), 0, wanted)


def test_name_has_single_spaces_and_a_length() -> None:
    assert checked_title("  Service \n desk ") == "Service desk"
    for name in (" ", "x" * 101):
        with pytest.raises(ValueError, match="1 to 100 characters"):
            checked_title(name)


def test_two_reviews_side_by_side() -> None:
    first = [Answer(1, 5), Answer(2, 7), Answer(3, 5)]
    second = [Answer(1, 5), Answer(2, 4), Answer(3, None, True)]
    compared = compare(CARD, [first, second])
    assert [(one.question, one.same, one.spread) for one in compared.questions] == [
        (1, True, 0), (2, False, 3), (3, False, 0),
    ]  # fmt: skip
    assert compared.agreement == Fraction(1, 3)


@given(REVIEWED, st.integers(2, 4))
def test_equal_reviews_agree_completely(
    given: tuple[tuple[Question, ...], tuple[Answer, ...]], reviewers: int
) -> None:
    card, answers = given
    compared = compare(card, [answers] * reviewers)
    assert compared.agreement == 1
    assert all(one.same and not one.spread for one in compared.questions)


@given(cards().flatmap(lambda card: st.tuples(st.just(card), answered(card), answered(card))))
def test_agreement_does_not_depend_on_the_order_of_reviews(
    given: tuple[tuple[Question, ...], tuple[Answer, ...], tuple[Answer, ...]],
) -> None:
    card, first, second = given
    one, other = compare(card, [first, second]), compare(card, [second, first])
    assert one.agreement == other.agreement
    same = sum(a == b for a, b in zip(first, second, strict=True))
    assert one.agreement == Fraction(same, len(first))


def test_only_disputes_follow_a_finished_review() -> None:
    possible = {
        (state, step): found
        for state, step in product(ReviewState, Step)
        if (found := after(state, step)) is not None
    }
    assert possible == {
        (ReviewState.DRAFT, Step.SAVE): ReviewState.DRAFT,
        (ReviewState.DRAFT, Step.FINISH): ReviewState.FINISHED,
        (ReviewState.FINISHED, Step.DISPUTE): ReviewState.DISPUTED,
        (ReviewState.DISPUTED, Step.UPHOLD): ReviewState.UPHELD,
        (ReviewState.DISPUTED, Step.CHANGE): ReviewState.CHANGED,
    }


def result(agent: str, month: str, *points: int | None) -> ReviewResult:
    answers = [Answer(key, given, given is None) for key, given in zip((1, 2, 3), points, strict=True)]
    return ReviewResult(agent, month, 1, CARD, answers)


RESULTS = [
    result("maria", "2026-10", 5, 10, 5),  # 100 %
    result("maria", "2026-11", 5, 0, 5),  # 50 %
    result("zoe", "2026-11", 5, 10, 0),  # critical: 0 %
    result("zoe", "2026-11", None, None, None),  # no score
]


def test_means_by_agent_and_month_leave_out_reviews_without_a_score() -> None:
    assert means(RESULTS, lambda one: one.agent) == {
        "maria": Mean(2, Fraction(3, 4)),
        "zoe": Mean(2, Fraction(0), 1),
    }
    assert means(RESULTS, lambda one: one.month)["2026-11"] == Mean(3, Fraction(1, 4), 1)


def test_mean_of_a_question_counts_points_only() -> None:
    assert question_means(RESULTS) == [
        QuestionMean(1, 1, 3, 1, Fraction(1)),
        QuestionMean(1, 2, 3, 1, Fraction(2, 3)),
        QuestionMean(1, 3, 3, 1, Fraction(2, 3)),
    ]


@pytest.mark.parametrize(
    ("share", "shown"),
    [(Fraction(1, 3), 33.3), (Fraction(2, 3), 66.7), (Fraction(1, 2000), 0.1), (Fraction(1), 100.0)],
)
def test_percent_has_one_decimal_with_halves_up(share: Fraction, shown: float) -> None:
    assert percent(share) == shown
