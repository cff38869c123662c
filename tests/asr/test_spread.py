from hypothesis import given
from hypothesis import strategies as st

from callreel.asr.engines.spread import spread


def test_longer_words_take_longer() -> None:
    words = spread("a boiler", 1000, 1700)
    assert [(word.text, word.start_ms, word.end_ms) for word in words] == [
        ("a", 1000, 1100),
        ("boiler", 1100, 1700),
    ]


@given(st.text(), st.integers(0, 10_000), st.integers(0, 10_000))
def test_words_fill_the_span_without_gaps(text: str, start_ms: int, length_ms: int) -> None:
    words = spread(text, start_ms, start_ms + length_ms)
    assert [word.text for word in words] == text.split()
    if words:
        edges = [start_ms, *(word.end_ms for word in words)]
        assert [word.start_ms for word in words] == edges[:-1]
        assert edges[-1] == start_ms + length_ms
