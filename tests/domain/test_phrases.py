import time

import pytest

from callreel.domain.call import Role
from callreel.domain.phrases import (
    LARGEST_RULE,
    MOST_SEARCHES,
    PhraseError,
    PhraseKind,
    PhraseRule,
    Phrases,
    TokenText,
    Trigger,
    is_missing,
    tokens_of,
)
from callreel.domain.transcript import Word


def words(text: str, start_ms: int = 0) -> list[Word]:
    return [
        Word(word, start_ms + 100 * at, start_ms + 100 * at + 100) for at, word in enumerate(text.split())
    ]


def found(text: str, *phrases: str, kind: PhraseKind = PhraseKind.WORDS) -> str | None:
    """The words of the first match."""
    tokens = tokens_of(words(text))
    match = TokenText(tokens).first_in(Phrases(phrases, kind))
    return None if match is None else " ".join(tokens[at].text for at in match)


@pytest.mark.parametrize(
    ("phrase", "text", "match"),
    [
        ("card number", "Your CARD-number, please", "card number"),
        ("refund*", "we refunded it", "refunded"),
        ("refund*", "the refund", "refund"),
        ("refund*", "prerefund", None),
        ("refund", "refunds", None),
        ("pin", "spinning", None),
        ("rück* porto", "das Rückporto, Rückgabe porto", "rückgabe porto"),
        ("a.c", "abc", None),
        ("don't", "I don't", "don t"),
    ],
)
def test_words_are_whole_and_a_star_leaves_their_ending_open(
    phrase: str, text: str, match: str | None
) -> None:
    assert found(text, phrase) == match


@pytest.mark.parametrize(
    ("pattern", "text", "match"),
    [
        (r"refund(s|ed)?", "no refunded money", "refunded"),
        (r"\bmanager\b", "your Manager now", "manager"),
        (r"account (number )?is", "the account number is", "account number is"),
        (r"REFUND", "a refund", "refund"),
        (r"[0-9]{4} [0-9]{4}", "it is 4111 1111 1", "4111 1111"),
    ],
)
def test_regular_expression_is_matched_on_words_in_lower_case(
    pattern: str, text: str, match: str | None
) -> None:
    assert found(text, pattern, kind=PhraseKind.REGEX) == match


def test_one_of_several_phrases_is_enough() -> None:
    assert found("call my lawyer", "manager", "lawyer") == "lawyer"


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(a", r"phrase 1 is not a regular expression of RE2 \(missing \)\)"),
        ("a*", "phrase 1 matches text without words"),
        (".+", "phrase 1 matches text without words"),
        (r"\W+", "phrase 1 matches text without words"),
        ("(?=a)", "not a regular expression"),
        ("a|b)|(c", "not a regular expression"),
        ("(.{1,100}a){3}b", "complex"),
        ("((((a{50}){50}){50}){50})", "not a regular expression|complex"),
    ],
)
def test_regular_expression_that_cannot_be_used_is_refused(pattern: str, problem: str) -> None:
    with pytest.raises(PhraseError, match=problem):
        Phrases([pattern], PhraseKind.REGEX)


def test_phrase_without_a_letter_is_refused() -> None:
    with pytest.raises(PhraseError, match="phrase 2 has no letter or digit"):
        Phrases(["refund", "*!"])


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|aa)+c", "(.*)(.*)(.*)(.*)z", "(a.{60}){2}b", ".{240}b"])
def test_hostile_pattern_takes_no_more_than_its_size_allows(pattern: str) -> None:
    phrases = Phrases([pattern], PhraseKind.REGEX)
    assert phrases.size <= LARGEST_RULE
    text = TokenText(tokens_of(words("aaaaaaaaa " * 400)))
    began = time.process_time()
    assert text.first_in(phrases) is None
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize("pattern", [r"a{1,9}(.{240}b)?", r"a((.{1,30}a){3}b)?", r"\b [^ ]?|a"])
def test_matches_that_end_too_early_are_passed_over_in_few_searches(
    pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    phrases = Phrases([pattern], PhraseKind.REGEX)
    searched: list[int] = []
    search = phrases.search

    def counted(text: str, at: int) -> tuple[int, int] | None:
        searched.append(at)
        return search(text, at)

    monkeypatch.setattr(phrases, "search", counted)
    text = TokenText(tokens_of(words("aaaaaaaaa " * 12 + "cc " * 200)))
    began = time.process_time()
    text.first_in(phrases, 0, 12)
    assert len(searched) <= MOST_SEARCHES
    assert time.process_time() - began < 0.1


def test_match_after_many_that_end_too_early_is_found() -> None:
    refund = Phrases(["refund*"])
    text = TokenText(tokens_of(words("refund " * 12 + "and a refund")))
    assert text.first_in(refund, 0, 12) == range(14, 15)
    crossing = TokenText(tokens_of(words("card the card number")))
    assert crossing.first_in(Phrases(["card", "card number"]), 0, 3) is None
    assert crossing.first_in(Phrases(["card number", "card"]), 0, 3) == range(2, 4)


def rule(role: Role | None = Role.AGENT, within_ms: int | None = 30_000) -> PhraseRule:
    return PhraseRule(
        1, "Greeting", PhraseKind.WORDS, ("good morning",), role, "", Trigger.MISSING, within_ms, True
    )


@pytest.mark.parametrize(
    ("role", "within_ms", "agent", "technician", "missing"),
    [
        (Role.AGENT, 30_000, words("good morning"), [], False),
        (Role.AGENT, 30_000, words("good morning", 40_000), [], True),
        (Role.AGENT, None, words("good morning", 40_000), [], False),
        (Role.AGENT, 30_000, [], words("good morning"), True),
        (None, 30_000, [], words("good morning"), False),
        (Role.AGENT, None, words("one two three " * 100 + "good morning"), [], False),
    ],
)
def test_missing_phrase(
    role: Role | None, within_ms: int | None, agent: list[Word], technician: list[Word], missing: bool
) -> None:
    said = {Role.AGENT: agent, Role.TECHNICIAN: technician}
    wanted = rule(role, within_ms)
    assert is_missing(wanted, wanted.compiled(), said.__getitem__) is missing


def test_number_prefix_selects_calls() -> None:
    assert rule().concerns("+12125550123")
    assert not PhraseRule(1, "x", PhraseKind.WORDS, ("a",), None, "+49", Trigger.SAID, None, True).concerns(
        "+12125550123"
    )
