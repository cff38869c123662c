import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.asr.readable import readable


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("i have twenty five of them", "i have 25 of them"),
        ("one hundred and twenty three parts", "123 parts"),
        ("two thousand five hundred", "2500"),
        ("forty five thousand six hundred", "45,600"),
        ("three million", "3,000,000"),
        ("it took five minutes", "it took five minutes"),
        ("about ten minutes", "about 10 minutes"),
        ("twenty-five, maybe more", "25, maybe more"),
        ("three point one four", "3.14"),
        ("on the twenty third of may", "on the 23rd of may"),
        ("the twelfth floor", "the 12th floor"),
        ("wait a second", "wait a second"),
        ("in nineteen eighty four", "in 1984"),
        ("since twenty twenty six", "since 2026"),
        ("in nineteen oh five", "in 1905"),
        ("call at two thirty", "call at two thirty"),
        ("he said no one came", "he said no one came"),
    ],
)
def test_counts_years_and_ordinals(said: str, written: str) -> None:
    assert readable(said) == written


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("twenty five dollars", "$25"),
        ("twenty five dollars and ten cents", "$25.10"),
        ("five percent off", "5% off"),
        ("two point five percent", "2.5%"),
        ("nine pounds fifty", "£9 50"),
    ],
)
def test_amounts(said: str, written: str) -> None:
    assert readable(said) == written


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("call five five five one two one two please", "call 555-1212 please"),
        ("two oh two five five five oh one two three", "202-555-0123"),
        ("one eight hundred", "one eight hundred"),
        ("plus four four two oh seven nine four six oh nine five eight", "+442079460958"),
        ("order a b one two three", "order AB123"),
        ("it is a five two seven b three", "it is A527B3"),
        ("with a one two three", "with a 123"),
        ("my code is triple seven", "my code is 777"),
        ("double five one", "551"),
        ("one two", "one two"),
        ("number four two seven.", "number 427."),
    ],
)
def test_digits_said_one_by_one(said: str, written: str) -> None:
    assert readable(said) == written


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("that is s m i t h", "that is SMITH"),
        ("s. m. i. t. h.", "SMITH"),
        ("s as in sam m as in mary y for yankee", "SMY"),
        ("the t v is off", "the TV is off"),
        ("i am a plumber", "i am a plumber"),
        ("a b c", "ABC"),
        ("i c what you mean", "i c what you mean"),
    ],
)
def test_spelled_letters(said: str, written: str) -> None:
    assert readable(said) == written


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("write to john dot smith at example dot com thanks", "write to john.smith@example.com thanks"),
        ("j o h n at example dot co dot uk", "john@example.co.uk"),
        ("smith two three at mail dot example dot org", "smith23@mail.example.org"),
        ("see w w w dot example dot com", "see www.example.com"),
        ("meet me at the dot", "meet me at the dot"),
        ("look at it", "look at it"),
    ],
)
def test_addresses(said: str, written: str) -> None:
    assert readable(said) == written


def test_what_an_engine_wrote_already_is_left_alone() -> None:
    said = "Call 202-555-0123, it's $25.10 for A. Smith (john@example.com) at 2:30."
    assert readable(said) == said


def test_a_sentence_that_ends_parts_numbers() -> None:
    assert readable("I counted twenty. Five came.") == "I counted 20. Five came."


_WORDS = (
    "one two oh five twenty thirty hundred thousand point and a b i dot at com dollars cents percent first third double "
    "plus hello, the nineteen eleven. smith"
).split()


@given(st.lists(st.sampled_from(_WORDS), max_size=14))
def test_doing_it_twice_changes_nothing_and_nothing_is_lost(words: list[str]) -> None:
    once = readable(" ".join(words))
    assert readable(once) == once
    assert bool(once) is bool(words)
