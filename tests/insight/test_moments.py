"""The moments of a call, by true sentences and near misses."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.call import Role
from callreel.domain.redaction import Entity, Stretch
from callreel.domain.transcript import Turn, words_of
from callreel.insight import phrases
from callreel.insight.moment_kind import MomentKind
from callreel.insight.moments import MOST_MOMENTS, Moment, find_moments
from callreel.redaction.masking import masked_turns
from tests.asr.clips import FOLDER

CALLS = FOLDER / "calls"


def said(*texts: str, role: Role = Role.TECHNICIAN, every_ms: int = 5_000) -> list[Turn]:
    """One turn each, of 4 s."""
    return [Turn(role, n * every_ms, n * every_ms + 4_000, text, None) for n, text in enumerate(texts)]


def kinds(*texts: str) -> list[MomentKind]:
    return [moment.kind for moment in find_moments(said(*texts), "en")]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (MomentKind.QUESTION, "When will the part arrive?"),
        (MomentKind.QUESTION, "The left valve, is that the red one?"),
        (MomentKind.PROMISE, "I’ll send you the form tomorrow."),
        (MomentKind.PROMISE, "We are going to replace the unit, free of charge."),
        (MomentKind.PROMISE, "I will personally look into this matter."),
        (MomentKind.PROMISE, "I promise."),
        (MomentKind.PROMISE, "I cannot say if I will, but I will call you."),
        (MomentKind.THANKS, "Thank you so much, Anna."),
        (MomentKind.THANKS, "We really appreciate your help."),
        (MomentKind.THANKS, "Thanks for coming so quickly."),
        (MomentKind.COMPLAINT, "This is the third time I have called about it."),
        (MomentKind.COMPLAINT, "I have been waiting for almost two weeks."),
        (MomentKind.COMPLAINT, "Honestly, the whole visit was disappointing."),
        (MomentKind.COMPLAINT, "I am not at all happy with the repair."),
        (MomentKind.COMPLAINT, "Let me speak to your manager."),
        (MomentKind.NUMBER, "It is zero four two eight six two three one."),
        (MomentKind.NUMBER, "The serial number is AB-44710."),
        (MomentKind.NUMBER, "You reach me at 415 555 0132."),
        (MomentKind.NUMBER, "My customer number is 47110 thanks."),
        (MomentKind.NUMBER, "The code is 47110. Euros are fine."),
        (MomentKind.ADDRESS, "We live at 12 Station Road in Leeds."),
        (MomentKind.ADDRESS, "Write to hannah.king@example.com."),
    ],
)
def test_sentence_is_a_moment_of_its_kind(kind: MomentKind, text: str) -> None:
    assert kinds(text) == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "How may I help you today?",
        "How are you doing?",
        "Is there anything else I can do for you?",
        "Okay?",
        "I wonder what the pressure is.",
        "We'll see.",
        "I'll be honest with you.",
        "Call me if I will be late.",
        "I will have to think about it.",
        "I'll ask you a few questions.",
        "Will I send it, or will you?",
        "Thank you.",
        "Thank you for calling Acme.",
        "Great, thanks for verifying that.",
        "No thanks for the reminder then.",
        "I would appreciate if you could hurry.",
        "Thanks to the new pump it works.",
        "I'm not disappointed at all.",
        "We never had any complaint.",
        "I'm sorry that you are frustrated.",
        "I can't complain.",
        "The pump does not start.",
        "In 1986 we had 3,200 of them on 12/05/2024 at 10:30.",
        "It costs five thousand dollars, or 25 percent more.",
        "Wait two or three minutes at forty two bars.",
        "It was 1250 euros.",
        "They have 5000 employees there.",
        "The pressure is 1013.25 hectopascal.",
        "It weighs 2500 kilos or 1,250.50 pounds.",
        "The price is 1249.99 plus tax.",
        "The street is closed and the avenue too.",
    ],
)
def test_near_miss_is_no_moment(text: str) -> None:
    found = [kind for kind in kinds(text) if not (text.endswith("you?") and kind is MomentKind.QUESTION)]
    assert found == []


def test_questions_without_punctuation_are_known_by_their_first_words() -> None:
    turns = said(
        "okay can you read me the pressure on the left gauge please",
        "it says forty two and it is falling slowly",
        "what a day we had out there on that roof",
        "when i arrived it was cold and do it again was all he said",
        "have a nice day and see you there next week",
    )
    [question] = find_moments(turns, "en")
    assert (question.kind, question.start_ms) == (MomentKind.QUESTION, 0)


def test_moment_begins_with_its_sentence_or_with_the_phrase_of_a_long_one() -> None:
    [promise] = find_moments(said("It leaks. I will send somebody today."), "en")
    assert (promise.text, promise.start_ms > 500, promise.end_ms) == (
        "I will send somebody today.",
        True,
        4_000,
    )
    long = "well " * 40 + "I will send somebody today"
    [cut] = find_moments(said(long), "en")
    assert cut.text == "well well well well well well I will send somebody today …"


def test_number_continues_in_the_next_turn_but_not_after_a_pause() -> None:
    turns = said("four four one two", "eight eight nine zero", every_ms=4_500)
    between = replace(turns[0], role=Role.AGENT, text="mhm", start_ms=4_100, end_ms=4_300)
    [number] = find_moments([turns[0], between, turns[1]], "en")
    assert (number.text, number.start_ms, number.end_ms) == (
        "four four one two eight eight nine zero",
        0,
        8_500,
    )
    assert len(find_moments(said("four four one two", "eight eight nine zero", every_ms=9_000), "en")) == 2


def test_masked_numbers_stay_masked() -> None:
    [turn] = said("My card is 4111 1111 1111 1111.")
    hidden = masked_turns([turn], [Stretch(turn.role, Entity.CARD_NUMBER, words_of(turn)[3].start_ms, 4_000)])
    [moment] = find_moments(hidden, "en")
    assert (moment.kind, moment.text) == (MomentKind.NUMBER, "[card number].")
    hidden = masked_turns([turn], [Stretch(turn.role, Entity.OTHER, 0, 4_000)])
    assert find_moments(hidden, "en") == []


@pytest.mark.parametrize("language", ["de", ""])
def test_other_and_unknown_languages_have_no_moments(language: str) -> None:
    assert find_moments(said("Thank you so much, Anna."), language) == []


def test_call_has_a_bounded_number_of_moments() -> None:
    found = find_moments(said(*["I will send it today."] * (MOST_MOMENTS + 5)), "en")
    assert len(found) == MOST_MOMENTS
    assert found[-1].start_ms == (MOST_MOMENTS - 1) * 5_000


@given(
    st.lists(
        st.tuples(
            st.sampled_from(Role),
            st.integers(0, 600_000),
            st.integers(0, 60_000),
            st.one_of(st.text(max_size=80), st.lists(st.sampled_from(
                ["I'll send", "if", "four", "4711", "thanks for", "?", "ß’", "[card number],", "12 Station Road", "not", "useless.", "at"]
            ), max_size=30).map(" ".join)),
        ),
        max_size=6,
    )
)  # fmt: skip
def test_moments_quote_what_their_party_said(made: list[tuple[Role, int, int, str]]) -> None:
    turns = [Turn(role, start, start + length, text, None) for role, start, length, text in made]
    found = find_moments(turns, "en")
    assert found == find_moments(turns, "en")
    assert found == sorted(found, key=lambda moment: moment.start_ms)
    for moment in found:
        words = [w for turn in turns if turn.role is moment.role for w in words_of(turn)]
        assert moment.text.removesuffix(" …").split()[0] in " ".join(w.text for w in words)
        assert any(w.start_ms == moment.start_ms for w in words)


def test_moments_of_the_shared_calls_are_those_that_were_read() -> None:
    """docs/insight.md has the figures: these were read and judged; a change of the rules must be judged again."""
    if not CALLS.is_dir():
        pytest.skip(f"no recorded calls at {CALLS}")
    counts: dict[str, int] = {}
    for path in sorted(CALLS.glob("*.json")):
        if path.name.startswith("composed"):
            continue
        for moment in moments_of(path):
            counts[moment.kind] = counts.get(moment.kind, 0) + 1
    assert counts == {"question": 23, "number": 8, "address": 5, "promise": 5, "thanks": 14, "complaint": 2}


def moments_of(path: Path) -> list[Moment]:
    roles = (Role.AGENT, Role.TECHNICIAN)
    listed = json.loads(path.read_text())["turns"]
    turns = [
        Turn(roles[one["channel"]], round(one["start"] * 1000), round(one["end"] * 1000), one["text"], None)
        for one in listed
    ]
    return find_moments(turns, "en")


@pytest.mark.parametrize("text", ["not bad service ", "if i will send ", "no thank you so much "])
def test_long_sentence_of_phrases_that_do_not_count_is_read_quickly(text: str) -> None:
    started_s = time.process_time()
    assert (
        phrases.complaint(text * 8_000)
        is phrases.promise(text * 8_000)
        is phrases.thanks(text * 8_000)
        is None
    )
    assert time.process_time() - started_s < 3, "more than linear: it was 30 s"
