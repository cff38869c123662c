"""Joining and cutting words by their script."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.words import join_words, split_words, spread


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["please", "check", "it."], "please check it."),
        (["請", "檢查", "鍋爐"], "請檢查鍋爐"),
        (["ボイラー", "を", "確認", "。"], "ボイラーを確認。"),
        (["กรุณา", "ตรวจสอบ"], "กรุณาตรวจสอบ"),
        (["보일러를", "확인해", "주세요"], "보일러를 확인해 주세요"),
        (["用", "iPhone", "打"], "用 iPhone 打"),
        (["well…", "then"], "well… then"),
        (["好…", "是"], "好…是"),
        (["", "a", "", "b"], "a b"),
        ([], ""),
    ],
)
def test_words_are_joined_as_their_script_is_written(words: list[str], text: str) -> None:
    assert join_words(words) == text


@given(st.text(alphabet=st.sampled_from("ab請檢。、「」ーกุำ안ｱ\u3099 \n１"), max_size=30))
def test_cutting_and_joining_give_the_same_letters(text: str) -> None:
    words = split_words(text)
    assert all(words) and not any(char.isspace() for word in words for char in word)
    assert "".join(join_words(words).split()) == "".join(text.split())
    assert " ".join(join_words([word]) for word in text.split()) == " ".join(text.split())


def test_each_character_of_a_script_without_spaces_is_a_word() -> None:
    assert split_words("請檢查，good job") == ["請", "檢", "查，", "good", "job"]


@given(st.lists(st.text(max_size=9), max_size=9), st.integers(0, 99), st.integers(0, 999))
def test_spread_words_fill_the_span_in_order(words: list[str], start_ms: int, length_ms: int) -> None:
    placed = spread(words, start_ms, start_ms + length_ms)
    assert [word for word, _, _ in placed] == words
    edges = [start_ms, *(end for _, _, end in placed)]
    assert [start for _, start, _ in placed] == edges[:-1]
    assert edges[-1] == (start_ms + length_ms if words else start_ms)
