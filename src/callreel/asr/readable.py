"""English as it is written, from English as it was said: numbers, amounts, spelled letters, addresses, phone numbers.

What is known as inverse text normalisation, kept small: only what has one reading is changed, everything else stays as it
was said (`two thirty` may be a time or two numbers). It is for people's eyes: what was said stays underneath, word by
word, for playing, correcting and scoring. Text that an engine wrote in digits already is left alone, so that doing it
twice changes nothing. `asr/normalization.py` goes the other way, for scores.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_DIGITS = {
    name: str(value) for value, name in enumerate("zero one two three four five six seven eight nine".split())
}
_ZEROS = {"oh": "0", "o": "0", "nought": "0"}
_TEENS = {
    name: value
    for value, name in enumerate(
        "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(), 10
    )
}
_TENS = {
    name: value
    for value, name in zip(
        range(20, 100, 10), "twenty thirty forty fifty sixty seventy eighty ninety".split(), strict=True
    )
}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "eleventh": 11, "twelfth": 12, "thirteenth": 13, "fourteenth": 14, "fifteenth": 15, "sixteenth": 16,
    "seventeenth": 17, "eighteenth": 18, "nineteenth": 19, "twentieth": 20, "thirtieth": 30,
}  # fmt: skip
_REPEATS = {"double": 2, "triple": 3}
_CURRENCIES = {"dollar": "$", "dollars": "$", "euro": "€", "euros": "€", "pound": "£", "pounds": "£"}
_MARKS = {"dot": ".", "underscore": "_", "dash": "-", "hyphen": "-"}
_TOP_LEVEL = frozenset(
    "com org net edu gov mil int info biz io co uk us ca de fr es it nl at ch eu au nz ie me app dev ai tv".split()
)
_LEAST_WRITTEN = 10
"""Counts below it stay words, as newspapers have it, unless a unit follows."""

_LEAST_COMMA = 10_000
_TOKEN = re.compile(r"^(\W*)(.*?)(\W*)$", re.DOTALL)
_LETTER = re.compile(r"[a-z]\.?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Token:
    """A word between its punctuation; `low` is what is compared."""

    before: str
    core: str
    after: str

    @property
    def low(self) -> str:
        return self.core.lower()

    @property
    def text(self) -> str:
        return f"{self.before}{self.core}{self.after}"

    @property
    def stops(self) -> bool:
        """Whether nothing that follows can belong to the same number or name."""
        return self.after not in ("", "-", ",")


@dataclass(frozen=True, slots=True)
class _Found:
    """What `count` tokens are together, in writing."""

    text: str
    count: int


def readable(text: str) -> str:
    """`text` with what it says in numbers and letters written as such; white space becomes single blanks."""
    tokens = [_token(word) for word in text.split()]
    written: list[str] = []
    at = 0
    while at < len(tokens):
        found = _address(tokens, at) or _amount(tokens, at) or _code(tokens, at) or _number(tokens, at)
        if found is None:
            written.append(tokens[at].text)
            at += 1
        else:
            last = tokens[at + found.count - 1]
            written.append(f"{tokens[at].before}{found.text}{last.after}")
            at += found.count
    return " ".join(written)


def _token(word: str) -> _Token:
    found = _TOKEN.match(word)
    assert found is not None  # it matches anything
    before, core, after = found.groups()
    if _LETTER.fullmatch(core) and after.startswith(".") and len(core) == 1 and core.islower():
        after = after[1:]  # pocketsphinx spells `a. b. c.`
    return _Token(before, core, after)


def _run(tokens: Sequence[_Token], at: int) -> int:
    """How many tokens from `at` may belong together: up to the first that ends a sentence, itself included."""
    end = at
    while end < len(tokens):
        end += 1
        if tokens[end - 1].stops or (end < len(tokens) and tokens[end].before):
            break
    return end - at


# Counts


def _count(words: Sequence[str]) -> tuple[int, int] | None:
    """The count that `words` begin with, and how many words it takes. `and` may stand after hundred and thousand."""
    total, part, used, at, floor = 0, 0, 0, 0, 10**12
    while at < len(words):
        word = words[at]
        small = _small(words, at)
        if word == "and" and used and words[at - 1] in ("hundred", *_SCALES) and _small(words, at + 1):
            at += 1
            continue
        if small is not None:
            if part % 100 or (used and at == used and words[at - 1] not in ("hundred", "and", *_SCALES)):
                break
            value, length = small
            part += value
            at += length
        elif word == "hundred" and 0 < part < 100:
            part *= 100
            at += 1
        elif word in _SCALES and 0 < part and _SCALES[word] < floor:
            floor = _SCALES[word]
            total, part = total + part * floor, 0
            at += 1
        else:
            break
        used = at
    return (total + part, used) if used else None


def _small(words: Sequence[str], at: int) -> tuple[int, int] | None:
    """A number from 1 to 99 at `at`, and its length in words."""
    if at >= len(words):
        return None
    word = words[at]
    if "-" in word:
        tens, _, unit = word.partition("-")
        return (
            (_TENS[tens] + int(_DIGITS[unit]), 1) if tens in _TENS and _DIGITS.get(unit, "0") != "0" else None
        )
    if word in _TENS:
        unit = words[at + 1] if at + 1 < len(words) else ""
        return (_TENS[word] + int(_DIGITS[unit]), 2) if _DIGITS.get(unit, "0") != "0" else (_TENS[word], 1)
    if word in _TEENS:
        return _TEENS[word], 1
    return (int(_DIGITS[word]), 1) if _DIGITS.get(word, "0") != "0" else None


def _written(value: int) -> str:
    return f"{value:,}" if value >= _LEAST_COMMA else str(value)


def _number(tokens: Sequence[_Token], at: int) -> _Found | None:
    """A count, an ordinal, a decimal or a year. Several in a row, as `two thirty`, have no one reading and stay."""
    words = [token.low for token in tokens[at : at + _run(tokens, at)]]
    first = _one_number(words)
    if first is None:
        return None
    used = first.count
    while (more := _one_number(words[used:])) is not None:
        used += more.count
    in_row = used > first.count
    if in_row or first.text.isalpha():
        return _Found(_as_said(tokens[at : at + used]), used)
    return first


def _as_said(tokens: Sequence[_Token]) -> str:
    """Without what stands before the first and after the last, which the caller puts round what was found."""
    text = " ".join(token.text for token in tokens)
    return text[len(tokens[0].before) : len(text) - len(tokens[-1].after)]


def _one_number(words: Sequence[str]) -> _Found | None:
    found = _ordinal(words) or _year(words)
    counted = _count(words)
    if found is not None or counted is None:
        return found
    value, used = counted
    decimals = _decimals(words[used:])
    if decimals:
        return _Found(f"{_written(value)}.{decimals}", used + 1 + len(decimals))
    return _Found(_written(value) if value >= _LEAST_WRITTEN else words[0], used)


def _decimals(words: Sequence[str]) -> str:
    """The digits after `point`."""
    digits = ""
    if words[:1] == ["point"]:
        for word in words[1:]:
            digit = _DIGITS.get(word) or _ZEROS.get(word)
            if digit is None:
                break
            digits += digit
    return digits


def _ordinal(words: Sequence[str]) -> _Found | None:
    """From tenth on; `second` is a unit of time as well, so the small ones stay words."""
    if not words:
        return None
    tens, _, unit = words[0].partition("-")
    if tens in _TENS and 0 < _ORDINALS.get(unit, 0) < 10:
        return _Found(_with_ending(_TENS[tens] + _ORDINALS[unit]), 1)
    if words[0] in _TENS and len(words) > 1 and 0 < _ORDINALS.get(words[1], 0) < 10:
        return _Found(_with_ending(_TENS[words[0]] + _ORDINALS[words[1]]), 2)
    value = _ORDINALS.get(words[0], 0)
    return _Found(_with_ending(value), 1) if value >= _LEAST_WRITTEN else None


def _with_ending(value: int) -> str:
    ending = "th" if value % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{value}{ending}"


def _year(words: Sequence[str]) -> _Found | None:
    """`nineteen eighty four`, `twenty twenty six`; not `twenty six`, which is a count."""
    century = {"nineteen": 19, "eighteen": 18, "twenty": 20}.get(words[0] if words else "")
    if century is None:
        return None
    if words[1:2] == ["oh"] and _DIGITS.get(words[2] if len(words) > 2 else "", "0") != "0":
        return _Found(f"{century}0{_DIGITS[words[2]]}", 3)
    rest = _small(words, 1)
    if rest is None or rest[0] < 10:
        return None
    value, length = rest
    more = _small(words, 1 + length)
    return None if more is not None else _Found(f"{century}{value}", 1 + length)


# Amounts


def _amount(tokens: Sequence[_Token], at: int) -> _Found | None:
    """Money and shares: `twenty five dollars and ten cents` is $25.10, `five percent` 5%."""
    words = [token.low for token in tokens[at : at + _run(tokens, at)]]
    counted = _count(words)
    if counted is None:
        return None
    value, used = counted
    decimals = _decimals(words[used:])
    used += 1 + len(decimals) if decimals else 0
    number = _written(value) + (f".{decimals}" if decimals else "")
    unit = words[used] if used < len(words) else ""
    if unit == "percent":
        return _Found(f"{number}%", used + 1)
    if unit not in _CURRENCIES:
        return None
    cents = _cents(words[used + 1 :])
    if cents is not None and not decimals:
        return _Found(f"{_CURRENCIES[unit]}{number}.{cents[0]:02}", used + 1 + cents[1])
    return _Found(f"{_CURRENCIES[unit]}{number}", used + 1)


def _cents(words: Sequence[str]) -> tuple[int, int] | None:
    skipped = 1 if words[:1] == ["and"] else 0
    small = _small(words, skipped)
    if small is None or words[skipped + small[1] : skipped + small[1] + 1] not in (
        ["cents"],
        ["cent"],
        ["pence"],
    ):
        return None
    return small[0], skipped + small[1] + 1


# Phone numbers, order numbers, spelled names


@dataclass(frozen=True, slots=True)
class _Sign:
    """One or more characters that were said, over so many tokens. A bare `a`, `i` or `o` might be a word."""

    text: str
    count: int
    sure: bool = True


def _code(tokens: Sequence[_Token], at: int) -> _Found | None:
    """Digits and letters said one by one: at least three, or two letters that are no words."""
    run = tokens[at : at + _run(tokens, at)]
    words = [token.low for token in run]
    plus = words[:1] == ["plus"]
    signs, used = _signs(words, 1 if plus else 0)
    while signs and not signs[-1].sure:  # `b and q i think`: a word that follows is none of it
        used -= signs.pop().count
    if signs and not signs[0].sure and (len(signs) < 3 or not any(sign.text.isalpha() for sign in signs[1:])):
        return None  # an article before digits
    text = "".join(sign.text for sign in signs)
    letters = sum(character.isalpha() for character in text)
    if plus and not text.isdecimal():
        return None
    if len(text) >= 3 or (len(text) == 2 and letters == 2):
        return _Found(_grouped(text, plus), used)
    return None


def _signs(words: Sequence[str], at: int) -> tuple[list[_Sign], int]:
    signs: list[_Sign] = []
    while (sign := _sign(words, at)) is not None:
        signs.append(sign)
        at += sign.count
    return signs, at


def _sign(words: Sequence[str], at: int) -> _Sign | None:
    word = words[at] if at < len(words) else ""
    if word in _REPEATS:
        again = _sign(words, at + 1)
        once = again is not None and len(again.text) == 1
        return _Sign(again.text * _REPEATS[word], 1 + again.count) if again and once else None
    if word in _DIGITS:
        return _Sign(_DIGITS[word], 1)
    if word in ("oh", "o", "nought") and _beside_digits(words, at):
        return _Sign("0", 1)
    if _LETTER.fullmatch(word):
        letter = word[0].upper()
        return _Sign(letter, 1 + _explained(letter, words[at + 1 :]), word not in ("a", "i", "o"))
    return None


def _beside_digits(words: Sequence[str], at: int) -> bool:
    """`oh` is a zero where a digit stands right before or after it."""
    near = [*words[max(0, at - 1) : at], *words[at + 1 : at + 2]]
    return any(word in _DIGITS or word in _REPEATS for word in near)


def _explained(letter: str, words: Sequence[str]) -> int:
    """How many of `words` say only which letter it was: `as in bravo`, `for bravo`, `like bravo`."""
    for said in (("as", "in"), ("for",), ("like",)):
        after = words[len(said) : len(said) + 1]
        if (
            tuple(words[: len(said)]) == said
            and after
            and after[0][:1].upper() == letter
            and len(after[0]) > 2
        ):
            return len(said) + 1
    return 0


def _grouped(text: str, plus: bool) -> str:
    """North American phone numbers in their groups; other digits and letters as one."""
    if plus:
        return f"+{text}"
    if text.isdecimal():
        if len(text) == 7:
            return f"{text[:3]}-{text[3:]}"
        if len(text) == 10:
            return f"{text[:3]}-{text[3:6]}-{text[6:]}"
        if len(text) == 11 and text[0] == "1":
            return f"1-{text[1:4]}-{text[4:7]}-{text[7:]}"
    return text


# E-mail and web addresses


def _address(tokens: Sequence[_Token], at: int) -> _Found | None:
    """`john dot smith at example dot com`, `w w w dot example dot com`, `example dot com`."""
    words = [token.low for token in tokens[at : at + _run(tokens, at)]]
    local, used = _name(words, 0)
    if not local:
        return None
    if words[used : used + 1] == ["at"]:
        domain, end = _name(words, used + 1)
        if _is_domain(domain):
            return _Found(f"{local}@{domain}", end)
    elif _is_domain(local):
        return _Found(local, used)
    return None


def _name(words: Sequence[str], at: int) -> tuple[str, int]:
    """Pieces joined by spoken marks: the text, and where it ends. A piece is a word, or signs said one by one."""
    text, end = _piece(words, at)
    while text and end < len(words) and words[end] in _MARKS:
        piece, after = _piece(words, end + 1)
        if not piece:
            break
        text, end = text + _MARKS[words[end]] + piece, after
    return text, end


def _piece(words: Sequence[str], at: int) -> tuple[str, int]:
    signs, end = _signs(words, at)
    text = "".join(sign.text for sign in signs).lower()
    if (
        not signs
        and at < len(words)
        and re.fullmatch(r"[a-z0-9]+", words[at])
        and words[at] not in ("at", *_MARKS)
    ):
        text, end = words[at], at + 1
        signs, after = _signs(words, end)  # `smith two three at …`
        if signs and all(sign.text.isdecimal() for sign in signs):
            text, end = text + "".join(sign.text for sign in signs), after
    return text, end


def _is_domain(text: str) -> bool:
    labels = text.split(".")
    return len(labels) > 1 and labels[-1] in _TOP_LEVEL and all(labels)
