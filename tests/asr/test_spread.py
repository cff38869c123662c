import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.asr.engines.spread import spread, timed
from callreel.domain.words import split_words


def test_longer_words_take_longer() -> None:
    words = spread("a boiler", 1000, 1700)
    assert [(word.text, word.start_ms, word.end_ms) for word in words] == [
        ("a", 1000, 1100),
        ("boiler", 1100, 1700),
    ]


@given(st.text(), st.integers(0, 10_000), st.integers(0, 10_000))
def test_words_fill_the_span_without_gaps(text: str, start_ms: int, length_ms: int) -> None:
    words = spread(text, start_ms, start_ms + length_ms)
    assert [word.text for word in words] == split_words(text)
    if words:
        edges = [start_ms, *(word.end_ms for word in words)]
        assert [word.start_ms for word in words] == edges[:-1]
        assert edges[-1] == start_ms + length_ms


NAN = float("nan")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([("in", 0.1, 0.3), ("2016,", None, None), ("we", 0.8, 0.9)], [("in", 100, 300), ("2016,", 300, 800), ("we", 800, 900)]),
        ([("hello", NAN, NAN)], [("hello", 0, 1_000)]),
        ([("a", None, None), ("b", None, 0.5), ("c", 0.6, 0.7)], [("a", 0, 300), ("b", 300, 600), ("c", 600, 700)]),
        ([("a", 0.2, 0.4), ("bb", float("inf"), 1), ("bb", "0.5", "0.6")], [("a", 200, 400), ("bb", 400, 700), ("bb", 700, 1_000)]),
        ([("a", -1, 0.5), (" ", 0.1, 0.2), ("b", 0.4, 0.3), ("c", 9, 12)], [("a", 0, 500), ("b", 500, 500), ("c", 1_000, 1_000)]),
        ([], []),
    ],
)  # fmt: skip
def test_words_without_usable_times_lie_between_their_neighbours(
    given: list[tuple[str, object, object]], expected: list[tuple[str, int, int]]
) -> None:
    found = timed(given, 1_000)
    assert [(word.text, word.start_ms, word.end_ms) for word in found] == expected
