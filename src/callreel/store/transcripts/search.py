"""Full-text search over transcripts, with FTS5 on SQLite and tsvector on PostgreSQL.

The databases' own tokenisers and query languages disagree, and fail on what people type, so `search_tokens` makes the
tokens and `search_query` parses the query. A row of the index is one turn of a call's displayed transcript;
`transcripts` and `revisions` update it in their own transactions.

With encryption a row holds keyed tokens instead: those of its words and of their first three letters, each once and in no
order, so that the index reveals neither words nor their sequence. They find candidates; phrases and prefixes are then
compared with the decrypted text. A prefix of one or two letters counts as a whole word. Rows from before encryption are found too.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    and_,
    bindparam,
    cast,
    delete,
    false,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    table,
)
from sqlalchemy.dialects.postgresql import TSQUERY

from callreel.domain.call import Role
from callreel.domain.ids import CallId
from callreel.domain.transcript import Turn
from callreel.redaction.masking import masked_turns
from callreel.store.db.tables import calls, turn_index
from callreel.store.db.types import MOST_VALUES, cipher_of
from callreel.store.encryption.sealed_text import TextCipher
from callreel.store.insight import topics
from callreel.store.transcripts import redactions
from callreel.store.transcripts.search_query import Clause, Part, Query, beginning, hits, snippet
from callreel.store.transcripts.search_tokens import Token, tokens

Tokenized = Mapping[str, str]
NONE: Tokenized = MappingProxyType({})

NEWEST_TURNS = 20_000
"""The part of the index in which words are counted: some hundreds of calls, so that counting takes bounded time."""
_LAST_POSITION = 16_383
_POSITIONS_A_LEXEME = 256
_PREFIX_LETTERS = 3
_FIRST_TURNS = 3
_LONGEST_BEGINNING = 80


@dataclass(frozen=True, slots=True)
class Hit:
    """A turn that matches. `start_ms` is the start of the first matching word."""

    role: Role
    start_ms: int
    parts: tuple[Part, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Hits:
    """The first matching turns of a call, and how many there are in all."""

    first: tuple[Hit, ...] = ()
    total: int = 0


_FLAGS = select(calls.c.roles_swapped, calls.c.redaction_awaited).where(calls.c.id == bindparam("call"))
_BEGINNINGS = (
    select(turn_index.c.call_id, turn_index.c.text)
    .where(turn_index.c.call_id.in_(bindparam("calls", expanding=True)), turn_index.c.position < _FIRST_TURNS)
    .order_by(turn_index.c.call_id, turn_index.c.position)
)
_FORGET = delete(turn_index).where(turn_index.c.call_id == bindparam("call"))


def tokenized(conn: Connection, turns: Iterable[Turn]) -> Tokenized:
    """The tokens of texts as a database stores them; taken before a writing transaction, since long texts take CPU time."""
    return {turn.text: stored_tokens(conn, turn.text) for turn in turns}


def index_turns(conn: Connection, call_id: CallId, turns: Sequence[Turn], known: Tokenized = NONE) -> None:
    """Replace the indexed turns of a call by those of its displayed transcript; `turns` have the recorded roles.

    Redacted words are not indexed, and nothing is while the call awaits redaction. `known` has tokens of some of the texts.
    The call's topic is removed; it waits for one of the new text.
    """
    conn.execute(_FORGET, {"call": call_id})
    topics.set_due(conn, call_id)
    flags = conn.execute(_FLAGS, {"call": call_id}).first()
    if flags is not None and flags.redaction_awaited:
        return
    turns = masked_turns(turns, redactions.in_force(conn, call_id))
    if flags is not None and flags.roles_swapped:
        turns = [replace(turn, role=turn.role.other) for turn in turns]
    rows = [
        {"call_id": call_id, **_index_row(conn, position, turn, known)} for position, turn in enumerate(turns)
    ]
    if rows:
        conn.execute(insert(turn_index), rows)


def indexed_turns(conn: Connection, call_id: CallId) -> list[tuple[Role, str]]:
    """Role and text of the indexed turns of a call, in the order of speech."""
    query = select(turn_index.c.role, turn_index.c.text).where(turn_index.c.call_id == call_id)
    return [(row.role, row.text) for row in conn.execute(query.order_by(turn_index.c.position))]


def beginnings(conn: Connection, call_ids: Collection[CallId]) -> dict[CallId, str]:
    """How each of these calls begins: its first indexed turns in one line, cut at a space; without calls that have none."""
    if not call_ids:
        return {}
    said: dict[CallId, list[str]] = defaultdict(list)
    for call_id, text in conn.execute(_BEGINNINGS, {"calls": list(call_ids)}):
        said[CallId(call_id)].append(text)
    return {
        call_id: beginning(line, _LONGEST_BEGINNING)
        for call_id, texts in said.items()
        if (line := " – ".join(filter(None, texts)))
    }


def in_other_calls(conn: Connection, call_id: CallId, words: Iterable[str]) -> tuple[dict[str, int], int]:
    """How many calls besides this one have each word, and how many there are, among the `NEWEST_TURNS` of the index.

    (Nothing, 0) with encryption without keyed tokens. A word is one token, otherwise it is not counted.
    """
    cipher = cipher_of(conn.dialect)
    if cipher is not None and not cipher.searchable:
        return {}, 0
    newest = conn.execute(select(func.coalesce(func.max(turn_index.c.id), 0))).scalar_one() - NEWEST_TURNS
    others = select(func.count(turn_index.c.call_id.distinct()))
    others = others.where(turn_index.c.id > newest, turn_index.c.call_id != call_id)
    counts = {}
    for word in words:
        said = tuple(token.text for token in tokens(word))
        if len(said) == 1:
            counts[word] = conn.execute(others.where(_contains(conn, [Clause(said)], newest))).scalar_one()
    return counts, conn.execute(others).scalar_one()


def condition(conn: Connection, query: Query) -> list[ColumnElement[bool]]:
    """The conditions on `calls` that all hold for a match."""
    conditions: list[ColumnElement[bool]] = [false()] if query.unsearchable else []
    for clause in _searchable(conn, query.clauses):
        if cipher_of(conn.dialect) is not None and (clause.prefix or len(clause.tokens) > 1):
            found = calls.c.id.in_(_verified_calls(conn, clause, query.role))
        else:
            found = calls.c.id.in_(select(turn_index.c.call_id).where(_match(conn, [clause], query.role)))
        conditions.append(~found if clause.negated else found)
    return conditions


def hits_of(conn: Connection, call_ids: Sequence[CallId], query: Query, most: int = 5) -> dict[CallId, Hits]:
    """Up to `most` matching turns, in the order of speech, of each call that contains a wanted clause."""
    wanted = _searchable(conn, query.wanted)
    if not wanted or not call_ids:
        return {}
    found = turn_index.c.call_id.in_(call_ids), _match(conn, wanted, query.role)
    of_call = turn_index.c.call_id
    columns = [
        turn_index.c[name] for name in ("call_id", "position", "role", "start_ms", "text", "word_starts")
    ]
    nth = func.row_number().over(partition_by=of_call, order_by=turn_index.c.position).label("nth")
    total = func.count().over(partition_by=of_call).label("total")
    numbered = select(*columns, nth, total).where(*found).subquery()
    query_first = select(numbered).where(numbered.c.nth <= most).order_by(numbered.c.call_id, numbered.c.nth)
    if cipher_of(conn.dialect) is not None:
        return _verified_hits(
            conn, select(*columns).where(*found).order_by(of_call, turn_index.c.position), wanted, most
        )
    first: dict[CallId, list[Hit]] = defaultdict(list)
    totals: dict[CallId, int] = {}
    for row in conn.execute(query_first):
        totals[row.call_id] = row.total
        first[row.call_id].append(_hit(row.role, row.start_ms, row.text, row.word_starts, wanted))
    return {call_id: Hits(tuple(listed), totals[call_id]) for call_id, listed in first.items()}


def _verified_calls(conn: Connection, clause: Clause, role: Role | None) -> list[CallId]:
    """The calls whose decrypted text matches, of those whose tokens do; at most `MOST_VALUES`."""
    matching = select(turn_index.c.call_id, turn_index.c.text).where(_match(conn, [clause], role))
    candidates = conn.execute(matching)
    found = dict.fromkeys(CallId(call_id) for call_id, text in candidates if hits(tokens(text), [clause]))
    return list(found)[:MOST_VALUES]


def _verified_hits(
    conn: Connection, candidates: Select[Any], wanted: Sequence[Clause], most: int
) -> dict[CallId, Hits]:
    found: dict[CallId, list[Hit]] = defaultdict(list)
    totals: dict[CallId, int] = defaultdict(int)
    for row in conn.execute(candidates):
        if not hits(tokens(row.text), wanted):
            continue
        totals[row.call_id] += 1
        if len(found[row.call_id]) < most:
            found[row.call_id].append(_hit(row.role, row.start_ms, row.text, row.word_starts, wanted))
    return {call_id: Hits(tuple(listed), totals[call_id]) for call_id, listed in found.items()}


def _hit(role: Role, start_ms: int, text: str, word_starts: Sequence[int], wanted: Sequence[Clause]) -> Hit:
    found = hits(tokens(text), wanted)
    word = len(text[: found[0][0]].split()) if found else 0
    # The match starts within a word, whose beginning is the last piece before it.
    if word and found and not text[found[0][0] - 1].isspace():
        word -= 1
    begins_ms = word_starts[word] if word < len(word_starts) else start_ms
    return Hit(role, begins_ms, tuple(snippet(text, found)))


def _index_row(conn: Connection, position: int, turn: Turn, known: Tokenized) -> dict[str, object]:
    return {
        "position": position,
        "role": turn.role,
        "start_ms": turn.start_ms,
        "end_ms": turn.end_ms,
        "text": turn.text,
        "word_starts": _word_starts(turn),
        "tokens": known[turn.text] if turn.text in known else stored_tokens(conn, turn.text),
    }


def stored_tokens(conn: Connection, text: str) -> str:
    """What the index holds of a turn's text."""
    said = tokens(text)
    cipher = cipher_of(conn.dialect)
    if cipher is None:
        return (
            _tsvector(said) if conn.dialect.name == "postgresql" else " ".join(token.text for token in said)
        )
    words = {token.text for token in said} if cipher.searchable else set()
    keyed = {cipher.search_token(word) for word in words} | {_beginning(cipher, word) for word in words}
    return " ".join(sorted(keyed))


