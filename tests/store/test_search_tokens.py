"""Folding and cutting of text for search, in many scripts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.store.transcripts.search_tokens import LONGEST_TOKEN, tokens


def folded(text: str) -> list[str]:
    return [token.text for token in tokens(text)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Hello, World!", ["hello", "world"]),
        ("e-mail", ["e", "mail"]),
        ("don't", ["don", "t"]),
        ("snake_case", ["snake", "case"]),
        ("Straße", ["strasse"]),
        ("Łódź Øre Đà Æsir cœur Þór", ["lodz", "ore", "da", "aesir", "coeur", "thor"]),
        ("ISIK ışık İ", ["isik", "isik", "i"]),
        ("café CAFE\u0301", ["cafe", "cafe"]),
        ("ﬁve²", ["five2"]),
        ("Ὀδυσσεύς", ["οδυσσευσ"]),
        ("中文字a b", ["中", "文", "字", "a", "b"]),
        ("ひらカナ", ["ひ", "ら", "カ", "ナ"]),
        ("Привет", ["привет"]),
        ("", []),
        ("\x00 \ud800 …", []),
    ],
)
def test_folding(text: str, wanted: list[str]) -> None:
    assert folded(text) == wanted


@given(st.text(max_size=60))
def test_tokens_are_in_order_and_fold_to_themselves(text: str) -> None:
    found = tokens(text)
    for token in found:
        assert 0 <= token.start < token.end <= len(text)
        assert token.text.isalnum()
        assert folded(token.text) == [token.text]
    assert all(one.start <= next.start for one, next in zip(found, found[1:], strict=False))
    assert folded(text.upper().lower()) == folded(text.lower())


def test_token_length_is_bounded() -> None:
    assert folded("x" * 5000) == ["x" * LONGEST_TOKEN]
