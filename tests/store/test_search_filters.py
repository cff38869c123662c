"""Separating filters from words: the grammar, and properties of every text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.store.transcripts.search_filters import FilterKey, TypedFilter, split_filters
from callreel.store.transcripts.search_query import parse

A, B, L, N, P = FilterKey.AGENT, FilterKey.BEFORE, FilterKey.LABEL, FilterKey.NUMBER, FilterKey.PARTY


@pytest.mark.parametrize(
    ("typed", "words", "filters"),
    [
        ("", "", []),
        ("no power", "no power", []),
        ("agent:maria", "", [TypedFilter(A, "maria")]),
        ("AGENT:Maria", "", [TypedFilter(A, "Maria")]),
        ('agent:maria "no power" before:2026-11-01', ' "no power" ', [TypedFilter(A, "maria"), TypedFilter(B, "2026-11-01")]),
        ("before:2026-11-01T12:00:00+01:00", "", [TypedFilter(B, "2026-11-01T12:00:00+01:00")]),
        ('label:"data request" x', " x", [TypedFilter(L, "data request")]),
        (r'label:"5\" pipe \\ x"', "", [TypedFilter(L, r'5" pipe \ x')]),
        ('label:"data request', "", [TypedFilter(L, "data request")]),
        ('label:"data\\', "", [TypedFilter(L, "data\\")]),
        ('label:" "', "", [TypedFilter(L, "")]),
        ("label: complaint", " complaint", [TypedFilter(L, "")]),
        ("-label:complaint", "", [TypedFilter(L, "complaint", negated=True)]),
        ("number:+1-212", "", [TypedFilter(N, "+1-212")]),
        ("party:agent party:agent", " ", [TypedFilter(P, "agent"), TypedFilter(P, "agent")]),
        ('"label:complaint"', '"label:complaint"', []),
        ('"he said agent:maria twice"', '"he said agent:maria twice"', []),
        ("ratio:two xagent:maria", "ratio:two xagent:maria", []),
        ('agent:"maria"x', 'agent:"maria"x', []),
        ('agent:ma"ria"', 'agent:ma"ria"', []),
        ("agent :maria", "agent :maria", []),
    ],
)  # fmt: skip
def test_filters_are_separated_from_words(typed: str, words: str, filters: list[TypedFilter]) -> None:
    found = split_filters(typed)
    assert (found.words, list(found.filters)) == (words, filters)


ODD = st.lists(
    st.sampled_from(["agent:", "-label:", "before:", '"', "\\", " ", "-", ":", "x", "valve", "*", "é"]),
    max_size=14,
).map("".join)
WORDS = st.lists(st.sampled_from(["valve", '"no power"', "-word", "gaug*", "ratio:two"]), max_size=4)


@given(st.text(max_size=60) | ODD)
def test_any_text_is_split(typed: str) -> None:
    found = split_filters(typed)
    assert all(one.value == one.value.strip() for one in found.filters)
    if not found.filters:
        assert found.words == typed
    assert len(found.words) <= len(typed)
    assert split_filters(f'"{typed.replace(chr(34), "")}"').filters == ()


@given(st.sampled_from(FilterKey), st.text(max_size=30), WORDS, WORDS)
def test_quoted_value_is_read_back(key: FilterKey, value: str, before: list[str], after: list[str]) -> None:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    found = split_filters(" ".join([*before, f'{key}:"{escaped}"', *after]))
    assert list(found.filters) == [TypedFilter(key, value.strip())]
    assert parse(found.words) == parse(" ".join([*before, *after]))
