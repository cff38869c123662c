import pytest

from callreel.domain.call import Role
from callreel.domain.ids import CallId
from callreel.domain.phrases import Phrases
from callreel.domain.transcript import Word
from callreel.live.phrase_watch import PhraseWatch

CALL = CallId("000000000001")


class Watched:
    """What a watch found, by the end of the phrase in ms; a word lasts 100 ms, a segment begins at each second."""

    def __init__(self, *phrases: str, party: Role | None = None, once_per_segment: bool = True) -> None:
        self.party = party
        self.found: list[int] = []
        watched = {phrase: (Phrases([phrase]), self.party) for phrase in phrases}
        self.watch = PhraseWatch(
            watched, lambda _phrase, match: self.found.append(match.end_ms), once_per_segment=once_per_segment
        )

    def words(self, text: str, start_ms: int = 0) -> list[Word]:
        return [
            Word(word, start_ms + 100 * at, start_ms + 100 * at + 100, 0.9)
            for at, word in enumerate(text.split())
        ]

    def stable(self, text: str, start_ms: int = 0, role: Role = Role.AGENT) -> None:
        self.watch.stable(CALL, role, start_ms // 1_000, self.words(text, start_ms))

    def final(self, text: str, start_ms: int = 0, role: Role = Role.AGENT) -> None:
        self.watch.final(CALL, role, start_ms // 1_000, self.words(text, start_ms))


def test_phrase_is_found_once_in_growing_words_and_their_final() -> None:
    said = Watched("card number", "CVV")
    for text in (
        "what is",
        "what is your card",
        "what is your card number",
        "what is your card number please",
    ):
        said.stable(text)
    said.final("what is your Card-Number, please?")
    assert said.found == [500]
    said.stable("and the cvv", 1_000)
    said.final("and the CVV.", 1_000)
    assert said.found == [500, 1_300]


def test_phrase_reaches_over_the_end_of_a_segment_but_not_to_the_other_party() -> None:
    said = Watched("card number")
    said.final("your card")
    said.stable("number four", 2_000, Role.TECHNICIAN)
    assert said.found == []
    said.stable("number four", 2_000)
    assert said.found == [2_100]


def test_words_alone_and_parts_of_words_are_no_phrase() -> None:
    said = Watched("card number", "pin")
    said.final("the card is fine, the number too, spinning cardnumber")
    assert said.found == []


def test_forgotten_call_starts_empty() -> None:
    said = Watched("card number")
    said.final("your card")
    said.watch.forget(CALL)
    said.stable("number", 1_500)
    assert said.found == []


def test_phrase_is_found_once_a_segment_however_often_it_is_said() -> None:
    said = Watched("refund")
    said.stable("a refund")
    said.stable("a refund is a refund")
    said.final("a refund is a refund")
    said.final("refund", 1_000)
    assert said.found == [200, 1_100]


def test_words_of_a_match_are_not_part_of_the_next_one() -> None:
    said = Watched("no no")
    said.final("no no")
    said.stable("no", 1_000)
    assert said.found == [200]
    said.stable("no no", 1_000)
    assert said.found == [200, 1_200]


def test_late_final_neither_hides_nor_repeats_what_the_next_segment_said() -> None:
    said = Watched("refund")
    said.stable("we", 0)
    said.stable("a refund", 1_000)
    said.final("we refund", 0)
    said.stable("a refund please", 1_000)
    said.final("a refund please", 1_000)
    assert said.found == [1_200, 200]


def test_phrase_of_one_party_is_not_found_for_the_other() -> None:
    said = Watched("refund", party=Role.TECHNICIAN)
    said.final("refund")
    assert said.found == []
    said.final("refund", role=Role.TECHNICIAN)
    assert said.found == [100]


def test_phrase_that_is_added_during_a_segment_is_found_in_its_next_words() -> None:
    said = Watched()
    said.stable("hello")
    said.watch.watched = {"refund": (Phrases(["refund*"]), None)}
    said.stable("hello refunds")
    assert said.found == [200]


def test_each_repetition_in_a_segment_is_found_once_where_all_count() -> None:
    said = Watched("card number", once_per_segment=False)
    said.stable("my card number")
    said.stable("my card number is a card number and")
    assert said.found == [300, 700]
    said.final("my card number is a card number and card number card")
    assert said.found == [300, 700, 1_000]
    said.stable("number card number", 2_000)
    assert said.found == [300, 700, 1_000, 2_100, 2_300]
    said.final("number card number", 2_000)
    assert len(said.found) == 5


def test_late_final_moves_no_match_of_the_next_segment_where_all_count() -> None:
    said = Watched("refund", once_per_segment=False)
    said.stable("a refund", 1_000)
    said.final("we refund", 0)
    said.stable("a refund please refund", 1_000)
    said.final("a refund please refund", 1_000)
    assert said.found == [1_200, 200, 1_400]


def test_segment_without_words_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Phrases, "search", lambda self, text, at: (at, len(text)))
    said = Watched("anything")
    said.final("")
    said.stable("...")
    assert said.found == []
