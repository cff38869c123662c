import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.asr.engines.spelling import pronounced

KNOWN = {"stop": "S T AA P", "cock": "K AA K", "boiler": "B OY L ER"}


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("boiler", "B OY L ER"),
        ("stopcock", "S T AA P K AA K"),
        ("Grohe", "G R AA HH"),
        ("Whitlock", "W IH T L AA K"),
        ("Knightley", "N AY T L IY"),
        ("TX", "T IY EH K S"),
        ("R2", "AA R T UW"),
        ("b.", "B IY"),
        ("…", ""),
    ],
)
def test_words_are_said_as_they_are_known_or_as_they_are_spelled(word: str, phones: str) -> None:
    assert pronounced(word, KNOWN.get) == phones


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12))
def test_every_word_of_letters_has_phones_of_the_set(word: str) -> None:
    phones = pronounced(word, KNOWN.get)
    assert re.fullmatch(r"[A-Z]{1,2}( [A-Z]{1,2})*", phones)
