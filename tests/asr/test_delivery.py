from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from callreel.asr.delivery import LATE_MS, Delivered, SegmentDelivery
from callreel.domain.transcript import Word
from callreel.evaluation.scores import retracted


def said(text: str) -> list[Word]:
    """A word a second."""
    return [Word(word, 1000 * at, 1000 * at + 400) for at, word in enumerate(text.split())]


def test_a_word_is_late_when_it_first_stood_there_late() -> None:
    delivery = SegmentDelivery()
    delivery.show(said("one"), 900)
    delivery.show(said("one two"), 1400 + LATE_MS)
    assert delivery.final(said("one two three"), 2401 + LATE_MS) == Delivered(3, late=1, retracted=0)


def test_changed_word_is_retracted_and_timed_from_its_last_display() -> None:
    delivery = SegmentDelivery()
    delivery.show(said("wreck a nice"), 2500)
    delivery.show(said("recognise"), 2600)
    assert delivery.final(said("recognise speech"), 2700) == Delivered(2, late=1, retracted=3)


def test_a_segment_without_partials_is_as_late_as_its_final() -> None:
    assert SegmentDelivery().final(said("one two"), 5000) == Delivered(2, late=2, retracted=0)
    assert Delivered(2, 1, 0) + Delivered(3, 0, 2) == Delivered(5, 1, 2)


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=5), max_size=6))
def test_it_takes_back_what_an_evaluation_says(texts: Sequence[Sequence[str]]) -> None:
    delivery = SegmentDelivery()
    for text in texts:
        delivery.show(said(" ".join(text)), 0)
    last = texts[-1] if texts else []
    assert delivery.final(said(" ".join(last)), 0).retracted == retracted(texts)
