"""Column types. They are also the one place where values are made storable in both databases.

PostgreSQL refuses NUL in text and JSON, integers beyond a column's width and NaN in JSON; SQLite's driver refuses lone
surrogates and integers beyond 64 bits; Python refuses times that leave its calendar when they change zone. Such values
arrive from carriers and clients, also in lookups, and must neither fail a transaction nor differ between the databases.
So text loses what neither database stores, and numbers and times saturate at the limits of their column.
"""

import json
import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    String,
    TypeDecorator,
    select,
    type_coerce,
)
from sqlalchemy import Integer as PlainInteger
from sqlalchemy.dialects.postgresql import JSONB

from callreel.store.encryption.sealed_text import TextCipher, opened, plain_text, stored_text

MOST_VALUES: Final = 30_000
"""Of one condition. SQLite accepts 32,766 parameters, PostgreSQL 65,535."""

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")

# Control characters but tab and line ends, lone surrogates, and the two code points that XML forbids too.
_UNSTORABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
# What the serializer writes for some of those (an astral character is two surrogates), and for NaN and infinities.
_SUSPECT_JSON: Final = re.compile(r"\\(?:u(?:00[0189]|007f|d[89a-f]|fff[ef])|[bf])|NaN|Infinity")
# A day within Python's calendar, so that no zone of the driver or the server leaves it.
_EARLIEST: Final = datetime(1, 1, 2, tzinfo=UTC)
_LATEST: Final = datetime(9999, 12, 30, tzinfo=UTC)


def storable_text(text: str) -> str:
    """`text` without the characters that a database refuses."""
    return _UNSTORABLE.sub("", text)


def to_json(value: Any) -> str:
    """JSON that both databases accept. The serializer of every engine."""
    text = json.dumps(value)
    return json.dumps(_storable_json(value)) if _SUSPECT_JSON.search(text) else text


def _storable_json(value: Any) -> Any:
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {storable_text(str(key)): _storable_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_storable_json(each) for each in value]
    return value


class Text(TypeDecorator[str]):
    """Text without characters that a database refuses."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable_text(value)


class Integer(TypeDecorator[int]):
    """An integer of 32 bits, saturated: a greater one is stored as the greatest, and found nowhere else."""

    impl = PlainInteger
    cache_ok = True
    bits = 32

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        limit = 1 << (self.bits - 1)
        return None if value is None else max(-limit, min(value, limit - 1))


class LargeInteger(Integer):
    """The same with 64 bits."""

    # SQLite assigns row numbers automatically only if the key's type is exactly INTEGER.
    impl = BigInteger().with_variant(PlainInteger, "sqlite")  # type: ignore[assignment]  # the stub admits a class only
    cache_ok = True
    bits = 64


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime. A naive one is a mistake of ours; one of another zone is converted."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("expected an aware datetime, got a naive one")
        return max(_EARLIEST, min(value, _LATEST)).astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Enumerated(TypeDecorator[E], Generic[E]):
    """A member of one of our closed sets, stored as its value."""

    impl = String
    cache_ok = True

    def __init__(self, members: type[E]) -> None:
        super().__init__()
        self.members = members

    def process_bind_param(self, value: E | None, dialect: Dialect) -> str | None:
        return None if value is None else self.members(value).value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> E | None:
        return None if value is None else self.members(value)


class Structured(TypeDecorator[T], Generic[T]):
    """A dataclass, or a tuple of them, stored as JSON. None is NULL."""

    impl = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
    cache_ok = True

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: T | None, dialect: Dialect) -> Any:
        return msgspec.to_builtins(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> T | None:
        converted: T | None = None if value is None else msgspec.convert(value, self.kind)
        return converted


# Encrypted columns. Without a cipher they store plain values, and read them with one too.

_ciphers: WeakKeyDictionary[Dialect, TextCipher] = WeakKeyDictionary()
"""The cipher of each open database: SQLAlchemy gives a column type no other access to its database than the dialect."""


def use_cipher(dialect: Dialect, cipher: TextCipher | None) -> None:
    """Encrypt what is written through `dialect` from now on, and decrypt what is read; None: neither."""
    _ciphers.pop(dialect, None)
    if cipher is not None:
        _ciphers[dialect] = cipher


def cipher_of(dialect: Dialect) -> TextCipher | None:
    """The cipher of an open database; None without encryption."""
    return _ciphers.get(dialect)


class SealedText(TypeDecorator[str]):
    """Text that is encrypted at rest. It cannot be compared in SQL. `label` names the column, for good."""

    impl = String
    cache_ok = True
    same = False

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return stored_text(storable_text(value), self.label, cipher_of(dialect), same=self.same)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else plain_text(value, self.label, cipher_of(dialect))


class SealedLookup(SealedText):
    """The same, always to the same bytes: for equality, joins and grouping, but not for order, prefixes and parts.

    Columns that are compared with each other have one label. It reveals which rows have equal values.
    """

    cache_ok = True
    same = True


def among(conn: Connection, column: ColumnElement[str], values: Iterable[str]) -> ColumnElement[bool]:
    """Whether a `SealedLookup` column has one of these values, encrypted or still plain."""
    assert isinstance(column.type, SealedLookup)
    label, cipher = column.type.label, cipher_of(conn.dialect)
    forms = {
        stored_text(storable_text(value), label, c, same=True) for value in values for c in {None, cipher}
    }
    return type_coerce(column, String).in_(forms)


def stored_among(
    conn: Connection, column: ColumnElement[str], test: Callable[[str], bool]
) -> ColumnElement[bool]:
    """Whether the plain value of a `SealedLookup` column passes a test that SQL cannot make: every value is read.

    It considers the first `MOST_VALUES` that pass, since a statement has a limited number of parameters.
    """
    assert isinstance(column.type, SealedLookup)
    stored = type_coerce(column, String)
    label, cipher = column.type.label, cipher_of(conn.dialect)
    values = conn.execute(select(stored).distinct()).scalars()
    return stored.in_([value for value in values if test(plain_text(value, label, cipher))][:MOST_VALUES])


class SealedJson(TypeDecorator[Any]):
    """A JSON document that is encrypted at rest, as a JSON string. `kind` converts it as `Structured` does."""

    impl = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
    cache_ok = True

    def __init__(self, label: str, kind: Any = None) -> None:
        super().__init__()
        self.label = label
        self.kind = kind

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> Any:
        plain = msgspec.to_builtins(value)
        cipher = cipher_of(dialect)
        return plain if plain is None or cipher is None else cipher.seal(to_json(plain), self.label)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any:
        # No document of ours is a bare string.
        plain = json.loads(opened(value, self.label, cipher_of(dialect))) if isinstance(value, str) else value
        return plain if plain is None or self.kind is None else msgspec.convert(plain, self.kind)
