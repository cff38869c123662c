"""Finding sensitive data: as engines write it, as people say it, across turns, and not where there is none."""

from dataclasses import replace

import pytest

from callreel.domain.call import Role
from callreel.domain.redaction import Entity, Stretch
from callreel.redaction.find import TAIL_MS, FindOptions, find_entities
from callreel.redaction.masking import masked_turns
from tests.redaction.conversation import conversation

CARD = "4412 8890 1234 5677"
ASKED = "A: what is your card number please"


def masked(*lines: str) -> list[str]:
    turns = conversation(*lines)
    return [turn.text for turn in masked_turns(turns, find_entities(turns))]


CASES = {
    "written card": (["T: it is 4111 1111 1111 1111, thanks"], ["it is [card number], thanks"]),
    "card with hyphens": (["T: 4111-1111-1111-1111 yes"], ["[card number] yes"]),
    "card digit by digit": (
        ["T: four one one one one one one one one one one one one one one one okay"],
        ["[card number] okay"],
    ),
    "card with doubles, oh and tens": (
        ["T: five five double five triple five four double four four double four four four four bye"],
        ["[card number] bye"],
    ),
    "mixed digits and words": (
        ["T: 41 eleven 1111 one one one one 1111 is that right"],
        ["[card number] is that right"],
    ),
    "homophones between digits": (
        [ASKED, "T: four won one one four for two to one one one one too two three four"],
        ["what is your card number please", "[card number]"],
    ),
    "card across turns": (
        [ASKED, "T: four one one one", "A: okay", "T: one one one one", "A: go ahead", "T: 1111 1111 done"],
        [
            "what is your card number please", "[card number]", "okay", "[card number]", "go ahead",
            "[card number] done",
        ],
    ),  # fmt: skip
    "card with a missed digit after a question": (
        [ASKED, "T: 4111 1111 1111 111"],
        ["what is your card number please", "[card number]"],
    ),
    "words that the engine wrote for digits after a question": (
        [ASKED, "T: for floor one two oh oh to eight give six seven 9 ate three one won thanks"],
        ["what is your card number please", "[card number] thanks"],
    ),
    "hundreds and pairs": (
        [ASKED, "T: forty four twelve hundred thirty four fifty six um seventy eight ninety one okay"],
        ["what is your card number please", "[card number] okay"],
    ),
    "groups of which the engine wrote few digits": (
        [ASKED, "T: two two two one", "A: okay", "T: 3 double 0.5", "A: yes", "T: and when it's so so", "A: yes", "T: so three"],
        [
            "what is your card number please", "[card number]", "okay", "[card number]", "yes", "[card number]", "yes",
            "[card number]",
        ],
    ),
    "card that the agent repeats": (
        [
            ASKED, "T: 4 4 1 2", "A: 4 4 1 2", "T: double eight ninety", "A: double eight nine oh", "T: 1234",
            "A: one two three four", "T: 5678 thanks",
        ],
        ["what is your card number please", *["[card number]"] * 6, "[card number] thanks"],
    ),
    "card number for an order": (
        ["A: the card number for this order", "T: 4 4 1 2 8 8 9 0 1 2 3 4 5 7"],
        ["the card number for this order", "[card number]"],
    ),
    "security code with one digit written": (
        ["A: and the secure code please", "T: that is hero near 3"],
        ["and the secure code please", "that is [security code]"],
    ),
    "e-mail of which the engine wrote other words": (
        ["A: and your email address", "T: my email is may be done to call open an example"],
        ["and your email address", "my email is [e-mail address]"],
    ),
    "answer of which the engine wrote other words": (
        ["A: which email should i send the confirmation to", "T: it's happy monash o'brien and ask me there thanks"],
        ["which email should i send the confirmation to", "it's [e-mail address] thanks"],
    ),
    "answer that is a phone number without a question for one": (
        ["A: what number can the technician call", "T: one eight eight two four", "A: okay", "T: one nine five eight"],
        ["what number can the technician call", "[phone number]", "okay", "[phone number]"],
    ),
    "answer that declines": (
        ["A: and your email address please", "T: i don't have one"],
        ["and your email address please", "i don't have one"],
    ),
    "security code": (
        [ASKED, "T: 4111 1111 1111 1111", "A: and the security code on the back", "T: seven three nine"],
        [
            "what is your card number please", "[card number]", "and the security code on the back",
            "[security code]",
        ],
    ),  # fmt: skip
    "iban": (["T: that is DE89370400440532013000."], ["that is [bank account]."]),
    "bank account": (
        ["A: routing number", "T: zero two one oh oh oh oh two one", "A: account number", "T: 12 34 56 78"],
        ["routing number", "[bank account]", "account number", "[bank account]"],
    ),
    "social security number": (["T: my social is 536 90 4399"], ["my social is [national id]"]),
    "national insurance number with letters": (
        ["A: your national insurance number", "T: q q one two three four five six c"],
        ["your national insurance number", "[national id]"],
    ),
    "e-mail as written": (["T: write to maria.lopez@example.com, please"], ["write to [e-mail address], please"]),
    "e-mail as said": (
        ["T: my email is maria dot lopez at example dot com thanks"],
        ["my email is [e-mail address] thanks"],
    ),
    "e-mail spelled": (
        ["T: it's m a r i a 4 2 at gmail.com"],
        ["it's [e-mail address]"],
    ),
    "phone as written": (["T: you can reach me at (212) 555-0123."], ["you can reach me at [phone number]."]),
    "phone digit by digit": (
        ["T: call me on two one two five five five oh one two three"],
        ["call me on [phone number]"],
    ),
    "international phone": (["T: dial +49 30 901820 now"], ["dial [phone number] now"]),
    "date of birth": (
        ["A: and your date of birth", "T: the fourth of may nineteen eighty two"],
        ["and your date of birth", "the [date of birth]"],
    ),
    "date of birth in digits": (["T: i was born on 05/04/1982."], ["i was born on [date of birth]."]),
    "street address": (
        ["T: we are at 12 Baker Street, Springfield 62704"],
        ["we are at [address]"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_sensitive_data_is_masked(name: str) -> None:
    lines, expected = CASES[name]
    assert masked(*lines) == expected


@pytest.mark.parametrize(
    "line",
    [
        "A: the pressure is 42 psi and it was 40 at 10:30",
        "T: order number 4471 2290 1187 for unit 12",
        "T: the serial number is 2125550123 on the label",
        "A: wait for two minutes then close the valve at ten past four",
        "T: i'll be at home at the corner dot it is fine",
        "A: between 1 and 2 or 3 and 4 in 2026",
        "T: look at the unit at the back",
        "A: call 911 if there is smoke",
        "T: it costs $4,412 and 40 cents",
        "A: three to five people for two days in may 2024",
        "T: my email is not working since may",
        "A: your card was charged for 2 parts and 3 weeks on the fourth floor",
    ],
)
def test_ordinary_numbers_are_not_masked(line: str) -> None:
    assert masked(line) == [line.partition(": ")[2]]


def test_long_pause_within_a_number_is_not_redacted() -> None:
    turns = conversation(ASKED, "T: 4111 1111", "A: one moment please i write that down", "T: 1111 1111")
    found = find_entities(turns)
    assert [(one.role, one.entity) for one in found] == [(Role.TECHNICIAN, Entity.CARD_NUMBER)] * 2
    assert found[0].end_ms <= turns[1].end_ms + TAIL_MS < found[1].start_ms


def test_answer_that_the_engine_did_not_write_is_silenced() -> None:
    asked, begun, after = conversation(ASKED, "T: it is", "A: and the security code")
    words = tuple(
        replace(word, start_ms=word.start_ms + 9_000, end_ms=word.end_ms + 9_000) for word in after.words
    )
    late = replace(after, start_ms=after.start_ms + 9_000, end_ms=after.end_ms + 9_000, words=words)
    [found] = find_entities([asked, begun, late])
    assert (found.role, found.entity) == (Role.TECHNICIAN, Entity.CARD_NUMBER)
    assert (found.start_ms, found.end_ms) == (begun.start_ms, late.start_ms)
    assert find_entities([asked, begun, after]) == []


@pytest.mark.parametrize(
    ("question", "entity"),
    [
        ("A: and the security code on the back", Entity.SECURITY_CODE),
        ("A: what is the best phone number to reach you", Entity.PHONE),
    ],
)
def test_unwritten_answer_is_silenced_until_the_next_question(question: str, entity: Entity) -> None:
    asked, after = conversation(question, "A: thank you that is all we need", pause_ms=4_000)
    [found] = find_entities([asked, after])
    assert found == Stretch(Role.TECHNICIAN, entity, asked.end_ms, after.start_ms)
    soon = conversation(question, "A: thank you that is all we need")
    assert find_entities(soon) == []


def test_unwritten_card_number_before_its_code_is_silenced() -> None:
    turns = conversation(
        "A: and the total is fine", "T: let me find it", "A: and the security code please", pause_ms=5_000
    )
    assert (Role.TECHNICIAN, Entity.CARD_NUMBER, turns[1].start_ms, turns[2].start_ms) in [
        (one.role, one.entity, one.start_ms, one.end_ms) for one in find_entities(turns)
    ]


def test_only_wanted_kinds_are_found_and_names_come_from_the_model() -> None:
    turns = conversation("T: maria@example.com is Maria Lopez")

    def names(text: str) -> list[tuple[Entity, int, int]]:
        at = text.index("Maria Lopez")
        return [(Entity.NAME, at, at + 11)]

    options = FindOptions(kinds=frozenset({Entity.NAME}), names=names)
    [found] = find_entities(turns, options)
    assert (found.entity, found.start_ms, found.end_ms) == (Entity.NAME, 1800, 2600)


def test_masking_is_stable_and_covers_words_of_another_transcript() -> None:
    turns = conversation("T: it is 4111 1111 1111 1111 okay")
    found = find_entities(turns)
    once = masked_turns(turns, found)
    assert masked_turns(once, found) == once
    late = [Stretch(one.role, one.entity, one.start_ms + 150, one.end_ms + 150) for one in found]
    assert masked_turns(turns, late)[0].text == "it is [card number] okay"
    other = [Stretch(one.role.other, one.entity, one.start_ms, one.end_ms) for one in found]
    assert masked_turns(turns, other) == tuple(turns)
