"""Parsing queries, finding their hits in a text, and marking them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.call import Role
from callreel.store.transcripts.search_query import MAX_CLAUSES, Clause, hits, parse, snippet
from callreel.store.transcripts.search_tokens import tokens

TEXT = "can you read me the pressure on the left gauge please"


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("valve", [Clause(("valve",))]),
        ("left AND gauge", [Clause(("left",)), Clause(("gauge",))]),
        ('"left gauge"', [Clause(("left", "gauge"))]),
        ('-"left gauge" x', [Clause(("left", "gauge"), negated=True), Clause(("x",))]),
        ("gaug*", [Clause(("gaug",), prefix=True)]),
        ('"left ga"*', [Clause(("left", "ga"), prefix=True)]),
        ("e-mail", [Clause(("e", "mail"))]),
        ("-valve", [Clause(("valve",), negated=True)]),
        ('"unbalanced end', [Clause(("unbalanced", "end"))]),
        ("foo:bar", [Clause(("foo", "bar"))]),
        ("NEAR(a b)", [Clause(("near", "a")), Clause(("b",))]),
        ("a a", [Clause(("a",))]),
        ("", []),
        ('- * "" AND', []),
    ],
)
def test_query_syntax(typed: str, wanted: list[Clause]) -> None:
    assert list(parse(typed).clauses) == wanted


@pytest.mark.parametrize(
    ("typed", "unsearchable"), [("", False), (" ", False), ("?!", True), ('-"…"', True), ("? a", False)]
)
def test_text_without_letters_or_digits_is_unsearchable(typed: str, unsearchable: bool) -> None:
    assert parse(typed).unsearchable is unsearchable


@given(st.text(max_size=80))
def test_any_text_is_a_query(typed: str) -> None:
    query = parse(typed)
    assert query == replace(parse(typed, Role.AGENT), role=None)
    assert len(query.clauses) <= MAX_CLAUSES
    assert all(clause.tokens for clause in query.clauses)


def shown(text: str, typed: str) -> str:
    found = hits(tokens(text), parse(typed).wanted)
    return "".join(f"[{part.text}]" if part.hit else part.text for part in snippet(text, found))


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("LEFT", "can you read me the pressure on the [left] gauge please"),
        ('"the left" gaug*', "can you read me the pressure on [the left] [gauge] please"),
        ("the", "can you read me [the] pressure on [the] left gauge please"),
        ("nothing", TEXT),
    ],
)
def test_hits_are_marked_in_the_text(typed: str, wanted: str) -> None:
    assert shown(TEXT, typed) == wanted


def test_long_text_is_cut_around_its_first_hit() -> None:
    text = "one two three " * 40 + "valve " + "four five six " * 40
    cut = shown(text, "valve")
    assert cut.startswith("… ") and cut.endswith(" …")
    assert "[valve]" in cut
    assert len(cut) < 260


@given(st.text(max_size=300), st.text(max_size=10))
def test_snippet_contains_only_the_text(text: str, typed: str) -> None:
    found = hits(tokens(text), parse(typed).wanted)
    parts = snippet(text, found)
    inner = "".join(part.text for part in parts if part.text not in ("… ", " …"))
    assert inner.replace("…", "") in text.replace("…", "")
    assert any(part.hit for part in parts) == bool(found)