def _searchable(conn: Connection, clauses: Sequence[Clause]) -> list[Clause]:
    """The clauses as the index finds them: with encryption a short prefix is a whole word."""
    if cipher_of(conn.dialect) is None:
        return [*clauses]
    return [replace(c, prefix=c.prefix and len(c.tokens[-1]) >= _PREFIX_LETTERS) for c in clauses]


def _beginning(cipher: TextCipher, word: str) -> str:
    """The token of a word's first letters; no word contains the mark before them."""
    return cipher.search_token(f"^{word[:_PREFIX_LETTERS]}")


def _keyed(cipher: TextCipher, clause: Clause) -> list[str]:
    """Tokens that a turn with this clause has all of; empty without an index."""
    *whole, last = clause.tokens
    keyed = [cipher.search_token(token) for token in whole]
    if not clause.prefix:
        keyed.append(cipher.search_token(last))
    else:
        keyed.append(_beginning(cipher, last))
    return keyed if cipher.searchable else []


def _word_starts(turn: Turn) -> list[int]:
    """The start of each word of the turn's text; empty if the engine's words are not those of the text."""
    starts = [word.start_ms for word in turn.words for _ in word.text.split()]
    return starts if len(starts) == len(turn.text.split()) else []


def _match(conn: Connection, clauses: Sequence[Clause], role: Role | None) -> ColumnElement[bool]:
    """Turns, of `role` or of both, that contain any of the clauses; with encryption also others, which do not contain them as text."""
    found = _contains(conn, clauses)
    return found if role is None else and_(found, turn_index.c.role == role)


