from typing import Any, cast

import pytest

from callreel.asr.engine import RecognizedWord
from callreel.asr.workers.answers import checked, detected, without_loops
from callreel.domain.words import join_words

NAN = float("nan")


def words(text: str) -> list[RecognizedWord]:
    return [RecognizedWord(word, 100 * at, 100 * at + 90, 0.9) for at, word in enumerate(text.split())]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("bye bye bye bye bye bye bye", "bye…"),
        ("so thank you. Thank you. thank you thank you thank you thank you then", "so thank you… then"),
        ("no no no I mean no", "no no no I mean no"),
        ("it is 0 0 0 0 0 0 0 I think", "it is 0 0 0 0 0 0 0 I think"),
        ("謝 謝 " * 6, "謝…"),
        ("", ""),
    ],
)
def test_loop_of_words_stands_once_marked_and_digits_stay(said: str, kept: str) -> None:
    found = without_loops(words(said))
    assert join_words(word.text for word in found) == kept
    cut = [word.confidence for word in found if word.text.endswith("…")]
    assert cut == [0.0] * len(cut)
    assert without_loops(found) == found


def test_cut_loop_of_an_engine_without_confidence_has_none() -> None:
    found = without_loops([RecognizedWord("bye", at, at, None) for at in range(9)])
    assert found == [RecognizedWord("bye…", 0, 0, None)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([("a", NAN, NAN, NAN)], [("a", 0, 1_000, None)]),
        ([("a", 100, 300, 0.5), ("b", None, None, 2), ("c", 800, 900, -1)], [("a", 100, 300, 0.5), ("b", 300, 800, 1.0), ("c", 800, 900, 0.0)]),
        ([("a", 100.4, 299.6, True), ("b", 900, 5_000, 1)], [("a", 100, 300, None), ("b", 900, 1_000, 1.0)]),
        ([("a", float("inf"), 10**400, "0.5"), ("b", "1", "2", None)], [("a", 0, 500, None), ("b", 500, 1_000, None)]),
        ([("\x00", 0, 1, None), ("a\x00\ud83d\nb", 0, 1, None), (None, 0, 1, None), ("می\u200cرود", 1, 2, None)], [("a b", 0, 1, None), ("می\u200cرود", 1, 2, None)]),
        ([("a", 500, 400, None), ("b", 300, 600, None)], [("a", 400, 400, None), ("b", 300, 600, None)]),
        ([], []),
    ],
)  # fmt: skip
def test_one_bad_word_is_repaired_or_dropped_and_the_others_stay(
    given: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]
) -> None:
    found = checked([RecognizedWord(*cast(Any, word)) for word in given], 1_000)
    assert [(word.text, word.start_ms, word.end_ms, word.confidence) for word in found] == expected


@pytest.mark.parametrize(
    ("tag", "code"),
    [("en-US", "en"), ("German", "de"), ("xx", "xx"), ("x\x00\ud83d" * 99, "x" + " x" * 17), (None, ""), ("", "")],
)  # fmt: skip
def test_detected_language_is_a_code_or_a_short_tag(tag: object, code: str) -> None:
    assert detected(tag) == code
