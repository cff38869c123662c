from callreel.domain.call import Role
from callreel.domain.ids import CallId
from callreel.domain.transcript import Word
from callreel.live.phrase_watch import PhraseWatch

CALL = CallId("000000000001")


class Watched:
    """What a watch found, by the end of the phrase in ms; a word lasts 100 ms."""

    def __init__(self, *phrases: str) -> None:
        self.found: list[int] = []
        self.watch = PhraseWatch(phrases, lambda call_id, at_ms: self.found.append(at_ms))

    def words(self, text: str, start_ms: int = 0) -> list[Word]:
        return [
            Word(word, start_ms + 100 * at, start_ms + 100 * at + 100, 0.9)
            for at, word in enumerate(text.split())
        ]

    def stable(self, text: str, start_ms: int = 0, role: Role = Role.AGENT) -> None:
        self.watch.stable(CALL, role, self.words(text, start_ms))

    def final(self, text: str, start_ms: int = 0, role: Role = Role.AGENT) -> None:
        self.watch.final(CALL, role, self.words(text, start_ms))


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
    said.stable("number", 500)
    assert said.found == []