def _contains(
    conn: Connection, clauses: Sequence[Clause], after_id: int | None = None
) -> ColumnElement[bool]:
    """`after_id` limits the search on SQLite; the caller has the condition itself."""
    cipher = cipher_of(conn.dialect)
    keyed = []
    if cipher is not None:
        keyed = [found for clause in clauses if (found := _keyed(cipher, clause))]
    if conn.dialect.name == "postgresql":
        queries = [*map(_tsquery, clauses), *(" & ".join(f"'{token}'" for token in found) for found in keyed)]
        return or_(*(turn_index.c.tokens.op("@@")(cast(literal(query), TSQUERY)) for query in queries))
    expression = " OR ".join([*map(_fts5, clauses), *(f"({' AND '.join(found)})" for found in keyed)])
    rows = select(literal_column("rowid", Integer)).select_from(table("turn_fts"))
    if after_id is not None:
        rows = rows.where(literal_column("rowid", Integer) > after_id)
    return turn_index.c.id.in_(rows.where(literal_column("turn_fts").op("MATCH")(expression)))


def _fts5(clause: Clause) -> str:
    """FTS5 strings are quoted; tokens contain no quotes (sqlite.org/fts5.html, section 3)."""
    return f'("{" ".join(clause.tokens)}"{" *" if clause.prefix else ""})'


def _tsquery(clause: Clause) -> str:
    *whole, last = (f"'{token}'" for token in clause.tokens)
    return " <-> ".join([*whole, f"{last}:*" if clause.prefix else last])


def _tsvector(said: Sequence[Token]) -> str:
    """A tsvector literal. Positions end at 16,383, and 256 of a lexeme are kept (PostgreSQL, section 12.11)."""
    places: dict[str, list[int]] = defaultdict(list)
    for position, token in enumerate(said, 1):
        kept = places[token.text]
        if position <= _LAST_POSITION and len(kept) < _POSITIONS_A_LEXEME:
            kept.append(position)
    return " ".join(
        f"'{token}':{','.join(map(str, at))}" if at else f"'{token}'" for token, at in places.items()
    )
