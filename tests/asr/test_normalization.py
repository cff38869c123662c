import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.asr.normalization import FILLERS, normal, normal_words, number_words


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Hello, World!", "hello world"),
        ("It’s what they're sayin'", "its what theyre sayin"),
        ("well-known, twenty-one", "well known twenty one"),
        ("um, I uh mean it", "i mean it"),
        ("OK, Mr. Smith & Dr. Jones", "okay mister smith and doctor jones"),
        ("", ""),
        ("… — ?!", ""),
        # Counts
        ("0 7 13 20 42", "zero seven thirteen twenty forty two"),
        ("110 and 2,401", "one hundred ten and two thousand four hundred one"),
        ("1,000,000", "one zero zero zero zero zero zero"),
        ("1986, 1905, 1900", "nineteen eighty six nineteen oh five one thousand nine hundred"),
        ("the 1st, 2nd, 12th, 20th and 31st", "the first second twelfth twentieth and thirty first"),
        ("3.14 and 50%", "three point one four and fifty percent"),
        ("$1,200.50", "one thousand two hundred point five zero dollars"),
        ("at 10:30 p.m.", "at ten thirty p m"),
        # Strings of digits
        ("08452", "zero eight four five two"),
        ("07", "zero seven"),
        ("94110", "nine four one one zero"),
        ("555-0123", "five five five zero one two three"),
        ("(415) 555-0123", "four one five five five five zero one two three"),
        ("+1 415 555 0123", "one four one five five five five zero one two three"),
        ("A527-B3", "a five two seven b three"),
        # Addresses
        ("t.allen@example.com", "t dot allen at example dot com"),
        ("one two three", "one two three"),
    ],
)
def test_it_is_written_as_it_is_said(written: str, said: str) -> None:
    assert normal(written) == said


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normal(normal(text)) == normal(text)


@given(st.text())
def test_normal_words_have_no_capitals_punctuation_digits_or_fillers(text: str) -> None:
    for word in normal_words(text):
        assert word == word.lower() and word not in FILLERS
        assert not any(sign in word for sign in " \t'-.,!?0123456789")


@given(st.lists(st.sampled_from("0123456789"), min_size=5, max_size=30))
def test_a_long_string_of_digits_has_one_word_for_each(digits: list[str]) -> None:
    assert len(normal_words("".join(digits))) == len(digits)


@given(st.integers(0, 10**12 - 1))
def test_different_counts_have_different_words(number: int) -> None:
    assert number_words(number) != number_words(number + 1)
    assert all(word.isalpha() for word in number_words(number))


@given(st.lists(st.sampled_from(["hello", "well", "fine", "uh", "um"])))
def test_fillers_do_not_count(words: list[str]) -> None:
    assert normal_words(" ".join(words)) == [word for word in words if word not in ("uh", "um")]
